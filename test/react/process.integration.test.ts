import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import {
  defineAggregate,
  defineCluster,
  defineProcess,
  startNode,
  type ClusterConfig,
  type Node,
} from '../../src/index.ts'
import { Fulfilment } from '../../examples/orders/fulfilment.ts'
import { Order } from '../../examples/orders/order.ts'
import { Payment } from '../../examples/orders/payment.ts'
import { Shipment } from '../../examples/orders/shipment.ts'
import { NodeEffects } from '../../src/node/effects.ts'
import type { RefHost } from '../../src/cluster/ref.ts'
import { aggregateOf } from '../../src/react/process-aggregate.ts'
import { consumersOf } from '../../src/react/process-consumers.ts'
import type { AnyProcess } from '../../src/react/process.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { temporaryFolder } from '../temporary.ts'

async function start(config: Partial<ClusterConfig>, folder: string = temporaryFolder()): Promise<Node> {
  const base = { name: 'shop', aggregates: [], dataDir: folder, shards: 4, workers: 'inline' } as const
  const node = await startNode(defineCluster({ ...base, onWarning: () => undefined, ...config }))
  onTestFinished(() => node.close())
  return node
}

const shop = { aggregates: [Order, Payment, Shipment], processes: [Fulfilment] }

const phases = (node: Node, id: string): Promise<readonly string[]> =>
  Promise.all([
    node.ref(Order, id).query('phase'),
    node.ref(Payment, id).query('phase'),
    node.ref(Shipment, id).query('phase'),
  ])

test('an order is paid and shipped, across a restart, and its process can be looked at', async () => {
  const folder = temporaryFolder()
  const first = await start(shop, folder)
  await first.ref(Order, '1').ask('place', { euros: 5, address: 'Delft' })
  await expect.poll(() => phases(first, '1')).toEqual(['placed', 'requested', 'none'])
  await expect
    .poll(() => first.process(Fulfilment, '1').state())
    .toMatchObject({
      state: { phase: 'unpaid', address: 'Delft' },
      isCompleted: false,
      sends: [],
      timers: [{ id: 'payment-due', token: '1' }],
    })
  await first.close()

  const second = await start(shop, folder)
  await second.ref(Payment, '1').ask('pay')
  await expect.poll(() => phases(second, '1')).toEqual(['placed', 'received', 'booked'])
  await second.ref(Shipment, '1').ask('dispatch')
  await expect.poll(() => phases(second, '1')).toEqual(['shipped', 'received', 'dispatched'])
  const process = second.process(Fulfilment, '1')
  await expect.poll(async () => (await process.state()).isCompleted).toBe(true)
  expect(process.stream).toBe('fulfilment/1')
  expect((await process.state({ atVersion: 1 })).state).toEqual({ phase: 'unpaid', address: 'Delft' })
  const untold = second.process(Fulfilment, 'nobody')
  expect(await untold.state()).toMatchObject({ state: { phase: 'unpaid' }, sent: 0 })
})

test('an order that cannot be delivered is cancelled, and its money goes back', async () => {
  const node = await start(shop)
  await node.ref(Order, '1').ask('place', { euros: 5, address: 'the moon' })
  await expect.poll(() => phases(node, '1')).toEqual(['placed', 'requested', 'none'])
  await node.ref(Payment, '1').ask('pay')
  await expect.poll(() => phases(node, '1')).toEqual(['cancelled', 'refunded', 'none'])
})

test('all that one order sets in motion is found by its correlation', async () => {
  const node = await start(shop)
  const correlationId = 'order 1'
  await node.ref(Order, '1').ask('place', { euros: 5, address: 'Delft' }, { metadata: { correlationId } })
  await expect.poll(() => phases(node, '1')).toEqual(['placed', 'requested', 'none'])
  await expect.poll(async () => (await node.process(Fulfilment, '1').state()).sends).toEqual([])
  const { commands } = await node.store.correlation(correlationId)
  // Who is told, whom that sends a command, and what becomes of it, each under its cause.
  const told = commands.map(({ events: [placed] }) => placed!)
  expect(told.map(({ type }) => type)).toEqual(['OrderPlaced'])
  const [process] = told[0]!.commands
  expect(process!.events.map(({ type }) => type)).toEqual(['$told', '$sent', '$timerSet'])
  const sent = process!.events[1]!.commands
  expect(sent.map(({ events }) => events[0]!.type)).toEqual(['PaymentRequested', '$outcome'])
})

