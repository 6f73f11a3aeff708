import { expect, test } from 'vitest'
import { defineAggregate, defineCluster, defineReactor, startNode } from '../../src/index.ts'
import { temporaryFolder } from '../temporary.ts'

const Order = defineAggregate({
  type: 'order',
  initialState: () => 0,
  events: { Placed: (n) => n + 1 },
  commands: { place: (_n, _p: undefined, { emit }) => emit.Placed() },
})
const Stock = defineAggregate({
  type: 'stock',
  initialState: () => 0,
  events: { Added: (n) => n + 1, Taken: (n) => n - 1 },
  commands: {
    add: (_n, _p: undefined, { emit }) => emit.Added(),
    take: (n, _p: undefined, { emit, reject }) => (n === 0 ? reject('none') : emit.Taken()),
  },
})
const Takes = defineReactor({
  name: 'takes',
  from: [Order],
  startAt: 'beginning',
  retries: 0,
  on: { Placed: (_e, { ask }) => ask(Stock, '1', 'take') },
})

test('what a reactor sends once more after a rejection is decided anew', async () => {
  await using node = await startNode(
    defineCluster({
      name: 'shop',
      aggregates: [Order, Stock],
      reactors: [Takes],
      dataDir: temporaryFolder(),
      shards: 2,
      workers: 'inline',
    }),
  )
  await node.ref(Order, '1').ask('place')
  await expect.poll(async () => (await node.reactor(Takes).parked()).length).toBe(1)
  await node.ref(Stock, '1').ask('add')
  expect(await node.reactor(Takes).retryParked('order/1')).toEqual({ failed: undefined })
})
