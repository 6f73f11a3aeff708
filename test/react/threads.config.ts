import { defineAggregate, defineCluster, defineReactor } from '../../src/index.ts'

/** Counts what it is told, and tells by its name what becomes of that. */
export const Counter = defineAggregate({
  type: 'counter',
  initialState: () => 0,
  events: { Counted: (sum, { by }: { by: number }) => sum + by },
  commands: { count: (_sum, { by }: { by: number }, { emit }) => emit.Counted({ by }) },
  queries: { sum: (sum) => sum },
})

/** What takes something off a counter of its own name, or of which nothing is left. */
export const Order = defineAggregate({
  type: 'order',
  initialState: () => 0,
  events: { Placed: (_sum, { amount }: { amount: number }) => amount },
  commands: { place: (_sum, { amount }: { amount: number }, { emit }) => emit.Placed({ amount }) },
})

const stock = defineReactor({
  name: 'stock',
  from: [Order],
  startAt: 'beginning',
  mode: 'synchronous',
  on: {
    Placed: async ({ stream, data: { amount } }, { ask }) => {
      if (amount > 100) throw new Error('nothing is left')
      await ask(Counter, stream.slice('order/'.length), 'count', { by: -amount })
    },
  },
})

/** What is to happen before a handler goes on, set by tests in the thread that runs it. */
export const gate: { pass: () => Promise<void> } = { pass: () => Promise.resolve() }

/** One after the other, of two aggregates. */
const pairs = defineReactor({
  name: 'pairs',
  from: [Counter],
  startAt: 'beginning',
  on: {
    Counted: async ({ stream, data }, { ask }) => {
      if (!stream.startsWith('counter/from-')) return
      await gate.pass()
      const [, first, second] = stream.split('-')
      await ask(Counter, first!, 'count', data)
      await ask(Counter, second!, 'count', data)
    },
  },
})

/** For tests of reactors with workers on threads. Each gives a data directory of its own. */
export default defineCluster({
  name: 'reacting',
  aggregates: [Counter, Order],
  reactors: [pairs, stock],
  dataDir: '../../.tmp/reacting',
  shards: 8,
  workers: 2,
  onWarning: () => undefined,
})
