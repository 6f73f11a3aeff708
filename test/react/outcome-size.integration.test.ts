/** What becomes of a command is told to its process, however much its aggregate has to say of it. */
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { defineAggregate, defineCluster, defineProcess, startNode, type Node } from '../../src/index.ts'
import { temporaryFolder } from '../temporary.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 40),
}
const LIMIT = 16_384

interface Wish {
  readonly how: 'reject' | 'throw'
  /** Of what is said of it. */
  readonly chars: number
  /** What is said is that deep, where it is details. */
  readonly depth?: number
  /** The process asks for so much because of it. */
  readonly asks?: number
}

const Order = defineAggregate({
  type: 'order',
  initialState: () => 0,
  events: { Placed: (n, _wish: Wish) => n + 1, Noted: (n, _note: { readonly text: string }) => n + 1 },
  commands: {
    place: (_n, wish: Wish, { emit }) => emit.Placed(wish),
    note: (_n, note: { readonly text: string }, { emit }) => emit.Noted(note),
  },
})

const Payment = defineAggregate({
  type: 'payment',
  initialState: () => 0,
  events: {},
  commands: {
    take: (_n, { how, chars, depth = 0 }: Wish, { reject }) => {
      const text = 'é'.repeat(chars)
      if (how === 'throw') throw new Error(text)
      return reject('no', nested(text, depth))
    },
  },
})

function nested(value: unknown, depth: number): object {
  return depth === 0 ? { value } : { value: nested(value, depth - 1) }
}

const Checkout = defineProcess({
  type: 'checkout',
  from: [Order],
  to: [Order, Payment],
  startAt: 'beginning',
  retries: 0,
  correlate: { Placed: ({ stream }) => stream.slice('order/'.length) },
  initialState: () => ({ asks: 0 }),
  evolve: { Placed: (_state, { data }) => ({ asks: data.asks ?? 0 }) },
  on: {
    Placed: (_state, { data }, { key, send }) => send(Payment, key, 'take', data),
    'payment/take': ({ asks }, _outcome, { key, send }) => {
      if (asks > 0) send(Order, key, 'note', { text: 'x'.repeat(asks) })
    },
  },
})

interface ToldOutcome {
  readonly kind: string
  readonly code: string
  readonly details?: { readonly value: unknown }
  readonly detailsLeftOut?: string
  readonly message: string
}

async function open() {
  const config = defineCluster({
    name: 'shop',
    aggregates: [Order, Payment],
    processes: [Checkout],
    dataDir: temporaryFolder(),
    shards: 2,
    workers: 'inline',
    limits: { commandBytesMax: LIMIT },
    onWarning: () => undefined,
  })
  const node = await startNode(config)
  onTestFinished(() => node.close())
  let orders = 0
  return {
    node,
    /** What a process is told that has had this wish. */
    wish: async (wish: Wish, { id = '', correlationId = 'c' } = {}): Promise<ToldOutcome> => {
      const key = `${(orders += 1)}${id}`
      await node.ref(Order, key).ask('place', wish, { metadata: { correlationId } })
      await expect.poll(() => outcomeOf(node, key), { interval: 2, timeout: 30_000 }).toBeDefined()
      return (await outcomeOf(node, key))!
    },
  }
}

async function outcomeOf(node: Node, key: string): Promise<ToldOutcome | undefined> {
  const facts = await Array.fromAsync(node.store.load(`checkout/${key}`))
  return facts.find(({ type }) => type === '$outcome')?.data as ToldOutcome | undefined
}

