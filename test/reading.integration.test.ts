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

test('docs/reading.md: its examples, one after the other, print what the page says', () => {
  const folder = temporaryFolder()
  const program = [...page.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code]) => code).join('')
  const said = [...program.matchAll(/console\.log\(.*\) \/\/ (.*)$/gm)].flatMap(([, text]) => text!.split(' | '))
  expect(said.length, 'it prints something').toBe(program.split('console.log(').length)
  fs.writeFileSync(join(folder, 'account.ts'), ACCOUNT)
  fs.writeFileSync(join(folder, 'cluster.config.ts'), CONFIG)
  fs.writeFileSync(join(folder, 'reading.ts'), program.replace("'penhold'", `'${penhold}'`))
  const printed = execFileSync(process.execPath, [join(folder, 'reading.ts')], { encoding: 'utf8' })
  expect(printed.trim().split('\n')).toEqual(said)
})
