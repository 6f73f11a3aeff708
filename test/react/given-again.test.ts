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

test('a time that a handler sets is its own: what it is given again and what is published have the event’s', async () => {
  const seen: number[] = []
  const reactor = defineReactor({
    name: 'historian',
    from: [Basket],
    startAt: 'beginning',
    retries: 1,
    on: {
      Filled: ({ time }) => {
        seen.push(time.getTime())
        time.setUTCFullYear(1999)
        throw new Error('that was another century')
      },
    },
  })
  const published: string[] = []
  const outbox = defineOutbox({
    name: 'baskets',
    from: [Basket],
    startAt: 'beginning',
    map: { Filled: ({ time }) => ({ type: 'filled', data: time.setUTCFullYear(1999) }) },
    publisher: async (messages) => void published.push(...messages.map(({ event }) => event.time)),
  })
  const whole = { name: 'fruits', aggregates: [Basket], reactors: [reactor], outboxes: [outbox], dataDir: 'none' }
  const now = new Date('2026-03-01T00:00:00.000Z')
  await using node = await startVirtualNode(defineCluster(whole), { now })
  await node.ref(Basket, '1').ask('fill', { fruits: [] })
  await node.pass(10_000)
  expect(seen).toHaveLength(2)
  expect(new Set(seen).size).toBe(1)
  expect(published).toEqual([new Date(seen[0]!).toISOString()])
})
