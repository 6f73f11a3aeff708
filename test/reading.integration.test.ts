import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ACCOUNT, filesOf, readPage, writeRunnable } from './documented.ts'
import { temporaryFolder } from './temporary.ts'

const CONFIG = `import { defineCluster } from 'penhold'
import { Account } from './account.ts'
export default defineCluster({ name: 'bank', aggregates: [Account], dataDir: 'data', workers: 2 })`

/** Those of an event that is read from everything, as its table has them. */
function documentedFields(): string {
  const [, section] = /^## An event\n(.*?)^## /ms.exec(readPage('docs/reading.md'))!
  const names = [...section!.matchAll(/^\| (`.*?) +\|/gm)].flatMap(([, cell]) => cell!.replaceAll('`', '').split(', '))
  const others = ['metadata.…', 'aggregate', 'shard', 'seq']
  return [...names.filter((name) => !others.includes(name)), 'metadata'].toSorted().join()
}

test('docs/reading.md: its examples, one after the other, print what the page says', () => {
  const folder = temporaryFolder()
  const files = filesOf('docs/reading.md')
  const program = files['reading.ts']!
  const said = [...program.matchAll(/console\.log\(.*\) \/\/ (.*)$/gm)].flatMap(([, text]) => text!.split(' | '))
  expect(said.length, 'it prints something').toBe(program.split('console.log(').length)
  const fields = `for await (const event of store.readAll({ aggregates: [Account] })) {
  console.log([...Object.keys(event), ...Object.keys(event.metadata).map((key) => 'metadata.' + key)].toSorted().join())
  break
}`
  writeRunnable(folder, { 'account.ts': ACCOUNT, 'cluster.config.ts': CONFIG, 'reading.ts': `${program}\n${fields}` })
  const printed = execFileSync(process.execPath, [join(folder, 'reading.ts')], { encoding: 'utf8' })
  expect(printed.trim().split('\n')).toEqual([...said, documentedFields()])
})
