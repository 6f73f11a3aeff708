import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from './temporary.ts'

const root = join(import.meta.dirname, '..')

const account = `
import { defineAggregate } from 'penhold'
export const Account = defineAggregate({
  type: 'account',
  initialState: () => ({ balance: 0 }),
  events: { Deposited: (state, { amount }) => ({ balance: state.balance + amount }) },
  commands: { deposit: (_state, { amount }, { emit }) => emit.Deposited({ amount }) },
  queries: { balance: (state) => state.balance },
})
`
const config = `
import { defineCluster } from 'penhold'
import { Account } from './account.js'
export default defineCluster({ name: 'bank', aggregates: [Account], dataDir: './data', workers: 2, shards: 4 })
`
const program = `
import { startNode } from 'penhold'
import { Account } from './account.js'
const node = await startNode(new URL('./cluster.config.js', import.meta.url))
const account = node.ref(Account, '1')
await account.ask('deposit', { amount: 5 })
console.log(await account.query('balance'))
await node.close()
`
const tests = `
import test from 'node:test'
import * as fc from 'fast-check'
import { checkInvariants, eventsOf, given } from 'penhold/testing'
import { Account } from './account.js'
const { Deposited } = eventsOf(Account)
test('a decision', () => given(Account).when('deposit', { amount: 5 }).then(Deposited({ amount: 5 })).thenState({ balance: 5 }))
test('invariants', async () => {
  const commands = { deposit: fc.record({ amount: fc.nat() }) }
  await checkInvariants(Account, { commands, invariants: { 'never in debt': ({ balance }) => balance >= 0 }, numRuns: 5 })
})
`

test('the built package works as plain JavaScript, worker threads, test kit and all', { timeout: 120_000 }, () => {
  const folder = temporaryFolder()
  const installed = join(folder, 'node_modules/penhold')
  const tsc = join(root, 'node_modules/.bin/tsc')
  execFileSync(tsc, ['-p', join(root, 'src'), '--outDir', join(installed, 'dist')])
  fs.copyFileSync(join(root, 'package.json'), join(installed, 'package.json'))
  for (const name of ['msgpackr', 'uuid', 'fast-check']) {
    fs.symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name))
  }
  fs.writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  for (const [name, source] of Object.entries({ account, 'cluster.config': config, program, tests })) {
    fs.writeFileSync(join(folder, `${name}.js`), source)
  }
  const run = (): string => execFileSync(process.execPath, [join(folder, 'program.js')], { encoding: 'utf8' })
  expect(run()).toBe('5\n')
  expect(run()).toBe('10\n')

  // Without the variable by which one test runner knows that another one runs it.
  const { NODE_TEST_CONTEXT: _context, ...env } = process.env
  const tested = spawnSync(process.execPath, ['--test', join(folder, 'tests.js')], { encoding: 'utf8', env })
  expect(tested.stdout).toMatch(/pass 2\b/)
})

test('a program needs fast-check only where it imports the test kit', () => {
  const build = fs.readFileSync(join(root, 'package.json'), 'utf8')
  expect(JSON.parse(build)).toMatchObject({ peerDependenciesMeta: { 'fast-check': { optional: true } } })
  const importers = fs
    .globSync('src/**/*.ts', { cwd: root })
    .filter((path) => /from 'fast-check'|\/testing\//.test(fs.readFileSync(join(root, path), 'utf8')))
  expect(importers.every((path) => path.startsWith('src/testing/'))).toBe(true)
})
