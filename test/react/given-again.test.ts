import { expect, test } from 'vitest'
import { defineAggregate, defineCluster, defineOutbox, defineProcess, defineReactor } from '../../src/index.ts'
import { startVirtualNode } from '../../src/testing/index.ts'

const Basket = defineAggregate({
  type: 'basket',
  initialState: () => 0,
  events: { Filled: (_state, { fruits }: { fruits: string[] }) => fruits.length },
  commands: { fill: (_state, fruits: { fruits: string[] }, { emit }) => emit.Filled(fruits) },
})

test('who is given an event once more is given it as it was, and cannot change it for the next time', async () => {
  const seen: string[] = []
  const reactor = defineReactor({
    name: 'sorter',
    from: [Basket],
    startAt: 'beginning',
    retries: 2,
    on: {
      Filled: ({ data: { fruits } }) => {
        seen.push(fruits.join())
        fruits.sort()
        fruits.pop()
      },
    },
  })
  const mapped: string[] = []
  const outbox = defineOutbox({
    name: 'baskets',
    from: [Basket],
    startAt: 'beginning',
    retries: 2,
    map: {
      Filled: ({ data }) => {
        mapped.push(data.fruits.join())
        data.fruits = []
        return { type: 'filled', data }
      },
    },
    publisher: () => Promise.resolve(),
  })
  const process = defineProcess({
    type: 'cook',
    from: [Basket],
    startAt: 'beginning',
    retries: 1,
    correlate: { Filled: ({ data }) => data.fruits.pop() },
    initialState: () => 0,
    on: { Filled: () => undefined },
  })
  const whole = {
    name: 'fruits',
    aggregates: [Basket],
    reactors: [reactor],
    outboxes: [outbox],
    processes: [process],
    dataDir: 'none',
  }
  await using node = await startVirtualNode(defineCluster(whole))
  await node.ref(Basket, '1').ask('fill', { fruits: ['pear', 'apple'] })
  await node.pass(10_000)
  expect(seen).toEqual(['pear,apple', 'pear,apple', 'pear,apple'])
  expect(mapped).toEqual(['pear,apple', 'pear,apple', 'pear,apple'])
  for (const consumer of [node.reactor(reactor), node.outbox(outbox), node.reactor({ name: 'cook.told' })]) {
    expect(await consumer.parked()).toMatchObject([
      { stream: 'basket/1', reason: expect.stringMatching(/read only|Cannot delete/) },
    ])
  }
})
