import { expect, test } from 'vitest'
import { defineAggregate, defineCluster, defineProjection, memoryStore } from '../src/index.ts'
import { readPage } from './documented.ts'

test('docs/settings.md lists the settings there are, with their defaults', () => {
  const page = readPage('docs/settings.md')
  const documented = new Map(
    [...page.matchAll(/^\| `([\w.]+)` +\| (.*?) +\|/gm)].map(([, name, text]) => [name!, text!]),
  )
  const { limits, timeouts, ...config } = defineCluster({ name: 'x', aggregates: [], dataDir: 'd' })
  const flat = (prefix: string, group: object): [string, unknown][] =>
    Object.entries(group).map(([name, value]) => [prefix + name, value])
  const settings = [...flat('', config), ...flat('limits.', limits), ...flat('timeouts.', timeouts)]
  expect([...documented.keys()].toSorted()).toEqual(settings.map(([name]) => name).toSorted())
  for (const [name, value] of settings) {
    if (typeof value !== 'number' || name === 'workers') continue
    expect(documented.get(name), name).toBe(value.toLocaleString('en-US'))
  }
})

const KIB = 1024

test.each<[string, (value: number) => object, number, number]>([
  ['1 to 256', (workers) => ({ workers }), 1, 256],
  ['up to 4,096', (shards) => ({ shards }), 1, 4_096],
  ['up to 1,000', (weight) => ({ weight }), 1, 1_000],
  ['64 KiB to 1 GiB', (segmentBytes) => ({ segmentBytes }), 64 * KIB, KIB ** 3],
  ['16 KiB to 8 MiB', (commandBytesMax) => ({ limits: { commandBytesMax } }), 16 * KIB, 8 * KIB ** 2],
  ['300 or more', (leaseMs) => ({ timeouts: { leaseMs } }), 300, 2 ** 31 - 1],
])('docs/settings.md says %s, and so it is', (says, settings, least, most) => {
  const define = (value: number) => defineCluster({ name: 'x', aggregates: [], dataDir: 'd', ...settings(value) })
  const [name] = Object.keys(Object.values(settings(1))[0] as object).concat(Object.keys(settings(1)))
  const row = readPage('docs/settings.md')
    .split('\n')
    .find((line) => line.startsWith('| `') && line.includes(`${name}\``))
  expect(row).toContain(says)
  for (const value of [least, most]) define(value)
  for (const value of [least - 1, most + 1]) expect(() => define(value), `${value}`).toThrow(name)
})

test('docs/projections.md lists the options there are, with their defaults', () => {
  const [, section] = /^## Options\n(.*?)^## /ms.exec(readPage('docs/projections.md'))!
  const documented = new Map(
    [...section!.matchAll(/^\| `(\w+)` +\| (.*?) *\|/gm)].map(([, name, text]) => [name!, text!]),
  )
  const Counter = defineAggregate({
    type: 'counter',
    initialState: () => 0,
    events: { Counted: (count) => count + 1 },
    commands: {},
  })
  const given = {
    name: 'x',
    from: [Counter],
    store: memoryStore(() => ({})),
    on: { Counted: () => undefined },
  } as const
  const shown = (value: unknown): string =>
    typeof value === 'number' ? value.toLocaleString('en-US') : `\`'${value as string}'\``
  const defaults = Object.entries(defineProjection(given)).map(([name, value]): [string, string] => [
    name,
    name in given ? '' : shown(value),
  ])
  expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(defaults))
})
