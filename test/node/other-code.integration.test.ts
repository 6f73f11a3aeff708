/** A deployment that is under way: a node runs code that has no aggregate, no process and no command of those that others have. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { connect, defineAggregate, defineCluster, defineProcess, defineReactor, startNode } from '../../src/index.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

/** Where each falls is another matter in each cluster: so many that each consumer meets some that cross to the older node. */
const IDS = Array.from({ length: 80 }, (_, i) => `o${i}`)
const WAIT = { timeout: 60_000, interval: 20 }

const order = {
  type: 'order',
  initialState: () => 0,
  events: { Placed: (times: number) => times + 1 },
} as const
const place = (_times: number, _none: undefined, { emit }: { emit: { Placed: () => any } }) => emit.Placed()
const OldOrder = defineAggregate({ ...order, commands: { place } })
const Order = defineAggregate({ ...order, commands: { place, again: place }, queries: { times: (times) => times } })
const Parcel = defineAggregate({
  type: 'parcel',
  initialState: () => 0,
  events: { Packed: (times) => times + 1 },
  commands: { pack: (_times, _none: undefined, { emit }) => emit.Packed() },
})

/** What fails is told, or parked, at once. */
const Packing = defineProcess({
  type: 'packing',
  from: [Order],
  to: [Parcel],
  startAt: 'beginning',
  retries: 0,
  correlate: { Placed: ({ stream }) => stream.slice('order/'.length) },
  initialState: (): readonly string[] => [],
  evolve: { 'parcel/pack': (outcomes, { kind }) => [...outcomes, kind] },
  on: {
    Placed: (_outcomes, _placed, { key, send }) => send(Parcel, `process-${key}`, 'pack'),
    'parcel/pack': () => undefined,
  },
})
const Packs = defineReactor({
  name: 'packs',
  from: [Order],
  startAt: 'beginning',
  retries: 0,
  on: { Placed: ({ stream }, { ask }) => ask(Parcel, stream.replace('order/', 'reactor-'), 'pack') },
})

const timeouts = { askMs: 30_000 }
const settings = { name: 'deploying', shards: 8, workers: 'inline', timeouts, onWarning: () => undefined } as const

test.skipIf(!hasRedis)(
  'what an older node does not know fails with its name and can be asked again; who consumes events waits for another node',
  { timeout: 180_000 },
  async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    const shared = { ...settings, dataDir: temporaryFolder(), redis: redis.url }
    const config = defineCluster({ ...shared, aggregates: [Order, Parcel], processes: [Packing], reactors: [Packs] })
    const old = await startNode(defineCluster({ ...shared, aggregates: [OldOrder], nodeName: 'old' }))
    onTestFinished(() => old.close())
    for (const id of IDS) await old.ref(OldOrder, id).ask('place')
    const node = await startNode(config, { nodeName: 'new' })
    onTestFinished(() => node.close())
    await vi.waitFor(async () => {
      const { workers } = await node.status()
      expect(workers.flatMap((worker) => worker?.shards ?? [])).toHaveLength(4)
    }, WAIT)

    await using client = await connect(config)
    const unknown = { code: 'NotSupported', outcome: 'none', retryable: true, details: expect.anything() as object }
    for (const caller of [node, client]) {
      const asked = IDS.flatMap((id) => [
        caller.ref(Parcel, id).ask('pack'),
        caller.ref(Order, id).ask('again'),
        caller.ref(Order, id).query('times'),
        caller.ref(Parcel, id).state(),
      ])
      const failures = (await Promise.allSettled(asked)).flatMap((each) =>
        each.status === 'rejected' ? each.reason : [],
      )
      expect(failures.length).toBeGreaterThan(0)
      expect(failures.length).toBeLessThan(asked.length)
      for (const error of failures) {
        expect(error).toMatchObject(unknown)
        expect(String(error)).toMatch(/the node 'old' \(127.0.0.1:\d+\) serves (order|parcel)\/o\d+ and does not know/)
      }

      // Whoever does not know the aggregate would take any event for it.
      const appended = IDS.flatMap((id) => [
        caller.store.append(`parcel/${id}`, [{ type: 'NoneOfIts' }]),
        caller.store.create(`parcel/${id}`, { persistence: 'partitioned' }),
      ])
      const codes = (await Promise.allSettled(appended)).map((each) =>
        each.status === 'rejected' ? (each.reason as { code: string }).code : 'appended',
      )
      expect(new Set(codes)).toEqual(new Set(['NotSupported', 'BadPayload']))
    }
    // Both consumers meet the older node, and wait for it.
    const waiting = async (name: string): Promise<boolean> => {
      const { lanes } = await node.reactor({ name }).status()
      return lanes.some(({ trouble }) => trouble?.message.includes("the node 'old'"))
    }
    await vi.waitFor(async () => {
      for (const name of ['packs', 'packing.told', 'packing.sent']) expect(await waiting(name), name).toBe(true)
    }, WAIT)

    await old.close()
    await vi.waitFor(async () => {
      for (const id of IDS) {
        const times = await node.ref(Order, id).query('times')
        const outcomes = await node.process(Packing, id).state()
        expect(await node.ref(Parcel, `reactor-${id}`).state(), id).toBe(times)
        expect(outcomes.state, id).toEqual(Array.from({ length: times }, () => 'accepted'))
      }
    }, WAIT)
    for (const name of ['packs', 'packing.told', 'packing.sent'])
      expect(await node.reactor({ name }).parked()).toEqual([])
  },
)
