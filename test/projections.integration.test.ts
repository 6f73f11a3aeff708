import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from './temporary.ts'

const page = fs.readFileSync(join(import.meta.dirname, '../docs/projections.md'), 'utf8')
const penhold = new URL('../src/index.ts', import.meta.url).href
const testing = new URL('../src/testing/index.ts', import.meta.url).href

function example(name: string): string {
  const [, code] = new RegExp(`^\`\`\`ts\n// ${name.replace('.', '\\.')}\n(.*?)^\`\`\``, 'ms').exec(page)!
  return code!.replaceAll("'penhold'", `'${penhold}'`).replaceAll("'penhold/testing'", `'${testing}'`)
}

/** A folder with the page's projection, and what it takes for granted. */
function project(): string {
  const folder = temporaryFolder()
  const files = {
    'account.ts': `import { defineAggregate } from '${penhold}'
      export const Account = defineAggregate({
        type: 'account',
        initialState: () => 0,
        events: { Deposited: (balance, { euros }) => balance + euros },
        commands: { deposit: (_balance, order, { emit }) => emit.Deposited(order) },
      })`,
    'cluster.config.ts': `import { defineCluster } from '${penhold}'
      import { Account } from './account.ts'
      import { Turnover } from './by-shard.ts'
      import { Balances } from './projections.ts'
      const projections = [Balances, Turnover]
      export default defineCluster({ name: 'bank', aggregates: [Account], projections, dataDir: 'data', workers: 2 })`,
    'by-shard.ts': example('by-shard.ts'),
    'projections.ts': example('projections.ts'),
    'main.ts': `${example('main.ts')}
      import { Turnover } from './by-shard.ts'
      for (let i = 0; i < 3; i += 1) await node.ref(Account, \`a\${i}\`).ask('deposit', { euros: 1 })
      const reply = await node.ref(Account, 'anna').ask('deposit', { euros: 5 })
      const turnover = node.projection(Turnover)
      console.log(await turnover.query(({ find }) => ({ ...find.get('account/anna') }), { after: reply.position }))
      console.log((await turnover.status()).lanes.length)`,
    'balances.test.ts': example('balances.test.ts'),
  }
  for (const [name, code] of Object.entries(files)) fs.writeFileSync(join(folder, name), code)
  return folder
}

test('docs/projections.md: its projection has what a reply named, and is rebuilt', () => {
  const folder = project()
  const said = execFileSync(process.execPath, [join(folder, 'main.ts')], { encoding: 'utf8', cwd: folder })
  expect(said.trim().split('\n')).toEqual(["{ stream: 'account/ben', euros: 7 }", '2', '{ deposits: 2 }', '64'])
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
