import { expect, onTestFinished, test } from 'vitest'
import {
  defineAggregate,
  defineCluster,
  defineReactor,
  deriveId,
  startNode,
  type ClusterConfig,
  type Node,
  type Reactor,
} from '../../src/index.ts'
import type { RefHost } from '../../src/cluster/ref.ts'
import type { ReactorContext } from '../../src/react/reactor.ts'
import { startVirtualNode } from '../../src/testing/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'

const Tally = defineAggregate({
  type: 'tally',
  initialState: () => 0,
  events: { Counted: (sum, { amount }: { amount: number }) => sum + amount },
  commands: { count: (_sum, { amount }: { amount: number }, { emit }) => emit.Counted({ amount }) },
  queries: { sum: (sum) => sum },
})

interface Deposited {
  readonly stream: string
  readonly version: number
  readonly data: { readonly amount: number }
}

/** A synchronous reactor that does this for each deposit. */
function counting(
  handle: (event: Deposited, context: ReactorContext) => unknown,
  settings: Partial<Pick<Reactor, 'retries' | 'onFailure' | 'handlerTimeoutMs' | 'mode'>> = {},
): Reactor {
  return defineReactor({
    name: 'counts',
    from: [Account],
    startAt: 'beginning',
    mode: 'synchronous',
    on: { MoneyDeposited: (event, context) => handle(event, context) },
    ...settings,
  })
}

function configOf(reactors: readonly Reactor[], dataDir: string): ClusterConfig {
  return defineCluster({
    name: 'reacting',
    aggregates: [Account, Tally],
    reactors,
    dataDir,
    shards: 4,
    workers: 'inline',
    onWarning: () => undefined,
  })
}

async function start(reactors: readonly Reactor[], folder: string = temporaryFolder()): Promise<Node> {
  const node = await startNode(configOf(reactors, folder))
  onTestFinished(() => node.close())
  return node
}

const count = ({ data }: Deposited, { ask }: ReactorContext): unknown => ask(Tally, 'all', 'count', data)

test('a reply waits until a synchronous reactor has done what its events set in motion', async () => {
  const folder = temporaryFolder()
  const first = await start([counting(count)], folder)
  const commandId = deriveId('first')
  for (let n = 1; n <= 5; n += 1) {
    const options = n === 1 ? { commandId } : {}
    const reply = await first.ref(Account, 'a').ask('deposit', { amount: 1 }, options)
    expect(await first.ref(Tally, 'all').query('sum')).toBe(n)
    expect(Object.keys(reply), JSON.stringify(reply)).not.toContain('unsettled')
  }
  await first.close()
  const second = await start([counting(count)], folder)
  const again = await second.ref(Account, 'a').ask('deposit', { amount: 1 }, { commandId })
  expect([again.version, again.unsettled]).toEqual([1, undefined])
  const next = await second.ref(Account, 'b').ask('deposit', { amount: 1 })
  expect(await second.ref(Tally, 'all').query('sum')).toBe(6)
  expect(next.unsettled).toBe(undefined)
})

test('what has failed the reply says; its event stays, and it is done later, in order', async () => {
  let isBroken = true
  const done: number[] = []
  const reactor = counting(
    ({ version }) => {
      if (isBroken) throw new Error('the shelf is empty')
      done.push(version)
    },
    // It is not parked before it is mended, on whatever machine.
    { retries: 20 },
  )
  const node = await start([reactor])
  const account = node.ref(Account, 'a')
  const first = await account.ask('deposit', { amount: 1 })
  expect(first).toMatchObject({
    version: 1,
    unsettled: [{ reactor: 'counts', state: 'failed', reason: 'Error: the shelf is empty' }],
  })
  expect(JSON.parse(JSON.stringify(first))).toMatchObject({ unsettled: first.unsettled })
  const second = await account.ask('deposit', { amount: 2 })
  expect(second.unsettled).toMatchObject([
    { state: 'pending', reason: 'it waits behind version 1 of account/a, which fails: Error: the shelf is empty' },
  ])
  expect(await account.query('balance')).toBe(3)
  isBroken = false
  await expect.poll(() => done).toEqual([1, 2])
  expect((await account.ask('deposit', { amount: 3 })).unsettled).toBe(undefined)
  expect(done).toEqual([1, 2, 3])
})

