/** A deployment that is under way: the data of an event has another shape in the code of a newer node. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { defineAggregate, defineCluster, defineProcess, startNode } from '../../src/index.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

/** Where each falls is another matter in each cluster: so many that always some cross from the newer node to the older. */
const IDS = Array.from({ length: 80 }, (_, i) => `o${i}`)
const WAIT = { timeout: 60_000, interval: 20 }

const OldOrder = defineAggregate({
  type: 'order',
  initialState: () => 0,
  events: { Placed: (_euros, { euros }: { euros: number }) => euros },
  commands: { place: (_euros, placed: { euros: number }, { emit }) => emit.Placed(placed) },
})
const Order = defineAggregate({
  type: 'order',
  initialState: () => 0,
  events: { Placed: (_cents, { cents }: { cents: number }) => cents },
  upcasters: { Placed: [({ euros }: { euros: number }) => ({ cents: euros * 100 })] },
  commands: { place: (_cents, placed: { cents: number }, { emit }) => emit.Placed(placed) },
})

/** Each process is in another shard than its order, or in the same, as it comes. What fails is parked at once. */
const common = { type: 'billing', startAt: 'beginning', retries: 0, initialState: () => 0 } as const
const OldBilling = defineProcess({
  ...common,
  from: [OldOrder],
  correlate: { Placed: ({ stream }) => `of-${stream.slice('order/'.length)}` },
  evolve: { Placed: (cents, { data }) => cents + data.euros * 100 },
  on: {},
})
const Billing = defineProcess({
  ...common,
  from: [Order],
  correlate: { Placed: ({ stream }) => `of-${stream.slice('order/'.length)}` },
  evolve: { Placed: (cents, { data }) => cents + data.cents },
  on: {},
})

const timeouts = { askMs: 30_000 }
const settings = { name: 'deploying', shards: 8, workers: 'inline', timeouts, onWarning: () => undefined } as const

test.skipIf(!hasRedis)(
  'an event of a newer shape waits for a process that an older node serves, and is not parked',
  { timeout: 180_000 },
  async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    const shared = { ...settings, dataDir: temporaryFolder(), redis: redis.url }
    const older = defineCluster({ ...shared, aggregates: [OldOrder], processes: [OldBilling], nodeName: 'old' })
    const old = await startNode(older)
    onTestFinished(() => old.close())
    for (const id of IDS) await old.ref(OldOrder, id).ask('place', { euros: 1 })
    const node = await startNode(defineCluster({ ...shared, aggregates: [Order], processes: [Billing] }))
    onTestFinished(() => node.close())
    const shardsHere = async () => (await node.status()).workers.flatMap((worker) => worker?.shards ?? [])
    await vi.waitFor(async () => expect(await shardsHere()).toHaveLength(4), WAIT)

    const asked = IDS.map((id) => node.ref(Order, id).ask('place', { cents: 5 }))
    const told = await Promise.allSettled(asked)
    expect(told.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0)
    const lanes = async () => (await node.reactor({ name: 'billing.told' }).status()).lanes
    await vi.waitFor(async () => {
      const troubles = (await lanes()).map(({ trouble }) => trouble?.message ?? '')
      expect(troubles).toContainEqual(expect.stringMatching(/the node 'old' .* does not know what to do with an event/))
    }, WAIT)

    await old.close()
    await vi.waitFor(async () => {
      for (const id of IDS) {
        const events = await Array.fromAsync(node.store.load(`order/${id}`))
        const cents = events.reduce((sum, { data }) => sum + (data as { cents: number }).cents, 0)
        expect((await node.process(Billing, `of-${id}`).state()).state, id).toBe(cents)
      }
    }, WAIT)
    expect(await node.reactor({ name: 'billing.told' }).parked()).toEqual([])
  },
)
