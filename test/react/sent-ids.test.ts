import { expect, test } from 'vitest'
import { defineAggregate, defineCluster, defineReactor, type ReactorContext } from '../../src/index.ts'
import { startVirtualNode } from '../../src/testing/index.ts'

const Tally = defineAggregate({
  type: 'tally',
  initialState: (): readonly number[] => [],
  events: { Added: (state, { by }: { by: number }) => [...state, by] },
  commands: { add: (_state, { by }: { by: number }, { emit }) => emit.Added({ by }) },
})
const Alarm = defineAggregate({
  type: 'alarm',
  initialState: () => 0,
  events: { Rung: (times) => times + 1 },
  commands: { ring: (_state, _none: undefined, { emit }) => emit.Rung() },
})

/** What the tallies are in the end, where the first attempt does the one thing and then fails, and the next the other. */
async function afterBoth(
  names: readonly string[],
  ...attempts: readonly ((context: ReactorContext) => unknown)[]
): Promise<{ readonly tallies: readonly (readonly number[])[]; readonly reasons: readonly (string | undefined)[] }> {
  const reactor = defineReactor({
    name: 'reactor',
    from: [Alarm],
    startAt: 'beginning',
    retries: attempts.length,
    on: {
      Rung: async (_event, context) => {
        await attempts[Math.min(context.attempt, attempts.length) - 1]!(context)
        if (context.attempt < attempts.length) throw new Error('not yet')
      },
    },
  })
  const config = defineCluster({ name: 'sent', aggregates: [Tally, Alarm], reactors: [reactor], dataDir: 'none' })
  await using node = await startVirtualNode(config)
  await node.ref(Alarm, '1').ask('ring')
  await node.pass(60_000)
  const parked = await node.reactor(reactor).parked()
  const tallies = await Promise.all(names.map((name) => node.ref(Tally, name).state()))
  return { tallies, reasons: parked.map(({ reason }) => reason) }
}

test('commands to several aggregates take effect once, in whatever order they are sent again', async () => {
  const both = (first: string, second: string) => (context: ReactorContext) =>
    Promise.all([context.ask(Tally, first, 'add', { by: 1 }), context.ask(Tally, second, 'add', { by: 1 })])
  expect(await afterBoth(['a', 'b'], both('a', 'b'), both('b', 'a'))).toEqual({ tallies: [[1], [1]], reasons: [] })
})

test('what newer code sends to others before it makes no other command of one that was sent', async () => {
  const { tallies } = await afterBoth(
    ['a', 'new'],
    ({ ask }) => ask(Tally, 'a', 'add', { by: 1 }),
    async ({ ask, tell }) => {
      tell(Tally, 'new', 'add', { by: 3 })
      await ask(Tally, 'a', 'add', { by: 1 })
    },
  )
  expect(tallies).toEqual([[1], [3]])
})

test('several commands to one aggregate are told apart by their order, or by their keys', async () => {
  const keyed =
    (...order: readonly number[]) =>
    async ({ ask }: ReactorContext) => {
      for (const by of order) await ask(Tally, 'a', 'add', { by }, { key: `by ${by}` })
    }
  expect((await afterBoth(['a'], keyed(1, 2), keyed(2, 1))).tallies).toEqual([[1, 2]])
  const numbered =
    (...order: readonly number[]) =>
    async ({ ask }: ReactorContext) => {
      for (const by of order) await ask(Tally, 'a', 'add', { by })
    }
  const { tallies, reasons } = await afterBoth(['a'], numbered(1, 2), numbered(2, 1))
  expect(tallies).toEqual([[1, 2]])
  expect(reasons).toEqual([expect.stringContaining('command id')])
})

test('commands to several aggregates have ids of their own, also with the same key', async () => {
  const reactor = defineReactor({
    name: 'reactor',
    from: [Alarm],
    startAt: 'beginning',
    on: {
      Rung: async (_event, { ask }) => {
        for (const options of [{}, { key: 'mine' }])
          for (const name of ['a', 'b']) await ask(Tally, name, 'add', { by: 1 }, options)
      },
    },
  })
  const config = defineCluster({ name: 'sent', aggregates: [Tally, Alarm], reactors: [reactor], dataDir: 'none' })
  await using node = await startVirtualNode(config)
  await node.ref(Alarm, '1').ask('ring')
  await node.pass(1_000)
  const loaded = await Promise.all(['tally/a', 'tally/b'].map((stream) => Array.fromAsync(node.store.load(stream))))
  const ids = loaded.flat().map(({ metadata }) => metadata.commandId)
  expect(ids).toHaveLength(4)
  expect(new Set(ids).size).toBe(4)
})
