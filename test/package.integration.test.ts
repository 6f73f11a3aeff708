import { execFileSync } from 'node:child_process'
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

test('the built package works as plain JavaScript, worker threads and all', { timeout: 60_000 }, () => {
  const folder = temporaryFolder()
  const installed = join(folder, 'node_modules/penhold')
  const tsc = join(root, 'node_modules/.bin/tsc')
  execFileSync(tsc, ['-p', join(root, 'src'), '--outDir', join(installed, 'dist')])
  fs.copyFileSync(join(root, 'package.json'), join(installed, 'package.json'))
  fs.symlinkSync(join(root, 'node_modules/msgpackr'), join(folder, 'node_modules/msgpackr'))
  fs.symlinkSync(join(root, 'node_modules/uuid'), join(folder, 'node_modules/uuid'))
  fs.writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  for (const [name, source] of Object.entries({ account, 'cluster.config': config, program })) {
    fs.writeFileSync(join(folder, `${name}.js`), source)
  }
  const run = (): string => execFileSync(process.execPath, [join(folder, 'program.js')], { encoding: 'utf8' })
  expect(run()).toBe('5\n')
  expect(run()).toBe('10\n')
})
