import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  connect,
  defineCluster,
  startNode,
  type ClusterConfig,
  type EventStore,
  type ExpectedVersion,
  type Node,
} from '../../src/index.ts'
import { Account } from '../account.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

const STREAMS = Array.from({ length: 24 }, (_, i) => `audit/${i}`)
let clusters = 0

describe.skipIf(!hasRedis)('the event store of a cluster', () => {
  let redis: RedisProcess
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())

  function define(): ClusterConfig {
    clusters += 1
    return defineCluster({
      name: `streams-${clusters}`,
      aggregates: [Account],
      dataDir: temporaryFolder(),
      workers: 'inline',
      shards: 16,
      redis: redis.url,
      timeouts: { askMs: 30_000 },
      onWarning: () => undefined,
    })
  }

  async function start(config: ClusterConfig): Promise<Node> {
    const node = await startNode(config)
    onTestFinished(() => node.close())
    return node
  }

  async function all(store: EventStore, stream: string, options = {}): Promise<unknown[]> {
    return Array.fromAsync(store.load(stream, options))
  }

  const ticked = (n: number) => ({ type: n % 2 === 0 ? 'Even' : 'Odd', data: { n }, metadata: { n } })

  test('is the same from each node and from a client', async () => {
    const config = define()
    const nodes = [await start(config), await start(config)]
    await using client = await connect({ ...config, dataDir: join(temporaryFolder(), 'none') })
    const stores = [...nodes, client].map(({ store }) => store)
    for (const stream of STREAMS) {
      await client.store.create(stream, { metadata: { stream } })
      for (const [i, store] of stores.entries()) {
        await store.append(stream, [ticked(2 * i), ticked(2 * i + 1)], { expectedVersion: 2 * i })
        const late = store.append(stream, [ticked(0)], { expectedVersion: 2 * i })
        await expect(late).rejects.toMatchObject({
          code: 'ConcurrencyError',
          outcome: 'none',
          details: { stream, expected: 2 * i, actual: 2 * i + 2 },
        })
      }
      const wanted = { filter: { types: ['Odd'], metadata: { n: { range: { from: 2 } } } }, backwards: true }
      const [first, second, third] = await Promise.all(stores.map((store) => all(store, stream)))
      expect(first).toHaveLength(6)
      expect([second, third]).toEqual([first, first])
      for (const store of stores) {
        expect(await all(store, stream, wanted)).toMatchObject([{ version: 6 }, { version: 4 }])
        expect(await store.info(stream)).toEqual({ persistence: 'simple', version: 6, metadata: { stream } })
      }
    }
    await client.store.append('account/1', [{ type: 'MoneyDeposited', data: { amount: 7 } }])
    expect(await nodes[0]!.ref(Account, '1').query('balance')).toBe(7)
  })

  test('goes on while nodes come and go, and nobody sees more than a pause', { timeout: 120_000 }, async () => {
    const config = define()
    const first = await start(config)
    await start(config)
    await using client = await connect(config)
    const { store } = client
    const long = 'metrics/long'
    for (let n = 0; n < 3_000; n += 500)
      await store.append(
        long,
        Array.from({ length: 500 }, (_, i) => ticked(n + i)),
      )
    let isOver = false
    let rounds = 0
    const writers = STREAMS.map(async (stream) => {
      let version = 0
      for (; !isOver; version += 2) {
        const aggregate = (next: number) => ({ aggregate: { type: 'order', id: stream, version: next } })
        const expectedVersion: ExpectedVersion = version === 0 ? 'no-stream' : version
        const events = [1, 2].map((i) => ({ ...ticked(version + i), ...aggregate(version + i) }))
        expect((await store.append(stream, events, { expectedVersion })).version).toBe(version + 2)
        rounds += 1
      }
      return version
    })
    const reader = (async () => {
      let reads = 0
      for (; !isOver; reads += 1) {
        let last = 0
        for await (const { version } of store.load(long)) expect(version).toBe((last += 1))
        expect(last).toBe(3_000)
      }
      return reads
    })()
    const work = async (): Promise<void> => {
      const until = rounds + 3 * STREAMS.length
      while (rounds < until) await all(store, STREAMS[0]!, { limit: 1 })
    }
    try {
      await work()
      await start(config)
      await work()
      await first.close()
      await work()
    } finally {
      isOver = true
    }
    const versions = await Promise.all(writers)
    expect(await reader).toBeGreaterThan(0)
    for (const [i, stream] of STREAMS.entries()) {
      const events = (await all(store, stream)) as { readonly version: number }[]
      expect(events.map(({ version }) => version)).toEqual(Array.from({ length: versions[i]! }, (_, n) => n + 1))
    }
  })
})
