import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { defineAggregate, defineProcess } from '../src/index.ts'
import { filesOf, readPage, writeRunnable } from './documented.ts'
import { temporaryFolder } from './temporary.ts'

const CONFIG = `import { defineCluster } from 'penhold'
import { Checkout } from './checkout.ts'
import { Order, Payment } from './shop.ts'
const aggregates = [Order, Payment]
export default defineCluster({ name: 'shop', aggregates, processes: [Checkout], dataDir: 'data', workers: 2 })
`

/** A folder with the page's files. */
function project(): string {
  const folder = temporaryFolder()
  writeRunnable(folder, { ...filesOf('docs/processes.md'), 'cluster.config.ts': CONFIG })
  return folder
}

function run(folder: string, name: string): string {
  const options = { encoding: 'utf8', cwd: folder, stdio: 'pipe' } as const
  return execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', join(folder, name)], options)
}

test('docs/processes.md: orders are confirmed or cancelled, and their process can be looked at', () => {
  expect(run(project(), 'main.ts').trim().split('\n')).toEqual([
    'confirmed true 0',
    'cancelled true 0',
    '{',
    "  state: { phase: 'paying' },",
    '  isCompleted: false,',
    '  sends: [],',
    '  timers: [],',
    '  sent: 0,',
    '  timersSet: 0',
    '}',
  ])
})

test('docs/processes.md: its test passes, and fails where the process is another', () => {
  const folder = project()
  expect(run(folder, 'checkout.test.ts')).toContain('pass 2')
  const checkout = join(folder, 'checkout.ts')
  fs.writeFileSync(checkout, fs.readFileSync(checkout, 'utf8').replace("'confirm'", "'cancel'"))
  expect(() => run(folder, 'checkout.test.ts')).toThrow()
})

test('docs/processes.md lists the options there are, with their defaults', () => {
  const [, section] = /^## Options\n(.*?)^`evolve` and/ms.exec(readPage('docs/processes.md'))!
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
    type: 'x',
    from: [Counter],
    startAt: 'now',
    correlate: { Counted: () => 'k' },
    initialState: () => 0,
    on: { Counted: () => undefined },
  } as const
  const shown = (value: unknown): string =>
    typeof value === 'number' ? value.toLocaleString('en-US') : `\`${Array.isArray(value) ? '[]' : '{}'}\``
  const defaults = Object.entries(defineProcess(given)).map(([name, value]): [string, string] => [
    name,
    name in given ? '' : shown(value),
  ])
  expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(defaults))
})
