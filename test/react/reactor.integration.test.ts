import { expect, onTestFinished, test } from 'vitest'
import { defineAggregate, defineCluster, defineReactor, startNode, type Node, type Reactor } from '../../src/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'

/** What is counted of accounts. */
const Tally = defineAggregate({
  type: 'tally',
  initialState: () => ({ sum: 0, times: 0 }),
  events: { Counted: ({ sum, times }, { amount }: { amount: number }) => ({ sum: sum + amount, times: times + 1 }) },
  commands: {
    count: (_state, { amount }: { amount: number }, { emit, reject }) =>
      amount > 1_000 ? reject('TooMuch') : emit.Counted({ amount }),
  },
  queries: { tally: (state) => state },
})

async function start(reactors: readonly Reactor[], folder: string = temporaryFolder()): Promise<Node> {
  const config = defineCluster({
    name: 'reacting',
    aggregates: [Account, Tally],
    reactors,
    dataDir: folder,
    shards: 4,
    workers: 'inline',
    onWarning: () => undefined,
  })
  const node = await startNode(config)
  onTestFinished(() => node.close())
  return node
}

test('a reactor gets each event in order, and what it sends takes effect once, after a restart too', async () => {
  const folder = temporaryFolder()
  const seen: string[] = []
  const counts = defineReactor({
    name: 'counts',
    from: [Account],
    startAt: 'beginning',
    on: {
      MoneyDeposited: async ({ stream, version, data }, { ask }) => {
        seen.push(`${stream} ${version}`)
        await ask(Tally, 'all', 'count', { amount: data.amount })
      },
    },
  })
  const first = await start([counts], folder)
  for (const id of ['a', 'b', 'c']) {
    await first.ref(Account, id).ask('open', { owner: id })
    for (const amount of [1, 2, 3]) await first.ref(Account, id).ask('deposit', { amount })
  }
  const tally = (node: Node): Promise<unknown> => node.ref(Tally, 'all').query('tally')
  await expect.poll(() => tally(first)).toEqual({ sum: 18, times: 9 })
  for (const id of ['a', 'b', 'c']) {
    const own = seen.filter((each) => each.startsWith(`account/${id} `))
    expect(own).toEqual([2, 3, 4].map((version) => `account/${id} ${version}`))
  }
  await first.close()

  const second = await start([counts], folder)
  await second.ref(Account, 'a').ask('deposit', { amount: 4 })
  await expect.poll(() => tally(second)).toEqual({ sum: 22, times: 10 })
  expect(seen).toHaveLength(10)
  // What it keeps for itself is nobody's event.
  const streams = new Set((await Array.fromAsync(second.store.readAll())).map(({ stream }) => stream))
  expect([...streams].toSorted()).toEqual(['account/a', 'account/b', 'account/c', 'tally/all'])
})
