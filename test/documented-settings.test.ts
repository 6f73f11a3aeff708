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
