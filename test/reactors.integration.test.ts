import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runCli } from './cli-run.ts'
import { ACCOUNT, filesOf, writeRunnable } from './documented.ts'
import { temporaryFolder } from './temporary.ts'

const page = filesOf('docs/reactors.md')

function project(): string {
  const folder = temporaryFolder()
  writeRunnable(folder, {
    ...page,
    'account.ts': ACCOUNT,
    'cluster.config.ts': `import { defineCluster } from 'penhold'
      import { Account } from './account.ts'
      import { Greetings, Mails, Savings } from './reactors.ts'
      const reactors = [Savings, Mails, Greetings]
      export default defineCluster({ name: 'bank', aggregates: [Account], reactors, dataDir: 'data', workers: 2, shards: 8 })`,
    'package.json': '{ "type": "module" }',
  })
  return folder
}

test('docs/reactors.md: what its program prints', () => {
  const folder = project()
  const said = execFileSync(process.execPath, [join(folder, 'main.ts')], { encoding: 'utf8', cwd: folder })
  const lines = said.trim().split('\n')
  expect(lines).toEqual([
    'account/ben 1 NonRetryableError: nobody may read of that',
    '[ 1, 2 ]',
    '1',
    'undefined',
    '1',
    'undefined true',
    '1',
    'greetings failed Error: nobody writes such a card',
  ])
})

test('penhold reactors prints which hang on which event', async () => {
  const config = join(project(), 'cluster.config.ts')
  const { code, out, err } = await runCli('reactors', '--config', config)
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out.split('\n').map((line) => line.trim().split(/\s{2,}/))).toEqual([
    ['EVENT', 'GIVEN TO', 'KIND', 'MODE', 'ON FAILURE'],
    ['account/Deposited', 'greetings', 'reactor', 'synchronous', 'park'],
    ['account/Deposited', 'mails', 'reactor', 'asynchronous', 'park'],
    ['account/Deposited', 'savings', 'reactor', 'asynchronous', 'park'],
    [''],
  ])
  const json = await runCli('reactors', '--config', config, '--json')
  expect(JSON.parse(json.out)).toMatchObject({
    events: [{ event: 'account/Deposited', kind: 'reactor', name: 'greetings' }, {}, {}],
  })
  expect(await runCli('parked', 'list', 'mails', '--config', config)).toMatchObject({ code: 1 })
})
