/**
 * A command of a process is accepted, and the node goes before its outcome is recorded. Whatever is said against the command by the
 * code that comes next, the process is told what truly became of it.
 */
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import {
  defineAggregate,
  defineCluster,
  defineProcess,
  defineReactor,
  startNode,
  type ClusterConfig,
  type Node,
} from '../../src/index.ts'
import { temporaryFolder } from '../temporary.ts'

interface Taken {
  readonly euros: number
  readonly note: string
}

const Order = defineAggregate({
  type: 'order',
  initialState: () => 'new',
  events: { Placed: () => 'placed', Cancelled: () => 'cancelled' },
  commands: {
    place: (_state, _none: undefined, { emit }) => emit.Placed(),
    cancel: (_state, _none: undefined, { emit }) => emit.Cancelled(),
  },
})

const payment = {
  type: 'payment',
  initialState: () => [] as readonly Taken[],
  events: { Taken: (before: readonly Taken[], taken: Taken) => [...before, taken] },
} as const

const Payment = defineAggregate({
  ...payment,
  commands: { take: (_state, taken: Taken, { emit }) => emit.Taken(taken) },
})

const note = 'x'.repeat(20_000)

/** The process as it is first, when no outcome gets as far as its stream. */
let isFirst = true
const shape = {
  type: 'checkout',
  startAt: 'beginning',
  retries: 2,
  initialState: () => 0,
  correlate: { Placed: () => 'one' },
} as const

const Checkout = defineProcess({
  ...shape,
  from: [Order],
  to: [Order, Payment],
  on: {
    Placed: (_state, _event, { send }) => send(Payment, '1', 'take', { euros: 5, note }),
    'payment/take': (_state, outcome, { send }) => {
      if (isFirst) throw new Error('nothing is recorded')
      if (outcome.kind !== 'accepted') send(Order, '1', 'cancel')
    },
  },
})

/** A process without a handler for what it has sent, as that is not there any more. */
const Orphan = defineProcess({
  ...shape,
  from: [Order],
  on: { Placed: () => undefined },
})

async function start(dataDir: string, config: Partial<ClusterConfig>): Promise<Node> {
  const limits = { dedupeWindow: 1 }
  const base = {
    name: 'shop',
    aggregates: [Order, Payment],
    processes: [Checkout],
    dataDir,
    shards: 2,
    limits,
  } as const
  const node = await startNode(defineCluster({ ...base, workers: 'inline', onWarning: () => undefined, ...config }))
  onTestFinished(() => node.close())
  return node
}

const outcomes = async (node: Node): Promise<readonly unknown[]> => {
  const facts = await Array.fromAsync(node.store.load('checkout/one'))
  return facts.flatMap(({ type, data }) => (type === '$outcome' ? [data] : []))
}

/** Payments of others, of which the aggregate remembers one. */
const OTHERS = 5

/** The command is accepted, and nobody has recorded that. */
async function takenAndNotTold(dataDir: string): Promise<void> {
  isFirst = true
  const node = await start(dataDir, {})
  await node.ref(Order, '1').ask('place')
  await expect.poll(() => node.ref(Payment, '1').state()).toHaveLength(1)
  for (let n = 1; n <= OTHERS; n += 1) await node.ref(Payment, '1').ask('take', { euros: n, note: '' })
  expect(await outcomes(node)).toEqual([])
  await node.close()
  isFirst = false
}

/** It is recorded as sent, and nobody has sent it. */
async function notSent(dataDir: string): Promise<void> {
  const node = await start(dataDir, {})
  const sent = node.reactor({ name: 'checkout.sent' })
  await sent.pause()
  await expect.poll(async () => (await sent.status()).state).toBe('paused')
  await node.ref(Order, '1').ask('place')
  await expect.poll(async () => (await node.process(Checkout, 'one').state()).sends).toHaveLength(1)
  await node.close()
  isFirst = false
}

const strict = (): never => {
  throw new Error('nothing is good enough')
}

interface Change {
  readonly config: object
  readonly process?: typeof Checkout | typeof Orphan
  /** What the process is told where the command was never accepted; undefined where it has no handler for that. */
  readonly code?: string
}