test('what waits behind a parked event has failed, until that is retried', async () => {
  let isBroken = true
  const reactor = counting(
    () => {
      if (isBroken) throw new Error('the shelf is empty')
    },
    { retries: 0 },
  )
  const node = await start([reactor])
  const account = node.ref(Account, 'a')
  const commandId = deriveId('first')
  await account.ask('deposit', { amount: 1 }, { commandId })
  await expect.poll(() => node.reactor(reactor).parked()).toHaveLength(1)
  const parked = [{ reactor: 'counts', state: 'failed', reason: 'version 1 of account/a is parked, and all behind it' }]
  expect((await account.ask('deposit', { amount: 1 })).unsettled).toEqual(parked)
  expect((await account.ask('deposit', { amount: 1 }, { commandId })).unsettled).toEqual(parked)
  expect((await node.ref(Account, 'b').ask('open', { owner: 'b' })).unsettled).toBe(undefined)
  isBroken = false
  await node.reactor(reactor).retryParked('account/a')
  expect((await account.ask('deposit', { amount: 1 })).unsettled).toBe(undefined)
})

test('nobody waits for a reactor that is paused or halted, or for what it does not want', async () => {
  let isBroken = true
  const reactor = counting(
    () => {
      if (isBroken) throw new Error('the shelf is empty')
    },
    { onFailure: 'halt', retries: 0 },
  )
  const node = await start([reactor])
  const deposit = async (id: string): Promise<unknown> =>
    (await node.ref(Account, id).ask('deposit', { amount: 1 })).unsettled
  const ref = node.reactor(reactor)
  await ref.pause()
  expect(await deposit('a')).toEqual([{ reactor: 'counts', state: 'pending', reason: 'it is paused' }])
  expect((await node.ref(Account, 'a').ask('open', { owner: 'a' })).unsettled).toBe(undefined)
  await ref.resume()
  await expect.poll(async () => (await ref.status()).state).toBe('halted')
  expect(await deposit('a')).toEqual([{ reactor: 'counts', state: 'pending', reason: expect.any(String) as string }])
  isBroken = false
  await ref.resume()
  await expect.poll(async () => (await ref.status()).state).toBe('caught up')
  expect(await deposit('a')).toBe(undefined)
})

test('a caller gets the reply before it gives up, whatever a handler takes', async () => {
  // It has a tenth of that to arrive in, which is no time on a machine that stalls: this one's does not pass by itself.
  await using node = await startVirtualNode(configOf([counting(() => new Promise(() => undefined))], 'none'))
  const slow = [{ reactor: 'counts', state: 'pending', reason: 'it was not done in time' }]
  const asked = [200, 1_000, 10_000, 12_000].map(async (timeoutMs) => {
    return (await node.ref(Account, `${timeoutMs}`).ask('deposit', { amount: 1 }, { timeoutMs })).unsettled
  })
  await node.pass(12_000)
  expect(await Promise.all(asked)).toEqual(asked.map(() => slow))
})

test('a reply waits no longer than a handler may take', async () => {
  const node = await start([counting(() => new Promise(() => undefined), { handlerTimeoutMs: 50, retries: 0 })])
  const { unsettled } = await node.ref(Account, 'a').ask('deposit', { amount: 1 })
  expect(unsettled).toMatchObject([{ reactor: 'counts', state: expect.stringMatching(/failed|pending/) as string }])
})

test('a reply that is held holds no actor, and replies overtake each other', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const node = await start([counting(({ version }) => (version === 1 ? promise : undefined))])
  const account = node.ref(Account, 'a')
  const told: string[] = []
  const held = account.ask('deposit', { amount: 1 }).then(() => told.push('held'))
  await expect.poll(() => account.query('balance')).toBe(1)
  await account.ask('open', { owner: 'a' })
  await node.ref(Account, 'b').ask('open', { owner: 'b' })
  account.tell('deposit', { amount: 1 })
  await expect.poll(() => account.query('balance')).toBe(2)
  // Told, it waits for nobody; else the router would still wait for its reply.
  await expect.poll(async () => (await node.status()).underWay).toBe(1)
  expect(told).toEqual([])
  resolve()
  await held
})

