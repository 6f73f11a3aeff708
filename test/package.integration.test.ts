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

/** What `npm pack` makes of a clone that was never built, installed into a new folder. */
function installPacked(): string {
  const clone = temporaryFolder()
  for (const part of ['src', 'package.json', 'tsconfig.json', 'README.md', 'LICENSE']) {
    fs.cpSync(join(root, part), join(clone, part), { recursive: true })
  }
  fs.symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'))
  execFileSync('npm', ['pack', '--silent'], { cwd: clone })
  const folder = temporaryFolder()
  fs.mkdirSync(join(folder, 'node_modules/penhold'), { recursive: true })
  const tarball = fs.readdirSync(clone).find((name) => name.endsWith('.tgz'))!
  const into = ['--strip-components=1', '-C', join(folder, 'node_modules/penhold')]
  execFileSync('tar', ['-xzf', join(clone, tarball), ...into])
  for (const dependency of [
    'ioredis',
    'croner',
    'msgpackr',
    'uuid',
    'fast-check',
    'pure-rand',
    '@standard-schema',
    '@types',
    'undici-types',
  ]) {
    fs.symlinkSync(join(root, 'node_modules', dependency), join(folder, 'node_modules', dependency))
  }
  fs.writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  return folder
}

test('the packed package works as plain JavaScript, worker threads, test kit and all', { timeout: 120_000 }, () => {
  const folder = installPacked()
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

test("README's files type-check with its tsconfig, and run as they are and compiled", () => {
  const folder = installPacked()
  const readme = fs.readFileSync(join(root, 'README.md'), 'utf8')
  for (const [, name, source] of readme.matchAll(/^```ts\n\/\/ (\S+\.ts)\n(.*?)^```/gms)) {
    fs.writeFileSync(join(folder, name!), source!)
  }
  const [, tsconfig] = /^```json\n(.*?)^```/ms.exec(readme)!
  fs.writeFileSync(join(folder, 'tsconfig.json'), tsconfig!)
  const [, closeOnSignal] = /^```ts\n(for \(const signal .*?)^```/ms.exec(readme)!
  fs.appendFileSync(join(folder, 'app.ts'), closeOnSignal!)
  const run = (path: string): string => execFileSync(process.execPath, [join(folder, path)], { encoding: 'utf8' })
  expect(run('app.ts')).toBe('insufficient-funds 30\n')
  // Opened already: the command id is known. Its deposits and withdrawals are new ones.
  expect(run('app.ts')).toBe('insufficient-funds 60\n')
  for (const name of ['account', 'cluster.config', 'app']) {
    const path = join(folder, `${name}.ts`)
    fs.writeFileSync(path, fs.readFileSync(path, 'utf8').replace('./cluster.config.ts', './cluster.config.js'))
  }
  execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder], { cwd: folder })
  expect(run('dist/app.js')).toBe('insufficient-funds 30\n')
})
