import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { filesOf, writeRunnable } from './documented.ts'
import { temporaryFolder } from './temporary.ts'

const page = filesOf('docs/evolving.md')

/** Runs some code with a version of the page's aggregate over the data in a folder; what it prints. */
function run(folder: string, version: string, { edit = (source: string) => source, code = '' }): string {
  const name = `${version}.ts`
  const source = page[name]!.replace("type: 'account',", "type: 'account', snapshotEvery: 2,")
  const edited = edit(source)
  const program = `import { defineCluster, startNode } from 'penhold'
    ${edited.replace('export const', 'const')}
    const config = defineCluster({ name: 'x', aggregates: [Account], dataDir: '${folder}', shards: 1, workers: 'inline' })
    try {
      await using node = await startNode(config)
      const account = node.ref(Account, '1')
      const deposit = (amount) => account.ask('deposit', { amount })
      ${code}
      console.log(JSON.stringify(await account.state()))
    } catch (error) {
      console.log(error.code, error.message)
    }`
  writeRunnable(folder, { [name]: program })
  return execFileSync(process.execPath, [join(folder, name)], { encoding: 'utf8' }).trim()
}

const without = (part: RegExp) => (source: string) => {
  expect(source).toMatch(part)
  return source.replace(part, '')
}

test('docs/evolving.md: each version of its aggregate goes on from what the one before it wrote', () => {
  const folder = temporaryFolder()
  expect(run(folder, 'account-1', { code: 'await deposit(1); await deposit(2); await deposit(3)' })).toBe('{"euros":6}')
  const isForgotten = run(folder, 'account-2', { edit: without(/ {2}upcasters: \{.*?\n {2}\},\n/s) })
  expect(isForgotten, 'the snapshot holds 3, the next event is misread').toBe('{"euros":null}')
  expect(run(folder, 'account-2', { code: 'await deposit(4)' })).toBe('{"euros":10}')
  expect(run(folder, 'account-1', {}), 'rolled back').toMatch(/^BadDefinition .*'Deposited' up to version 1/)
  const isUnnamed = run(folder, 'account-3', { edit: without(/ {2}renamedEvents: .*\n/) })
  expect(isUnnamed).toMatch(/^BadDefinition .*'Deposited'/)
  expect(run(folder, 'account-3', { code: 'await deposit(5)' })).toBe('{"euros":15}')
  const isStale = run(folder, 'account-4', { edit: without(/ {2}stateVersion: 2,\n/) })
  expect(isStale, 'an old snapshot in the old shape').toBe('{"cents":null,"deposits":null}')
  expect(run(folder, 'account-4', { code: 'await deposit(1)' })).toBe('{"cents":1600,"deposits":6}')
})
