import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { connect, startNode } from '../../src/index.ts'
import { Account } from '../account.ts'
import { cli, startCliNode } from '../cli-node.ts'
import { runCli } from '../cli-run.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

const source = (path: string): string => JSON.stringify(join(import.meta.dirname, '../..', path))

/** A config with an outbox of deposits, and where it is. */
function configure(
  publisher: string,
  { runs = 'inside', more = '' } = {},
): { readonly config: string; readonly folder: string } {
  const folder = temporaryFolder()
  const config = join(folder, 'cluster.config.ts')
  fs.writeFileSync(
    config,
    `import fs from 'node:fs'
     import { defineCluster, defineOutbox, PublishRefused, redisStreamPublisher } from ${source('src/index.ts')}
     import { Account } from ${source('test/account.ts')}
     const deposits = defineOutbox({
       name: 'deposits', startAt: 'beginning', from: [Account], retries: 0, runs: '${runs}',
       map: { MoneyDeposited: ({ data }) => ({ type: 'deposited', data }) },
       publisher: ${publisher},
     })
     export default defineCluster({
       name: 'outbox-${folder.split('-').at(-1)}', aggregates: [Account], outboxes: [deposits], dataDir: 'data', shards: 8, ${more}
     })`,
  )
  return { config, folder }
}

const toFile = (file: string): string =>
  `async (messages) => fs.appendFileSync(${JSON.stringify(file)}, messages.map(({ json }) => json + '\\n').join(''))`

async function deposit(
  ref: (id: string) => { ask(name: 'open' | 'deposit', payload: never): Promise<unknown> },
  times: number,
) {
  for (const id of ['a', 'b', 'c']) {
    await ref(id).ask('open', { owner: id } as never)
    for (let amount = 1; amount <= times; amount += 1) await ref(id).ask('deposit', { amount } as never)
  }
}

/** The versions of each stream, in the order in which they first came. */
function versionsOf(lines: readonly string[]): Record<string, string[]> {
  const versions: Record<string, string[]> = {}
  for (const line of lines) {
    const { stream, version } = JSON.parse(line) as { stream: string; version: string }
    const of = (versions[stream] ??= [])
    if (!of.includes(version)) of.push(version)
  }
  return versions
}

const all = { 'account/a': ['2', '3', '4'], 'account/b': ['2', '3', '4'], 'account/c': ['2', '3', '4'] }

test('of a node that is alone and not running, an outbox publishes once what is there', async () => {
  const file = join(temporaryFolder(), 'published')
  const { config, folder } = configure(toFile(file))
  // Nobody publishes while the events come about.
  const silent = configure(`async () => { throw new Error('away') }`)
  const overrides = { dataDir: join(folder, 'data'), workers: 'inline' } as const
  fs.writeFileSync(
    silent.config,
    fs.readFileSync(silent.config, 'utf8').replace(/outbox-\w+/, `outbox-${folder.split('-').at(-1)}`),
  )
  const module = (await import(silent.config)) as { default: Parameters<typeof startNode>[0] }
  const node = await startNode({ ...(module.default as object), onWarning: () => undefined } as never, overrides)
  await deposit((id) => node.ref(Account, id), 3)
  await node.close()

  const said = await runCli('outbox', 'deposits', '--once', '--json', '--config', config)
  expect(said).toMatchObject({ code: 0, err: '' })
  expect(JSON.parse(said.out)).toEqual({ outbox: 'deposits', events: 9, parkedStreams: 0 })
  const lines = fs.readFileSync(file, 'utf8').trim().split('\n')
  expect(lines).toHaveLength(9)
  expect(versionsOf(lines)).toEqual(all)
  // Again there is nothing to do.
  expect((await runCli('outbox', 'deposits', '--once', '--config', config)).out).toBe(
    'outbox deposits has published what was there, of 0 events\n',
  )
  expect(fs.readFileSync(file, 'utf8').trim().split('\n')).toHaveLength(9)
  const wrong = await runCli('outbox', 'deposit', '--once', '--config', config)
  expect(wrong).toMatchObject({ code: 1, err: expect.stringContaining("the nearest is 'deposits'") as string })
})

test('once ends with an error where events are parked', async () => {
  const { config, folder } = configure(
    `async (messages) => { for (const m of messages) if (m.stream === 'account/b') throw new PublishRefused(m, 'never') }`,
  )
  const module = (await import(config)) as { default: object }
  const options = { ...module.default, outboxes: [], workers: 'inline', onWarning: () => undefined }
  const node = await startNode(options as never, { dataDir: join(folder, 'data') })
  await deposit((id) => node.ref(Account, id), 1)
  await node.close()
  const said = await runCli('outbox', 'deposits', '--once', '--config', config)
  expect(said).toMatchObject({ code: 1, err: expect.stringContaining('events of 1 stream are parked') as string })
})

test.skipIf(!hasRedis)('beside the nodes of a cluster an outbox publishes in a process of its own', async () => {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  const publisher = `redisStreamPublisher({ redis: '${redis.url}', stream: 'deposits' })`
  const more = `redis: '${redis.url}', workers: 1, timeouts: { askMs: 30_000 }`
  const { config } = configure(publisher, { runs: 'apart', more })
  const environment = process.env
  const nodes = await Promise.all([startCliNode({ config, environment }), startCliNode({ config, environment })])
  await using client = await connect(config)
  await deposit((id) => client.ref(Account, id), 3)
  // The nodes leave it to others.
  expect(await redis.admin.exists('deposits')).toBe(0)

  const arrived = async (): Promise<readonly string[]> =>
    (await redis.admin.xrange('deposits', '-', '+')).map(([, fields]) => fields[5]!)
  const child = spawn(process.execPath, [cli, 'outbox', 'deposits', '--json', '--config', config], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  expect(JSON.parse(String(line))).toEqual({ outbox: 'deposits', shards: 8 })
  await expect.poll(async () => versionsOf(await arrived())).toEqual(all)
  // A node dies, and another has its shards.
  nodes[0].kill('SIGKILL')
  await client.ref(Account, 'a').ask('deposit', { amount: 4 })
  await expect.poll(async () => versionsOf(await arrived())['account/a']).toEqual(['2', '3', '4', '5'])
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([0, null])

  await client.ref(Account, 'a').ask('deposit', { amount: 5 })
  const said = await runCli('outbox', 'deposits', '--once', '--json', '--config', config)
  expect(said).toMatchObject({ code: 0 })
  expect(JSON.parse(said.out)).toMatchObject({ events: 1, parkedStreams: 0 })
  expect(versionsOf(await arrived())['account/a']).toEqual(['2', '3', '4', '5', '6'])
})

test.skipIf(!hasRedis)('an outbox that nodes run is not run beside them', async () => {
  const { config } = configure('async () => undefined', { more: `redis: 'redis://127.0.0.1:1', workers: 1` })
  const said = await runCli('outbox', 'deposits', '--once', '--config', config)
  expect(said).toMatchObject({ code: 1, err: expect.stringContaining("say runs: 'apart'") as string })
})