const Counter = defineAggregate({
  type: 'counter',
  initialState: () => 0,
  schemas: { add: z.object({ by: z.string().transform(Number) }) },
  events: { Added: (sum, { by }: { by: number }) => sum + by },
  commands: { add: (_sum, { by }, { emit }) => emit.Added({ by }) },
  queries: { sum: (sum) => sum },
})

test('what is told, or sent, again has effect once, however much came between and however little is remembered', async () => {
  const folder = temporaryFolder()
  const Doubler = defineProcess({
    type: 'doubler',
    from: [Counter],
    to: [Counter],
    startAt: 'beginning',
    correlate: { Added: ({ stream }) => (stream === 'counter/a' ? 'b' : undefined) },
    initialState: () => ({ told: 0 }),
    evolve: { Added: ({ told }) => ({ told: told + 1 }) },
    // The schema of the command takes a text, once.
    on: { Added: (_state, { data }, { key, send }) => send(Counter, key, 'add', { by: `${2 * data.by}` }) },
  })
  const config = { aggregates: [Counter], processes: [Doubler], limits: { dedupeWindow: 1 } as never }
  const node = await start(config, folder)
  for (let i = 0; i < 20; i += 1) await node.ref(Counter, 'a').ask('add', { by: '1' })
  await expect.poll(() => node.ref(Counter, 'b').query('sum')).toBe(40)
  await expect.poll(async () => (await node.process(Doubler, 'b').state()).sends).toEqual([])
  await node.close()

  // All of it comes once more.
  const again = await start(config, folder)
  const effects = effectsOf(again, Doubler)
  for (const consumer of consumersOf(Doubler)) {
    for await (const event of again.store.readAll()) {
      const seen = { ...event, shard: 0, seq: 0 } as unknown as FeedEvent
      if (!consumer.isWanted(seen) || !('one' in consumer.does)) continue
      const reaction = {
        attempt: 1,
        isOutOfRetries: false,
        isBehindParked: false,
        shard: 0,
        idempotencyKey: '',
        signal: new AbortController().signal,
        effects,
      }
      await consumer.does.one(seen, reaction)
    }
  }
  expect(await again.ref(Counter, 'b').query('sum')).toBe(40)
  expect((await again.process(Doubler, 'b').state()).state.told).toBe(20)
})

function effectsOf(node: Node, process: AnyProcess): NodeEffects {
  const aggregates = [Counter, aggregateOf(process)]
  return new NodeEffects({ host: node as unknown as RefHost, store: node.store as never, aggregates })
}

test('a cluster is told what is wrong with its processes', async () => {
  const wrong =
    (config: object): (() => unknown) =>
    () =>
      defineCluster({ name: 'shop', dataDir: 'd', aggregates: [Order, Payment, Shipment], ...config })
  expect(wrong({ processes: [{}] })).toThrow('processes[0] is {}; give what defineProcess returned')
  expect(wrong({ processes: [Fulfilment, Fulfilment] })).toThrow(`two processes of the name 'fulfilment'`)
  expect(wrong({ processes: [Fulfilment], aggregates: [Order, Payment] })).toThrow(
    `the process 'fulfilment' names the aggregate 'shipment', which is none of the cluster's`,
  )
  const Same = { ...Order, type: 'fulfilment' }
  expect(wrong({ processes: [Fulfilment], aggregates: [Order, Payment, Shipment, Same] })).toThrow(
    `an aggregate and a process of the type 'fulfilment'`,
  )
  const node = await start({ aggregates: [Counter] })
  expect(() => node.process(Fulfilment, '1')).toThrow(`no process 'fulfilment'; add it to the config`)
  expect(() => node.process({} as never, '1')).toThrow('give what defineProcess returned')
  const other = await start(shop)
  expect(() => other.process(Fulfilment, '')).toThrow('empty')
  await expect(other.store.append('fulfilment/1', [{ type: '$completed' }])).rejects.toMatchObject({
    code: 'BadPayload',
  })
})
