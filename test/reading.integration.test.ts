import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from './temporary.ts'

const page = fs.readFileSync(join(import.meta.dirname, '../docs/reading.md'), 'utf8')
const penhold = new URL('../src/index.ts', import.meta.url).href

const ACCOUNT = `import { defineAggregate } from '${penhold}'
export const Account = defineAggregate({
  type: 'account',
  initialState: () => 0,
  events: { Deposited: (balance, { euros }) => balance + euros },
  commands: { deposit: (_balance, order, { emit }) => emit.Deposited(order) },
})`

const CONFIG = `import { defineCluster } from '${penhold}'
import { Account } from './account.ts'
export default defineCluster({ name: 'bank', aggregates: [Account], dataDir: 'data', workers: 2 })`

test('docs/reading.md: its program reads what is there, and then what comes', () => {
  const folder = temporaryFolder()
  const [, example] = /^```ts\n\/\/ reading\.ts\n(.*?)^```/ms.exec(page)!
  fs.writeFileSync(join(folder, 'account.ts'), ACCOUNT)
  fs.writeFileSync(join(folder, 'cluster.config.ts'), CONFIG)
  fs.writeFileSync(join(folder, 'reading.ts'), example!.replace("'penhold'", `'${penhold}'`))
  const said = execFileSync(process.execPath, [join(folder, 'reading.ts')], { encoding: 'utf8' })
  expect(said.trim().split('\n')).toEqual([
    'account/anna 1: Deposited {"euros":5}',
    'account/ben 1: Deposited {"euros":7}',
    'then account/anna 2',
  ])
})
