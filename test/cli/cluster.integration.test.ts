import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { connect, type Client } from '../../src/index.ts'
import { Account } from '../account.ts'
import { cli, startCliNode, type CliNode } from '../cli-node.ts'
import { runCli, type Said } from '../cli-run.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

const SHARDS = 8
/** Nothing moves, and no command gives Redis up, because a machine has stalled for a moment. */
const PATIENT = 'timeouts: { leaseMs: 10_000 }'
const WAIT = { timeout: 60_000 }

interface StatusJson {
  readonly members: readonly {
    id: string
    name: string
    address: string
    state: string
    workers: number
    shardsByWorker: number[]
    lagByWorker?: { state: string; records: number; bytes: number; oldestMs: number }[]
    silence?: string
  }[]
  readonly leases: readonly { shard: number; epoch: number; ageMs: number; state?: string; seq?: number }[]
  readonly unowned: readonly number[]
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)
const statesOf = ({ leases }: StatusJson): unknown[] => leases.map(({ state }) => state)

describe.skipIf(!hasRedis)('penhold, of a cluster,', { timeout: 180_000 }, () => {
  let redis: RedisProcess
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())

  /** A cluster of this test's own: its config, and the environment that its commands have. */
  function cluster(more = PATIENT): { readonly config: string; readonly environment: NodeJS.ProcessEnv } {
    const folder = temporaryFolder()
    const config = join(folder, 'cluster.config.ts')
    const name = `cli-${folder.split('-').at(-1)}`
    fs.writeFileSync(
      config,
      `import { defineCluster } from ${JSON.stringify(join(import.meta.dirname, '../../src/index.ts'))}
       import { Account } from ${JSON.stringify(join(import.meta.dirname, '../account.ts'))}
       export default defineCluster({ name: '${name}', aggregates: [Account], dataDir: 'data', workers: 1, shards: ${SHARDS}, ${more} })`,
    )
    return { config, environment: { ...process.env, PENHOLD_REDIS: redis.url } }
  }

  type Cluster = ReturnType<typeof cluster>

  /** Within this process, with that environment. */
  async function penhold({ config, environment }: Cluster, ...words: string[]): Promise<Said> {
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
    try {
      return await runCli(...words, '--config', config)
    } finally {
      vi.unstubAllEnvs()
    }
  }

  /** In a process of its own, which has to end by itself. */
  function spawned({ config, environment }: Cluster, ...words: string[]): Said {
    const options = { env: environment, encoding: 'utf8', timeout: 60_000 } as const
    const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...words, '--config', config], options)
    return { code: status, out: stdout, err: stderr }
  }

  async function look(of: Cluster): Promise<StatusJson> {
    return JSON.parse((await penhold(of, 'status', '--json')).out) as StatusJson
  }

  function start({ config, environment }: Cluster, more: NodeJS.ProcessEnv = {}, ...words: string[]): Promise<CliNode> {
    return startCliNode({ config, environment: { ...environment, ...more }, words })
  }

  /** Waits for the first node. */
  async function connectInTime({ config }: Cluster): Promise<Client> {
    const connecting = (): Promise<Client | undefined> => connect(config, { redis: redis.url }).catch(() => undefined)
    return vi.waitUntil(connecting, WAIT)
  }

  async function stop(child: ChildProcess): Promise<number | null> {
    child.kill('SIGTERM')
    const [code] = (await once(child, 'exit')) as [number | null]
    return code
  }

  test('nodes start with what the environment says, are shown, answer probes, are drained and stopped', async () => {
    const bank = cluster()
    const health = { PENHOLD_HEALTH: '127.0.0.1:0' }
    const [first, second] = await Promise.all([
      start(bank, { ...health, PENHOLD_NODE_NAME: 'first', PENHOLD_WORKERS: '2' }),
      start(bank, { ...health, PENHOLD_NODE_NAME: 'second', PENHOLD_ADVERTISE: '' }),
    ])
    await using client = await connect(bank.config, { redis: redis.url })
    await client.ref(Account, '1').ask('deposit', { amount: 1 })

    const settled = Array.from({ length: SHARDS }, (_, shard) => [shard, 'served'])
    const shares = async (): Promise<object> => {
      const { members, leases } = await look(bank)
      return {
        members: members.map(({ shardsByWorker, ...member }) => ({ ...member, shards: sum(shardsByWorker) })),
        leases: leases.map(({ shard, state }) => [shard, state]),
        events: sum(leases.map(({ seq }) => seq!)),
      }
    }
    const lag = { state: 'writes', records: 0, bytes: 0, oldestMs: 0 }
    await expect.poll(shares, WAIT).toMatchObject({
      members: [
        { name: 'first', workers: 2, state: 'up', shards: 4, lagByWorker: [lag, lag] },
        { name: 'second', workers: 1, state: 'up', shards: 4, lagByWorker: [lag] },
      ],
      leases: settled,
      events: 1,
    })
    // A node that the machine lets wait is shown as silent.
    const shown = expect.poll(() => spawned(bank, 'status', '--shards'), WAIT)
    const everything =
      /first +127\.0\.0\.1:\d+ +up +2 [^]*^second +0 +4 +writes +\d+ +0 +0 +0 ms$[^]*SHARD +NODE[^]*every shard has an owner/m
    await shown.toMatchObject({ code: 0, out: expect.stringMatching(everything) as string })

    const url = /http:\S+/.exec(first.said)![0]
    const ready = async (): Promise<number> => (await fetch(url)).status
    await expect.poll(ready, WAIT).toBe(200)
    expect(spawned(bank, 'drain', 'first')).toMatchObject({ code: 0, out: 'first has no shards\n' })
    expect(await ready(), 'drained it is alive, and not ready').toBe(503)
    expect((await fetch(url.replace('ready', 'live'))).status).toBe(200)
    const drained = async () => (await look(bank)).members.find(({ name }) => name === 'first')
    await expect.poll(drained, WAIT).toMatchObject({ state: 'draining', shardsByWorker: [0, 0] })
    expect(await client.ref(Account, '1').query('balance')).toBe(1)

    expect(await penhold(bank, 'drain', 'second')).toMatchObject({ code: 1 })
    expect(await penhold(bank, 'drain', 'third')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^penhold: there is no node 'third', of .*; .*penhold status/) as string,
    })
    expect(await stop(first)).toBe(0)
    await expect.poll(async () => (await look(bank)).members.map(({ name }) => name), WAIT).toEqual(['second'])
    await client.close()
    expect(await stop(second)).toBe(0)
    await expect
      .poll(() => penhold(bank, 'status'), WAIT)
      .toMatchObject({ code: 1, out: expect.stringContaining('without an owner: 8') as string })
  })

  test('a node that hangs is shown with what it holds, and as silent', async () => {
    const bank = cluster('timeouts: { leaseMs: 60_000 }')
    const node = await start(bank, { PENHOLD_NODE_NAME: 'hanging' })
    await expect.poll(async () => (await look(bank)).unowned, WAIT).toEqual([])
    node.kill('SIGSTOP')
    const { members, leases } = await look(bank)
    expect(members).toMatchObject([
      { name: 'hanging', shardsByWorker: [SHARDS], silence: expect.any(String) as string },
    ])
    expect(statesOf({ members, leases, unowned: [] })).toEqual(leases.map(() => undefined))
    const shown = await penhold(bank, 'status')
    expect(shown).toMatchObject({ code: 1, err: expect.stringContaining('hanging does not say') as string })
    expect(shown.out).toContain('8 shards are with hanging, which does not answer')
    expect(shown.out).toMatch(/^hanging +0 +8 +silent/m)
    node.kill('SIGCONT')
    await expect.poll(async () => (await look(bank)).members[0]?.lagByWorker, WAIT).toHaveLength(1)
  })

  test('who lacks the secret is shown what Redis knows, and not how far the nodes are', async () => {
    const bank = cluster()
    const secret = { PENHOLD_SECRETS: 'a secret of thirty-two characters' }
    await start(bank, { ...secret, PENHOLD_NODE_NAME: 'closed' })
    const other = { PENHOLD_SECRETS: 'another one of thirty-two characters' }
    for (const environment of [bank.environment, { ...bank.environment, ...other }]) {
      await expect
        .poll(() => penhold({ ...bank, environment }, 'status'), WAIT)
        .toMatchObject({
          code: 1,
          err: expect.stringMatching(/^penhold: closed refuses: .* secret.*\n$/) as string,
          out: expect.stringMatching(/^closed +0 +\d +refuses/m) as string,
        })
      await expect
        .poll(async () => (await look(bank)).members, WAIT)
        .toMatchObject([{ silence: expect.any(String) as string, isRefused: true }])
    }
    const known = () => look({ ...bank, environment: { ...bank.environment, ...secret } })
    await expect.poll(async () => (await known()).members[0]?.lagByWorker, WAIT).toHaveLength(1)
  })

  test('a node that cannot answer probes where the environment says does not start', async () => {
    const bank = cluster()
    const taken = { ...bank, environment: { ...bank.environment, PENHOLD_HEALTH: `127.0.0.1:${redis.port}` } }
    expect(await penhold(taken, 'start')).toMatchObject({
      code: 1,
      err: expect.stringContaining('cannot answer probes') as string,
    })
    const wrong = { ...bank, environment: { ...bank.environment, PENHOLD_HEALTH: '8080' } }
    expect(await penhold(wrong, 'start')).toMatchObject({ code: 1, err: expect.stringContaining("'8080'") as string })
  })

  test('of two nodes of one name each is drained by its id', async () => {
    const bank = cluster()
    await Promise.all([start(bank, { PENHOLD_NODE_NAME: 'twin' }), start(bank, { PENHOLD_NODE_NAME: 'twin' })])
    expect(await penhold(bank, 'drain', 'twin')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^penhold: 'twin' is the name of 2 nodes, of .*; give the id of one/) as string,
    })
    const { members } = await look(bank)
    expect(await penhold(bank, 'drain', members[1]!.id)).toMatchObject({ code: 0 })
  })

  test('a node serves, and stops in order, though whoever read what it tells is gone', async () => {
    const bank = cluster()
    const node = spawn(process.execPath, [cli, 'start', '--config', bank.config], { env: bank.environment })
    onTestFinished(() => void node.kill('SIGKILL'))
    node.stdout.destroy()
    node.stderr.destroy()
    await using client = await connectInTime(bank)
    await client.ref(Account, '1').ask('deposit', { amount: 1 })
    await expect.poll(() => penhold(bank, 'status'), WAIT).toMatchObject({ code: 0 })
    expect([node.exitCode, await stop(node)]).toEqual([null, 0])
  })

  test('a node answers probes where the command line says, whatever config and environment say', async () => {
    const taken = `127.0.0.1:${redis.port}`
    const bank = cluster(`health: { listen: '${taken}' }, ${PATIENT}`)
    const node = await start(bank, { PENHOLD_HEALTH: taken }, '--health', '127.0.0.1:0')
    const url = /http:\S+/.exec(node.said)![0]
    expect(new URL(url).host).not.toBe(taken)
    await expect.poll(async () => (await fetch(url)).status, WAIT).toBe(200)
    for (const wrong of ['8080', '']) {
      expect(await penhold(bank, 'start', '--health', wrong)).toMatchObject({
        code: 1,
        err: expect.stringMatching(`^penhold: BadDefinition: health.listen: '${wrong}' is no address`) as string,
      })
    }
  })

  test('a secret that is too short ends each command at once, and the message names who gave it', async () => {
    const given = cluster("network: { secrets: ['short'] }")
    const bank = cluster()
    const short = {
      ...bank,
      environment: { ...bank.environment, PENHOLD_SECRETS: 'a secret of thirty-two characters,x' },
    }
    for (const words of [['status'], ['drain', 'first'], ['start']]) {
      const [byConfig, byEnvironment] = [await penhold(given, ...words), await penhold(short, ...words)]
      expect(byConfig).toMatchObject({
        code: 1,
        err: expect.stringContaining('network.secrets[0] has 5 bytes') as string,
      })
      expect(byEnvironment).toMatchObject({
        code: 1,
        err: expect.stringContaining('PENHOLD_SECRETS[1] has 1 byte') as string,
      })
      for (const { err } of [byConfig, byEnvironment]) expect(err).toContain('openssl rand -hex 32')
    }
  })

  test('a second signal ends a node at once', async () => {
    // Redis hangs, and the node waits for a quarter of this for it.
    const bank = cluster('timeouts: { leaseMs: 200_000 }')
    const node = await start(bank)
    redis.pause()
    try {
      const isStopping = once(node.stderr!, 'data')
      node.kill('SIGTERM')
      await isStopping
      node.kill('SIGINT')
      expect(await once(node, 'exit')).toEqual([null, 'SIGINT'])
    } finally {
      redis.resume()
    }
  })

  test('the doctor looks at Redis and the volume, and leaves nothing behind', async () => {
    const bank = cluster()
    const { code, out } = spawned(bank, 'doctor', '--json')
    expect(code).toBe(0)
    const { checks, dataDir } = JSON.parse(out) as { checks: { about: string; verdict: string }[]; dataDir: string }
    expect(checks.map(({ about }) => about)).toEqual([
      'redis',
      'redis',
      'clock',
      'volume',
      'volume',
      'volume',
      'volume',
    ])
    expect(checks.filter(({ verdict }) => verdict === 'refused')).toEqual([])
    expect(fs.readdirSync(dataDir)).toEqual([])
    const nowhere = { ...bank, environment: { PENHOLD_REDIS: 'redis://127.0.0.1:1' } }
    expect(await penhold(nowhere, 'doctor')).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^refused +redis: /) as string,
    })
  })

  test('what cannot be done is told in a line', async () => {
    const bank = cluster()
    expect(await penhold(bank, 'status')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^penhold: ClusterNotFound: /) as string,
    })
    const nowhere = { ...bank, environment: { PENHOLD_REDIS: 'redis://127.0.0.1:1' } }
    expect(await penhold(nowhere, 'status')).toMatchObject({
      code: 1,
      err: expect.stringMatching(
        /^penhold: LeasesUnavailable: Redis at 127\.0\.0\.1:1 does not .*\. See that it runs.*\n$/,
      ) as string,
    })
    const taken = { ...bank, environment: { ...bank.environment, PENHOLD_LISTEN: `127.0.0.1:${redis.port}` } }
    expect(spawned(taken, 'start')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^penhold: the network: .*\n$/) as string,
    })
    const wrong = { ...bank, environment: { ...bank.environment, PENHOLD_WORKERS: 'many' } }
    expect(await penhold(wrong, 'start')).toMatchObject({ code: 2, err: expect.stringContaining("'many'") as string })
    const asJson = JSON.parse((await penhold(nowhere, 'status', '--json')).err) as unknown
    expect(asJson).toEqual({ error: { code: 'LeasesUnavailable', message: expect.any(String) as string } })
    const alone = { ...bank, environment: { ...bank.environment, PENHOLD_REDIS: ' ' } }
    expect(await penhold(alone, 'status')).toMatchObject({
      code: 1,
      err: expect.stringContaining('there is nothing to ask') as string,
    })
  })
})
