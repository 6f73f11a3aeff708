import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  connect,
  defineAggregate,
  defineCluster,
  deriveId,
  startNode,
  type Client,
  type ClusterConfig,
  type Node,
  type ReadEvent,
} from '../../src/index.ts'
import { Account } from '../account.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'
import several, { Notebook } from './cluster.config.ts'
import { startThere } from './node-there.ts'
import { all, Counter } from './reading-node.ts'
import { inTime } from '../in-time.ts'

const WAIT = { timeout: 60_000, interval: 20 }
let clusters = 0

describe.skipIf(!hasRedis)('a client that reads', { timeout: 120_000 }, () => {
  let redis: RedisProcess
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())

  function define(): ClusterConfig {
    clusters += 1
    return defineCluster({
      name: `client-reading-${clusters}`,
      aggregates: [Account, Counter],
      dataDir: temporaryFolder(),
      workers: 'inline',
      shards: 4,
      segmentBytes: 64 * 1024,
      redis: redis.url,
      onWarning: () => undefined,
    })
  }

  async function start(config: ClusterConfig): Promise<Node> {
    const node = await startNode(config)
    onTestFinished(() => node.close())
    return node
  }

  /** Without the nodes' data directory. */
  async function join(config: ClusterConfig): Promise<Client> {
    const client = await connect({ ...config, dataDir: `${config.dataDir}-none` })
    onTestFinished(() => client.close())
    return client
  }

  async function write(node: Node | Client, from: number, to: number): Promise<void> {
    const padding = 'x'.repeat(500)
    for (let i = from; i < to; i += 1) {
      const metadata = { tenant: `t${i % 3}`, size: i }
      await Promise.all([
        node.ref(Account, `a${i % 7}`).ask('deposit', { amount: i + 1 }, { metadata }),
        node.store.append(`log/${i % 5}`, [{ type: i === 7 ? 'Rare' : 'Noted', data: padding, metadata }]),
        node.store.append('counter/c', [{ type: i % 2 === 0 ? 'Increased' : 'Added', data: { by: i } }]).catch(() => 0),
      ])
    }
  }

  test('reads what a node reads, of any range, in any form', async () => {
    const config = define()
    const [node] = [await start(config), await start(config)]
    const client = await join(config)
    await write(node, 0, 60)
    const events: ReadEvent[] = await all(node.store.readAll())
    expect(events.length).toBeGreaterThanOrEqual(120)
    expect(await all(client.store.readAll())).toEqual(events)
    const inPages = await Array.fromAsync(client.store.readAll().pages())
    expect(inPages.flat()).toEqual(events)
    const at = fc.nat(events.length - 1).map((i) => events[i]!)
    const place = fc.oneof(
      at.map((event) => event.place),
      at.map(({ position }) => ({ position })),
      at.map(({ time }) => ({ time })),
    )
    const id = fc.oneof(
      at.map((event) => event.id),
      fc.constant(deriveId('none')),
    )
    const options = fc.record(
      {
        after: fc.oneof(place, fc.constant({ position: 2 ** 52 })),
        until: fc.oneof(
          place,
          id.map((eventId) => ({ eventId })),
        ),
        categories: fc.subarray(['account', 'log', 'other']),
        aggregates: fc.subarray([Account, Counter]),
        filter: fc.record(
          {
            types: fc.subarray(['MoneyDeposited', 'Rare', 'Noted', 'Added']),
            metadata: fc.constantFrom(
              { tenant: { equals: 't1' } },
              { tenant: { in: ['t0', 't2'] } },
              { tenant: { exists: false } },
              { size: { range: { from: 10, to: 20 } } },
            ),
          },
          { requiredKeys: [] },
        ),
        raw: fc.constant(true),
      },
      { requiredKeys: [] },
    )
    const outcome = async (store: Client['store'], given: object): Promise<unknown> => {
      try {
        const read = await all(store.readAll(given))
        return 'raw' in given ? read.map((event) => shown(event)) : read
      } catch (error) {
        const { code, message } = error as { readonly code?: string; readonly message: string }
        return [code, message]
      }
    }
    await fc.assert(
      fc.asyncProperty(options, async (given) => {
        expect(await outcome(client.store, given)).toEqual(await outcome(node.store, given))
      }),
      { numRuns: 150, ...inTime() },
    )
  })

  test('reads former names and shapes by its own definitions, as a node does', async () => {
    const config = define()
    const node = await start({ ...config, aggregates: [Account] })
    await node.store.append('counter/c', [{ type: 'Increased', data: { by: 3 } }])
    await node.store.append('log/1', [{ type: 'Increased' }])
    const { store } = await join(config)
    const types = { filter: { types: ['Added'] } }
    const read = await all(store.readAll(types))
    expect(read.map(({ stream, type, data }) => [stream, type, data])).toEqual([['counter/c', 'Added', { by: 3 }]])
    for await (const { type, data } of store.subscribe({ stream: 'counter/c', ...types })) {
      expect([type, data]).toEqual(['Added', { by: 3 }])
      break
    }
    for await (const event of store.subscribe({ stream: 'counter/c', raw: true })) {
      expect(event.type).toBe('Increased')
      break
    }
    const [newest] = await all(store.load('counter/c', { until: { position: read[0]!.position } }))
    expect(newest).toMatchObject({ type: 'Added' })
    const withoutPath = defineAggregate({
      type: 'counter',
      initialState: () => 0,
      events: { Reset: () => 0 },
      commands: { reset: (_sum, _none, { emit }) => emit.Reset(undefined) },
    })
    const strange = await join({ ...config, aggregates: [Account, withoutPath] })
    await expect(all(strange.store.readAll())).rejects.toMatchObject({ code: 'UnknownEvent' })
  })

  test('refuses what a node refuses, at once', async () => {
    const config = define()
    const node = await start(config)
    const client = await join(config)
    for (const options of [
      { after: 'here' },
      { after: { position: -1 } },
      { until: { eventId: 'x' } },
      { categories: 'account' },
      { aggregates: [{ ...Account, type: 'other' }] },
      { filter: { type: [] } },
      { from: 1 },
    ]) {
      const refusal = (store: Client['store']): unknown => {
        try {
          return store.readAll(options as object)
        } catch (error) {
          const { code, message } = error as { readonly code: string; readonly message: string }
          return [code, message]
        }
      }
      expect(refusal(client.store)).toEqual(refusal(node.store))
    }
    expect(() => client.store.subscribe({ stream: 'audit' })).toThrow(
      expect.objectContaining({ code: 'BadAddress' }) as Error,
    )
    const filter = { metadata: { a: { in: Array.from({ length: 1_000 }, () => 'x'.repeat(2_000)) } } }
    expect(() => client.store.readAll({ filter })).toThrow(expect.objectContaining({ code: 'TooLarge' }) as Error)
    const bigint = { metadata: { a: { equals: 2n ** 70n } } }
    expect(() => client.store.readAll({ filter: bigint })).toThrow('a bigint of more than 64 bits')
  })

  test('goes on with what comes, in order, in all forms, until it is stopped or the client is closed', async () => {
    const config = define()
    const [node] = [await start(config), await start(config)]
    const client = await join(config)
    await write(node, 0, 10)
    const { store } = client
    const seen = { all: [] as string[], raw: [] as string[], stream: [] as number[], notes: [] as number[] }
    const byHandler = store.subscribe({ aggregates: [Account] }, ({ id }) => seen.all.push(id))
    const raw = store.subscribe({ raw: true }, ({ place }) => seen.raw.push(place))
    const stream = store.subscribe({ stream: 'log/1', after: 1 }, ({ version }) => seen.stream.push(version))
    const filter = { metadata: { size: { range: { from: 6 } } } }
    const notes = store.subscribe({ stream: 'log/1', filter }, ({ version }) => seen.notes.push(version))
    const never = store.subscribe({ stream: 'log/none' }, () => expect.fail())
    await write(client, 10, 30)
    const expected = await all(node.store.readAll())
    const ofAccounts = expected.filter(({ stream: name }) => name.startsWith('account/')).map(({ id }) => id)
    await expect.poll(() => [seen.all.length, seen.raw.length], WAIT).toEqual([ofAccounts.length, expected.length])
    await expect.poll(() => [seen.stream.length, seen.notes.length], WAIT).toEqual([5, 5])
    expect(seen.all).toEqual(ofAccounts)
    expect(seen.raw).toEqual(expected.map(({ place }) => place))
    expect([seen.stream, seen.notes]).toEqual([
      [2, 3, 4, 5, 6],
      [2, 3, 4, 5, 6],
    ])
    expect([raw.after, stream.after]).toEqual([expected.at(-1)!.place, 6])
    stream.stop()
    await stream.closed
    const stop = new AbortController()
    const rest: string[] = []
    const following = (async () => {
      for await (const { type } of store.subscribe({ after: raw.after!, signal: stop.signal })) rest.push(type)
    })()
    await node.store.append('log/1', [{ type: 'Last' }])
    await expect.poll(() => seen.raw.length, WAIT).toBe(expected.length + 1)
    expect(seen.stream).toHaveLength(5)
    await expect.poll(() => seen.notes.length, WAIT).toBe(5)
    await expect.poll(() => rest, WAIT).toContain('Last')
    stop.abort()
    await following
    expect(rest).toEqual(['Last'])
    const waiting = store.subscribe({ stream: 'log/none' }).next()
    await client.close()
    for (const { closed } of [byHandler, raw, notes, never]) await closed
    expect(await waiting).toEqual({ done: true, value: undefined })
  })

  test('goes on at another node when one is killed, or closes, and misses nothing', async () => {
    const overrides = { dataDir: temporaryFolder(), redis: redis.url }
    const there = await startThere({ overrides })
    // There is no other node from which it could read.
    const client = await connect({ ...several, ...overrides, dataDir: temporaryFolder() })
    onTestFinished(() => client.close())
    const { store } = client
    const text = 'x'.repeat(300_000)
    for (let i = 0; i < 20; i += 1) await client.ref(Notebook, `n${i % 5}`).ask('note', { what: `${i} ${text}` })
    const before = await all(store.readAll())
    expect(before).toHaveLength(20)
    const seen = { all: [] as string[], stream: [] as number[] }
    store.subscribe({}, ({ id }) => seen.all.push(id))
    store.subscribe({ stream: 'notebook/n1' }, ({ version }) => seen.stream.push(version))
    const slow = store.readAll()
    const taken = [(await slow.next()).value!]
    await expect.poll(() => [seen.all.length, seen.stream.length], WAIT).toEqual([20, 4])

    const here = await startNode(new URL('cluster.config.ts', import.meta.url), overrides)
    onTestFinished(() => here.close())
    let [written, isOver] = [20, false]
    const load = (async () => {
      for (; !isOver; written += 1) await client.ref(Notebook, `n${written % 5}`).ask('note', { what: written })
    })()
    await expect.poll(() => seen.all.length, WAIT).toBeGreaterThan(40)
    await there.kill()
    const atKill = written
    await expect.poll(() => seen.all.length, WAIT).toBeGreaterThan(atKill + 100)
    const third = await startNode(new URL('cluster.config.ts', import.meta.url), overrides)
    onTestFinished(() => third.close())
    await here.close()
    const atClose = written
    await expect.poll(() => seen.all.length, WAIT).toBeGreaterThan(atClose + 100)
    isOver = true
    await load
    const everything = await all(third.store.readAll())
    expect(everything).toHaveLength(written)
    await expect.poll(() => seen.all.length, WAIT).toBe(written)
    expect(seen.all).toEqual(everything.map(({ id }) => id))
    const ofStream = everything.filter(({ stream }) => stream === 'notebook/n1').map(({ version }) => version)
    await expect.poll(() => seen.stream.length, WAIT).toBe(ofStream.length)
    expect(seen.stream).toEqual(ofStream)
    // What it has not taken before, it gets from a node that was not there when it began, and nothing that came later.
    for await (const event of slow) taken.push(event)
    expect(taken).toEqual(before)
  })

  test('waits for a node where it goes on and on, and fails where it has an end to come to', async () => {
    const config = define()
    const node = await start(config)
    const client = await join(config)
    const impatient = await connect(config, { timeouts: { askMs: 4_000 } })
    onTestFinished(() => impatient.close())
    const seen: number[] = []
    client.store.subscribe({ stream: 'log/1' }, ({ version }) => seen.push(version))
    await node.store.append('log/1', [{ type: 'Noted' }])
    await expect.poll(() => seen, WAIT).toEqual([1])
    await node.close()
    await expect(all(impatient.store.readAll())).rejects.toMatchObject({ code: 'ShardUnavailable', outcome: 'none' })
    const next = await start(config)
    await next.store.append('log/1', [{ type: 'Noted' }])
    await expect.poll(() => seen, WAIT).toEqual([1, 2])
    expect(await all(client.store.readAll())).toHaveLength(2)
  })
})

/** What a raw event says by its getters. */
function shown(event: object): object {
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(event)).filter((name) => name !== 'constructor')
  return Object.fromEntries(names.map((name) => [name, Reflect.get(event, name) as unknown]))
}