const CHANGES: Readonly<Record<string, Change>> = {
  'its schema refuses its payload': {
    config: {
      aggregates: [
        Order,
        defineAggregate({
          ...payment,
          schemas: { take: z.object({ euros: z.number().max(1), note: z.string() }) },
          commands: { take: (_state, taken, { emit }) => emit.Taken(taken) },
        }),
      ],
    },
    code: 'BadPayload',
  },
  'its schema throws': {
    config: {
      aggregates: [
        Order,
        defineAggregate({
          ...payment,
          schemas: { take: z.any().transform(strict) },
          commands: { take: (_state, taken: Taken, { emit }) => emit.Taken(taken) },
        }),
      ],
    },
    code: 'BadPayload',
  },
  'its payload is more than may be sent': { config: { limits: { commandBytesMax: 16_384 } }, code: 'TooLarge' },
  'its command is gone': {
    config: { aggregates: [Order, defineAggregate({ ...payment, commands: {} })], processes: [Orphan] },
    process: Orphan,
  },
  'its aggregate is gone': { config: { aggregates: [Order], processes: [Orphan] }, process: Orphan },
}

test.each(Object.entries(CHANGES))('what was accepted is told so, though %s', async (_what, { config, process }) => {
  const dataDir = temporaryFolder()
  await takenAndNotTold(dataDir)
  const node = await start(dataDir, config)
  await expect.poll(async () => (await node.process(process ?? Checkout, 'one').state()).sends).toEqual([])
  expect(await outcomes(node)).toMatchObject([{ n: 1, kind: 'accepted', version: 1 }])
  expect(await node.ref(Order, '1').state()).toBe('placed')
  expect(await Array.fromAsync(node.store.load('payment/1'))).toHaveLength(1 + OTHERS)
})

test.each(Object.entries(CHANGES))('what was never sent has failed, as %s', async (_what, { config, code }) => {
  const dataDir = temporaryFolder()
  await notSent(dataDir)
  const node = await start(dataDir, config)
  const sent = node.reactor({ name: 'checkout.sent' })
  await sent.resume()
  if (code === undefined) {
    await expect.poll(async () => (await sent.parked()).length).toBe(1)
    expect(await outcomes(node)).toEqual([])
    return
  }
  await expect.poll(() => node.ref(Order, '1').state()).toBe('cancelled')
  await expect.poll(async () => (await node.process(Checkout, 'one').state()).sends).toEqual([])
  expect(await outcomes(node)).toMatchObject([{ kind: 'failed', code }, { kind: 'accepted' }])
  expect(await Array.fromAsync(node.store.load('payment/1'))).toEqual([])
})

test('while nobody can look whether it was accepted, nothing is concluded', async () => {
  const dataDir = temporaryFolder()
  await takenAndNotTold(dataDir)
  const unreadable = defineAggregate({
    ...payment,
    events: { Taken: strict },
    commands: { take: (_state, _taken: Taken) => undefined },
  })
  const wrong = await start(dataDir, { aggregates: [Order, unreadable] })
  const sent = wrong.reactor({ name: 'checkout.sent' })
  await expect.poll(async () => (await sent.parked()).length).toBe(1)
  expect((await sent.parked())[0]?.reason).toContain('Whether it took effect when it was sent before cannot be told')
  expect(await outcomes(wrong)).toEqual([])
  await wrong.close()

  const node = await start(dataDir, {})
  expect(await node.reactor({ name: 'checkout.sent' }).retryParked('checkout/one')).toEqual({ failed: undefined })
  expect(await outcomes(node)).toMatchObject([{ n: 1, kind: 'accepted', version: 1 }])
})

test('what a reactor asks for was accepted before, and it is told so', async () => {
  const dataDir = temporaryFolder()
  const told: unknown[] = []
  const reacting = (isBroken: boolean) =>
    defineReactor({
      name: 'takes',
      from: [Order],
      startAt: 'beginning',
      on: {
        Placed: async (_event, { ask }) => {
          const taken = await ask(Payment, '1', 'take', { euros: 5, note })
          if (isBroken) throw new Error('it does not come to its end')
          told.push(taken)
        },
      },
    })
  const first = await start(dataDir, { processes: [], reactors: [reacting(true)] })
  await first.ref(Order, '1').ask('place')
  await expect.poll(() => first.ref(Payment, '1').state()).toHaveLength(1)
  await first.close()
  const node = await start(dataDir, {
    ...CHANGES['its schema refuses its payload']!.config,
    processes: [],
    reactors: [reacting(false)],
  })
  await expect.poll(() => told).toMatchObject([{ version: 1 }])
  expect(await node.reactor({ name: 'takes' }).parked()).toEqual([])
})
