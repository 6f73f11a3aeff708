import { expect, test } from 'vitest'
import { defineAggregate, defineCluster, defineProcess, startNode, type Process } from '../../src/index.ts'
import { temporaryFolder } from '../temporary.ts'

const Order = defineAggregate({
  type: 'order',
  initialState: () => 0,
  events: { Placed: (n) => n + 1 },
  commands: { place: (_n, _p: undefined, { emit }) => emit.Placed() },
})

const asked: string[] = []
const Stock = defineAggregate({
  type: 'stock',
  initialState: () => [] as readonly string[],
  events: { Noted: (notes, { note }: { readonly note: string }) => [...notes, note] },
  commands: {
    take: (_notes, { n }: { readonly n: number }): undefined => {
      asked.push(`take ${n}`)
      throw new Error('nothing can be taken')
    },
    note: (_notes, noted: { readonly note: string }, { emit }) => emit.Noted(noted),
  },
})

function startShop(process: Process) {
  return startNode(
    defineCluster({
      name: 'shop',
      aggregates: [Order, Stock],
      processes: [process],
      dataDir: temporaryFolder(),
      shards: 2,
      workers: 'inline',
      onWarning: () => undefined,
    }),
  )
}

test('a command whose failure could not be told is told of when it is tried again by hand; what waits behind it is parked in its turn', async () => {
  let isBroken = true
  const Shopping = defineProcess({
    type: 'shopping',
    from: [Order],
    to: [Stock],
    startAt: 'beginning',
    retries: 1,
    correlate: { Placed: () => 'one' },
    initialState: () => 0,
    on: {
      Placed: (_state, _event, { send }) => {
        send(Stock, '1', 'take', { n: 1 })
        send(Stock, '1', 'take', { n: 2 })
      },
      'stock/take': (_state, outcome, { send }) => {
        if (isBroken) throw new Error('its author is on holiday')
        send(Stock, '1', 'note', { note: `${outcome.kind} ${outcome.n}` })
      },
    },
  })
  await using node = await startShop(Shopping)
  const sent = node.reactor({ name: 'shopping.sent' })
  await node.ref(Order, '1').ask('place')
  await expect.poll(async () => (await sent.parked()).length).toBe(1)
  expect(asked).toEqual(['take 1', 'take 1'])
  // It is tried again, and its handler, which still throws, is asked again.
  const { failed } = await sent.retryParked('shopping/one')
  // By names that its author knows.
  expect(failed?.reason).toBe(
    "telling shopping/one what became of 'take' failed: Error: its author is on holiday. Nothing happened; mend the handler",
  )
  isBroken = false
  asked.length = 0
  await sent.retryParked('shopping/one')
  // The second was never tried before: it fails, and is parked in its turn, before its handler hears of it.
  expect(asked).toEqual(['take 1', 'take 2'])
  expect(await sent.retryParked('shopping/one')).toEqual({ failed: undefined })
  await expect.poll(() => node.ref(Stock, '1').state()).toEqual(['failed 1', 'failed 2'])
  expect(await sent.parked()).toEqual([])
})

test('a command that is skipped has failed: its process hears of it, and what waits behind it is sent', async () => {
  const Shopping = defineProcess({
    type: 'shopping',
    from: [Order],
    to: [Stock],
    startAt: 'beginning',
    retries: 0,
    correlate: { Placed: () => 'one' },
    initialState: (): readonly string[] => [],
    evolve: {
      'stock/take': (heard, outcome) => [...heard, outcome.kind === 'failed' ? outcome.code : outcome.kind],
      'stock/note': (heard, { kind }) => [...heard, kind],
    },
    on: {
      Placed: (_heard, _event, { send }) => {
        send(Stock, '1', 'take', { n: 1 })
        send(Stock, '1', 'note', { note: 'behind it' })
      },
    },
  })
  await using node = await startShop(Shopping)
  const sent = node.reactor({ name: 'shopping.sent' })
  const shopping = node.process(Shopping, 'one')
  await node.ref(Order, '1').ask('place')
  await expect.poll(async () => (await sent.parked()).length).toBe(1)
  const [parked] = await sent.parked()
  await sent.skipParked({ stream: parked!.stream, version: parked!.version, reason: 'there is no stock' })
  await expect.poll(async () => (await shopping.state()).state).toEqual(['Skipped'])
  expect(await sent.retryParked('shopping/one')).toEqual({ failed: undefined })
  await expect.poll(async () => await shopping.state()).toMatchObject({ state: ['Skipped', 'accepted'], sends: [] })
  expect(await node.ref(Stock, '1').state()).toEqual(['behind it'])
})