test.for([
  ['paused', async (node: Node, reactor: Reactor) => await node.reactor(reactor).pause()],
  ['halted', async (node: Node) => void (await node.ref(Account, 'bad').ask('deposit', { amount: 13 }))],
] as const)('what is held goes on once its reactor is %s', async ([state, stop]) => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const reactor = counting(
    ({ data }) => {
      if (data.amount === 13) throw new Error('thirteen')
      return promise
    },
    { onFailure: 'halt', retries: 0 },
  )
  const node = await start([reactor])
  // Of the same shard as the one that halts it.
  const shardOf = (id: string): number => (node as unknown as RefHost).shardOf(`account/${id}`)
  const ids = Array.from({ length: 100 }, (_, id) => `${id}`)
  const near = ids.find((id) => shardOf(id) === shardOf('bad'))!
  const account = node.ref(Account, near)
  const held = account.ask('deposit', { amount: 1 })
  await expect.poll(() => account.query('balance')).toBe(1)
  await stop(node, reactor)
  expect((await held).unsettled).toEqual([{ reactor: 'counts', state: 'pending', reason: `it is ${state}` }])
  resolve()
})

test('what a handler sends waits for nobody, also where the handler itself would be what it waits for', async () => {
  const reactor = counting(async ({ version, data }, { ask }) => {
    if (version < 5) await ask(Account, 'a', 'deposit', data)
  })
  const node = await start([reactor])
  const { unsettled } = await node.ref(Account, 'a').ask('deposit', { amount: 1 })
  expect(unsettled).toBe(undefined)
  await expect.poll(() => node.ref(Account, 'a').query('balance')).toBe(5)
})

test('a node that stops answers what it has held', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const node = await start([counting(() => promise)])
  const account = node.ref(Account, 'a')
  const held = account.ask('deposit', { amount: 1 })
  await expect.poll(() => account.query('balance')).toBe(1)
  const closed = node.close()
  expect(await held).toMatchObject({
    version: 1,
    unsettled: [{ state: 'pending', reason: 'its shard has left this node' }],
  })
  resolve()
  await closed
})

test('of several reactors each says what it has not done', async () => {
  const counts = counting(() => Promise.reject(new Error('no')))
  const named = (name: string, mode: Reactor['mode']): Reactor =>
    defineReactor({ name, from: 'all', startAt: 'beginning', mode, on: { MoneyDeposited: () => undefined } })
  const late = defineReactor({
    name: 'late',
    from: 'all',
    startAt: 'beginning',
    on: { MoneyDeposited: () => Promise.reject(new Error('nobody hears of that')) },
  })
  const node = await start([counts, named('fine', 'synchronous'), late])
  const { unsettled } = await node.ref(Account, 'a').ask('deposit', { amount: 1 })
  expect(unsettled).toEqual([{ reactor: 'counts', state: 'failed', reason: 'Error: no' }])
})

test('an event counts under the name that it has today', async () => {
  const folder = temporaryFolder()
  const old = defineAggregate({
    type: 'note',
    initialState: () => 0,
    events: { Wrote: (n, _note: { text: string }) => n + 1 },
    commands: { write: (_n, note: { text: string }, { emit }) => emit.Wrote(note) },
  })
  const today = defineAggregate({
    type: 'note',
    initialState: () => 0,
    events: { Written: (n, _note: { text: string }) => n + 1 },
    renamedEvents: { Wrote: 'Written' },
    commands: { write: (_n, note: { text: string }, { emit }) => emit.Written(note) },
  })
  const notesOf = (aggregate: typeof old | typeof today, reactors: readonly Reactor[]) =>
    defineCluster({ name: 'notes', aggregates: [aggregate], reactors, dataDir: folder, shards: 1, workers: 'inline' })
  const before = await startNode(notesOf(old, []))
  const commandId = deriveId('note')
  await before.ref(old, '1').ask('write', { text: 'a' }, { commandId })
  await before.close()
  const { promise, resolve } = Promise.withResolvers<void>()
  const notes = defineReactor({
    name: 'notes',
    from: [today],
    startAt: 'beginning',
    mode: 'synchronous',
    on: { Written: () => promise },
    handlerTimeoutMs: 500,
  })
  const node = await startNode(notesOf(today, [notes]))
  onTestFinished(() => node.close())
  const again = node.ref(today, '1').ask('write', { text: 'a' }, { commandId, timeoutMs: 60_000 })
  expect((await again).unsettled).toMatchObject([
    { reactor: 'notes', state: expect.stringMatching(/failed|pending/) as string },
  ])
  resolve()
})
