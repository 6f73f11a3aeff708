import fs from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { connect, defineCluster, startNode, type ClusterConfig, type Node, type Overrides } from '../../src/index.ts'
import { Account } from '../account.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'
import { startInlineNode } from './inline-node.ts'
import { Troublesome } from './troublesome.ts'

const ACCOUNTS = 40
let clusters = 0

describe.skipIf(!hasRedis)('connect', () => {
  let redis: RedisProcess
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())

  function define(overrides: Partial<ClusterConfig> = {}): ClusterConfig {
    clusters += 1
    return defineCluster({
      name: `connect-${clusters}`,
      aggregates: [Account],
      dataDir: temporaryFolder(),
      workers: 'inline',
      shards: 16,
      redis: redis.url,
      timeouts: { askMs: 30_000 },
      onWarning: () => undefined,
      ...overrides,
    })
  }

  async function start(config: ClusterConfig, overrides: Overrides = {}): Promise<Node> {
    const node = await startNode(config, overrides)
    onTestFinished(() => node.close())
    return node
  }

  /** Deposits on all accounts, round after round, until told to end; then what was acknowledged, and what failed. */
  function deposit(client: Awaited<ReturnType<typeof connect>>): {
    rounds(count: number): Promise<void>
    end(): Promise<unknown[]>
  } {
    const failed: unknown[] = []
    let isEnding = false
    let done = 0
    const callers = Array.from({ length: ACCOUNTS }, async (_, i) => {
      for (let round = 1; !isEnding; round += 1) {
        try {
          const { version } = await client.ref(Account, `a${i}`).ask('deposit', { amount: 1 })
          expect(version).toBe(round)
        } catch (error) {
          failed.push(error)
          return
        }
        done += 1
      }
    })
    return {
      async rounds(count) {
        const until = done + count * ACCOUNTS
        while (done < until && failed.length === 0) await client.ref(Account, 'other').query('balance')
      },
      async end() {
        isEnding = true
        await Promise.all(callers)
        return failed
      },
    }
  }

  test('asks the nodes of a cluster, without its data directory', async () => {
    const config = define()
    await start(config)
    await start(config)
    const elsewhere = join(temporaryFolder(), 'none')
    await using client = await connect({ ...config, dataDir: elsewhere })
    for (let i = 0; i < ACCOUNTS; i += 1) {
      const account = client.ref(Account, `a${i}`)
      const { events } = await account.ask('deposit', { amount: i })
      expect(events).toMatchObject([{ type: 'MoneyDeposited', data: { amount: i } }])
      expect(await account.query('balance')).toBe(i)
    }
    await expect(client.ref(Account, 'a1').ask('withdraw', { amount: 5 })).rejects.toMatchObject({
      code: 'insufficient-funds',
      details: { balance: 1 },
    })
    expect(fs.existsSync(elsewhere)).toBe(false)
  })

  test('sees no error while nodes come, go and forget, and Redis is emptied', async () => {
    const config = define()
    const first = await start(config)
    await using client = await connect(config)
    const load = deposit(client)
    await load.rounds(2)
    await start(config)
    await load.rounds(2)
    for (let flushes = 0; flushes < 3; flushes += 1) {
      await redis.admin.flushall()
      const members = `{penhold:${config.name}}:members`
      await expect.poll(() => redis.admin.hlen(members)).toBe(2)
      await load.rounds(2)
    }
    await first.close()
    await load.rounds(2)
    expect(await load.end()).toEqual([])
  })

  test('is told that a shard is unavailable once nobody is there, and goes on when somebody is', async () => {
    const config = define({ timeouts: { askMs: 20_000, handlerMs: 5_000, stopMs: 30_000, leaseMs: 3_000 } })
    const node = await start(config)
    await using client = await connect(config)
    const account = client.ref(Account, '1')
    await account.ask('deposit', { amount: 1 })
    await node.close()
    // This one may have been sent before the client noticed.
    await expect(account.ask('deposit', { amount: 1 })).rejects.toMatchObject({ code: 'ShardUnavailable' })
    const unavailable = { code: 'ShardUnavailable', outcome: 'none', retryable: true }
    await expect(account.ask('deposit', { amount: 1 })).rejects.toMatchObject(unavailable)
    await start(config)
    await expect.poll(() => account.query('balance').catch(() => undefined)).toBe(1)
  })

  test('goes on asking nodes that Redis has forgotten', async () => {
    // What is copied below lasts.
    const config = define({ timeouts: { askMs: 20_000, handlerMs: 5_000, stopMs: 1_000, leaseMs: 60_000 } })
    await start(config)
    const forgetful = await startRedis()
    onTestFinished(() => forgetful.stop())
    for (const key of ['cluster', 'members', 'leases'].map((part) => `{penhold:${config.name}}:${part}`)) {
      await forgetful.admin.hset(key, await redis.admin.hgetall(key))
    }
    await using client = await connect(config, { redis: forgetful.url, timeouts: { leaseMs: 600 } })
    const account = client.ref(Account, '1')
    await account.ask('deposit', { amount: 1 })
    await forgetful.admin.flushall()
    const looks = async (): Promise<number> => {
      const told = await forgetful.admin.info('commandstats')
      return Number(/cmdstat_evalsha:calls=(\d+)/.exec(told)?.[1] ?? 0)
    }
    const before = await looks()
    // The client's time for a lease lies between the first and the last of them.
    await expect.poll(looks).toBeGreaterThan(before + 2)
    expect((await account.ask('deposit', { amount: 1 })).version).toBe(2)
  })

  test('goes on while Redis is away', async () => {
    const own = await startRedis()
    onTestFinished(() => own.stop())
    const config = define({
      redis: own.url,
      timeouts: { askMs: 20_000, handlerMs: 5_000, stopMs: 1_000, leaseMs: 3_000 },
    })
    await start(config)
    const warnings: string[] = []
    await using client = await connect({ ...config, onWarning: (message) => void warnings.push(message) })
    const account = client.ref(Account, '1')
    await account.ask('deposit', { amount: 1 })
    await own.kill()
    await expect.poll(() => warnings.length).toBeGreaterThan(0)
    expect((await account.ask('deposit', { amount: 1 })).version).toBe(2)
    await own.restart()
  })

  test('says what keeps it from the cluster', async () => {
    const config = define()
    const timeouts = { askMs: 3_000 }
    // Redis has the time of a long lease to say so.
    const patient = { ...timeouts, leaseMs: 60_000 }
    const notFound = { code: 'ClusterNotFound', outcome: 'none' }
    await expect(connect(config, { timeouts: patient })).rejects.toMatchObject(notFound)
    const nowhere = 'redis://127.0.0.1:1'
    await expect(connect(config, { timeouts, redis: nowhere })).rejects.toMatchObject({ code: 'LeasesUnavailable' })
    await expect(connect({ ...config, redis: undefined })).rejects.toMatchObject({ code: 'BadDefinition' })
    await expect(connect('/does/not/exist.ts')).rejects.toThrow('there is no config file /does/not/exist.ts')
    await expect(connect(undefined as never)).rejects.toThrow('connect was given undefined')
  })

  test('takes nothing more once it is closed, and knows only the aggregates of its config', async () => {
    const config = define()
    await start(config)
    const client = await connect(config)
    expect(() => client.ref(Troublesome, '1')).toThrow("has no aggregate 'troublesome'")
    const last = client.ref(Account, '1').ask('deposit', { amount: 1 })
    await client.close()
    expect((await last).version).toBe(1)
    await expect(client.ref(Account, '1').query('balance')).rejects.toMatchObject({ code: 'NodeClosed' })
  })
})

test('a node that is alone is no cluster to connect to', async () => {
  await startInlineNode()
  const config = defineCluster({
    name: 'trouble',
    aggregates: [Account],
    dataDir: temporaryFolder(),
    workers: 'inline',
  })
  await expect(connect(config)).rejects.toThrow("cluster 'trouble' has no redis")
})
