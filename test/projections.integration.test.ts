import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ACCOUNT, filesOf, readPage, writeRunnable } from './documented.ts'
import { temporaryFolder } from './temporary.ts'

const page = filesOf('docs/projections.md')

/** A folder with the page's projection, and what it takes for granted. */
function project(): string {
  const folder = temporaryFolder()
  const files = {
    ...page,
    'account.ts': ACCOUNT,
    'cluster.config.ts': `import { defineCluster } from 'penhold'
      import { Account } from './account.ts'
      import { Turnover } from './by-shard.ts'
      import { Balances } from './projections.ts'
      const projections = [Balances, Turnover]
      export default defineCluster({ name: 'bank', aggregates: [Account], projections, dataDir: 'data', workers: 2 })`,
    'main.ts': `${page['main.ts']}
      import { Turnover } from './by-shard.ts'
      for (let i = 0; i < 3; i += 1) await node.ref(Account, \`a\${i}\`).ask('deposit', { euros: 1 })
      const reply = await node.ref(Account, 'anna').ask('deposit', { euros: 5 })
      const turnover = node.projection(Turnover)
      console.log(await turnover.query(({ find }) => ({ ...find.get('account/anna') }), { after: reply.position }))
      const status = await turnover.status()
      console.log(status.lanes.length)
      console.log(Object.keys(status).toSorted().join())`,
  }
  writeRunnable(folder, files)
  return folder
}

/** The fields that its table has. */
function documentedStatus(): string {
  const [, section] = /^## Status\n.*?(^\|.*?)\n\n/ms.exec(readPage('docs/projections.md'))!
  const fields = [...section!.matchAll(/^\| `(\w+)`/gm)].map(([, field]) => field!)
  return fields.toSorted().join()
}

test('docs/projections.md: its projection has what a reply named, and is rebuilt', () => {
  const folder = project()
  const said = execFileSync(process.execPath, [join(folder, 'main.ts')], { encoding: 'utf8', cwd: folder })
  expect(said.trim().split('\n')).toEqual([
    "{ stream: 'account/ben', euros: 7 }",
    '2',
    '{ deposits: 2 }',
    '64',
    documentedStatus(),
  ])
  // Its path is relative.
  expect(fs.readdirSync(join(folder, 'data', 'read-models'))).toEqual(['balances', 'turnover'])
})

test('docs/projections.md: its test passes, and fails where the handler is another', () => {
  const folder = project()
  const run = (): unknown =>
    execFileSync(process.execPath, [join(folder, 'balances.test.ts')], { encoding: 'utf8', stdio: 'pipe', cwd: folder })
  run()
  const projections = join(folder, 'projections.ts')
  fs.writeFileSync(projections, fs.readFileSync(projections, 'utf8').replace('data.euros)', '-data.euros)'))
  expect(run).toThrow('+ { stream:')
})