test('details are told up to the last byte that fits, and left out from the next on', async () => {
  const { wish } = await open()
  // Each is told once: so many characters fit, and no more.
  let [fits, tooMany] = [0, LIMIT]
  while (tooMany - fits > 1) {
    const chars = (fits + tooMany) >> 1
    const told = await wish({ how: 'reject', chars })
    if (told.details === undefined) tooMany = chars
    else fits = chars
  }
  expect(await wish({ how: 'reject', chars: fits })).toMatchObject({ details: { value: 'é'.repeat(fits) } })
  const told = await wish({ how: 'reject', chars: tooMany })
  expect(told).not.toHaveProperty('details')
  expect(told).toMatchObject({
    kind: 'rejected',
    code: 'no',
    detailsLeftOut: expect.stringMatching(
      /^recorded with them it takes 1638[56] bytes, and 16384 is the limit/,
    ) as string,
  })
  // The names take what details may not.
  const named = await wish({ how: 'reject', chars: fits }, { id: '-'.repeat(100) })
  expect(named.detailsLeftOut).toContain('is the limit')
  const correlated = await wish({ how: 'reject', chars: fits }, { correlationId: 'c'.repeat(100) })
  expect(correlated.detailsLeftOut).toContain('is the limit')
})

test('details that are too deep to be recorded are left out', async () => {
  const { wish } = await open()
  expect((await wish({ how: 'reject', chars: 1, depth: 62 })).detailsLeftOut).toBeUndefined()
  const told = await wish({ how: 'reject', chars: 1, depth: 63 })
  expect(told.detailsLeftOut).toContain('nested deeper than 64')
  expect(told).not.toHaveProperty('details')
})

test('of a long failure the beginning is told', async () => {
  const { wish } = await open()
  const beginning = /^the command 'take' of payment\/\d+ failed: Error: é/
  const whole = await wish({ how: 'throw', chars: 1_800 })
  expect(whole.message).toMatch(beginning)
  expect(whole.message).toContain('mend the handler')
  const cut = await wish({ how: 'throw', chars: 1_000_000 })
  expect(cut.message).toMatch(beginning)
  expect(cut.message).toMatch(/é … \(the first 2000 of 1000\d{3} characters\)$/)
  // Beside what the process asks for because of it there is room for less.
  const short = await wish({ how: 'throw', chars: 1_000_000, asks: 14_000 })
  expect(short.message).toMatch(/é … \(the first 200 of 1000\d{3} characters\)$/)
})

test('whatever its size, and whatever its process asks for because of it, an outcome is told', async () => {
  const { node, wish } = await open()
  const wishes = fc.record({
    how: fc.constantFrom('reject' as const, 'throw' as const),
    chars: fc.oneof(fc.integer({ min: 0, max: LIMIT }), fc.integer({ min: 0, max: 5 * LIMIT })),
    asks: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 4_000 })),
  })
  const around = fc.record({
    id: fc.integer({ min: 0, max: 400 }).map((chars) => '-'.repeat(chars)),
    correlationId: fc.integer({ min: 1, max: 2_500 }).map((chars) => 'c'.repeat(chars)),
  })
  await fc.assert(
    fc.asyncProperty(wishes, around, async (wished, names) => {
      const { kind, details, detailsLeftOut, message } = await wish(wished, names)
      if (wished.how === 'throw') {
        expect(kind).toBe('failed')
        expect(message).toContain('failed: Error: é'.slice(0, wished.chars === 0 ? -2 : undefined))
        return
      }
      expect(kind).toBe('rejected')
      if (detailsLeftOut === undefined) expect(details).toEqual({ value: 'é'.repeat(wished.chars) })
      else expect(details).toBeUndefined()
      // What fits twice over is never left out.
      if (2 * (2 * wished.chars + wished.asks + names.id.length + 2 * names.correlationId.length + 1_000) < LIMIT) {
        expect(detailsLeftOut).toBeUndefined()
      }
    }),
    parameters,
  )
  expect(await node.reactor({ name: 'checkout.sent' }).parked()).toEqual([])
})

test('what a process asks for itself has to fit: no outcome makes room for that', async () => {
  const { node } = await open()
  await node.ref(Order, 'greedy').ask('place', { how: 'reject', chars: 10, asks: LIMIT })
  const sent = node.reactor({ name: 'checkout.sent' })
  await expect.poll(async () => (await sent.parked()).length).toBe(1)
  expect((await sent.parked())[0]?.reason).toMatch(
    /^what comes of telling checkout\/greedy what became of 'take', in bytes, takes \d+, and 16384 is the limit/,
  )
})
