import { expect, test } from 'vitest'
import { defineCluster, defineReactor, startNode, type Node, type Reactor } from '../../src/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'

function start(reactor: Reactor): Promise<Node> {
  return startNode(
    defineCluster({
      name: 'bank',
      aggregates: [Account],
      reactors: [reactor],
      dataDir: temporaryFolder(),
      shards: 2,
      workers: 'inline',
    }),
  )
}

test('what a handler asks and does not wait for counts all the same, and a rejection of it harms nobody', async () => {
  const gifts = defineReactor({
    name: 'gifts',
    from: [Account],
    startAt: 'beginning',
    on: {
      MoneyDeposited: ({ stream }, { ask }) => {
        if (stream !== 'account/a') return
        void ask(Account, 'b', 'deposit', { amount: 1 })
        void ask(Account, 'c', 'withdraw', { amount: 1 })
      },
    },
  })
  await using node = await start(gifts)
  await node.ref(Account, 'a').ask('deposit', { amount: 5 })
  await expect.poll(() => node.ref(Account, 'b').query('balance')).toBe(1)
  await expect.poll(async () => (await node.reactor(gifts).status()).state).toBe('caught up')
  expect(await node.reactor(gifts).parked()).toEqual([])
})

test('a command with an option that is none, or to nobody, is parked, and the reason says what to give', async () => {
  const careless = defineReactor({
    name: 'careless',
    from: [Account],
    startAt: 'beginning',
    retries: 0,
    on: {
      MoneyDeposited: async ({ stream }, { ask }) => {
        if (stream === 'account/a') await ask(Account, 'b', 'deposit', { amount: 1 }, { kye: 'x' } as object)
        if (stream === 'account/d') await ask(Account, undefined as never, 'deposit', { amount: 1 })
        if (stream === 'account/e') await ask(Account, 7 as never, 'deposit', { amount: 1 })
        if (stream === 'account/c') await ask('account' as never, 'b', 'deposit' as never, { amount: 1 } as never)
      },
    },
  })
  await using node = await start(careless)
  for (const id of ['a', 'c', 'd', 'e']) await node.ref(Account, id).ask('deposit', { amount: 5 })
  const reasons = async () =>
    (await node.reactor(careless).parked())
      .toSorted((a, b) => (a.stream < b.stream ? -1 : 1))
      .map(({ reason }) => reason)
  await expect
    .poll(reasons)
    .toEqual([
      "TypeError: a command is sent with 'kye', and there is no such option; there are key, timeoutMs",
      "TypeError: a command is sent to 'account'; give what defineAggregate returned",
      "TypeError: a command is sent to nobody: an aggregate's id is a string, not undefined",
      "TypeError: a command is sent to nobody: an aggregate's id is a string, not number",
    ])
  expect(await node.ref(Account, 'b').query('balance')).toBe(0)
})

test('a start at a position that the log has not reached is one at its end, and moves no clock', async () => {
  const seen: number[] = []
  const far = defineReactor({
    name: 'far',
    from: [Account],
    startAt: 8_000_000_000_000_000,
    on: { MoneyDeposited: ({ data }) => void seen.push(data.amount) },
  })
  await using node = await start(far)
  await expect.poll(async () => (await node.reactor(far).status()).state).toBe('caught up')
  const { position } = await node.ref(Account, 'a').ask('deposit', { amount: 7 })
  expect(position).toBeLessThan(8_000_000_000_000_000)
  await expect.poll(() => seen).toEqual([7])
})
