import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { defineCluster } from '../src/index.ts'

test('docs/settings.md lists the settings there are, with their defaults', () => {
  const page = fs.readFileSync(join(import.meta.dirname, '../docs/settings.md'), 'utf8')
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
