import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startNode } from '../src/index.ts'
import { Account } from './account.ts'
import { temporaryFolder } from './temporary.ts'

const page = fs.readFileSync(join(import.meta.dirname, '../docs/backup.md'), 'utf8')
const main = new URL('../src/cli/main.ts', import.meta.url).pathname

interface Step {
  /** Of the page, where one does not fit a log of today. */
  readonly as?: (command: string) => string
  readonly out: RegExp
  readonly err?: RegExp
}

const EMPTY =
  /^notice: the restored log is empty: every event of the backup is later than position \d+ \(2026-01-01T00:0/

test('docs/backup.md: its commands do what it says, one after the other', { timeout: 120_000 }, async () => {
  const folder = temporaryFolder()
  const source = new URL('.', import.meta.url).href
  const config = `import { defineCluster } from '${source}../src/index.ts'
    import { Account } from '${source}account.ts'
    export default defineCluster({ name: 'bank', aggregates: [Account], dataDir: './data', workers: 'inline' })`
  fs.writeFileSync(join(folder, 'cluster.config.ts'), config)
  const node = await startNode(new URL('cluster.config.ts', `file://${folder}/`).href, { workers: 1 })
  const { position } = await node.ref(Account, 'NL-001').ask('open', { owner: 'Ada' })
  await node.ref(Account, 'NL-001').ask('deposit', { amount: 50 })
  await node.close()
  const identity = JSON.parse(fs.readFileSync(join(folder, 'data/cluster.json'), 'utf8')) as { clusterId: string }
  const steps: readonly Step[] = [
    { out: /is backed up in/ },
    { out: /: 2 events in 1 stream,/ },
    { out: /no damage/ },
    {
      as: (command) => command.replace(/--to-time \S+/, '--to-time 2026-01-01T00:00:00Z'),
      out: /: 0 events/,
      err: EMPTY,
    },
    {
      as: (command) => command.replace(/--to-position \d+/, `--to-position ${position}`),
      out: /: 1 event in 1 stream,/,
    },
    { out: /^$/ },
    { as: (command) => command.replace(/--to-time \S+/, ''), out: /^\s*1\n$/ },
    { as: (command) => command.replace(/--cluster-id \S+/, `--cluster-id ${identity.clusterId}`), out: /: 2 events/ },
  ]
  const commands = [...page.matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block]) => block!.trim().split('\n'))
  expect(commands).toHaveLength(steps.length)
  for (const [i, { as = (same: string) => same, out, err = /^(?!notice)/ }] of steps.entries()) {
    const command = as(commands[i]!).replace(/^penhold/, `'${process.execPath}' '${main}'`)
    const { status, stdout, stderr } = spawnSync('sh', ['-c', command], { cwd: folder, encoding: 'utf8' })
    expect([command, status, stdout, stderr]).toEqual([
      command,
      0,
      expect.stringMatching(out),
      expect.stringMatching(err),
    ])
  }
  const [, example] = /^```json\n(.*?)^```/ms.exec(page)!
  const [first] = fs.readFileSync(join(folder, 'events.ndjson'), 'utf8').split('\n')
  const keysOf = (text: string): readonly string[] => Object.keys(JSON.parse(text) as object)
  expect(keysOf(first!)).toEqual(keysOf(example!).filter((key) => key !== 'metadata'))
})
