import { expect, test } from 'vitest'
import type { Reply } from '../../src/actor/message.ts'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import { deriveId, parseId } from '../../src/log/identity.ts'
import { raiseFence } from '../../src/log/claim.ts'
import { Log } from '../../src/log/log.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage, type Plan } from '../../src/testing/simulated-storage.ts'
import { Account } from '../account.ts'
import { turn } from './simulated-bank.ts'
import { deposit, open } from './harness.ts'

test('StorageFull: nothing is written, reads go on, and writing resumes by itself when there is room', async () => {
  const disk = new SimulatedDisk()
  const bank = await open(disk, new SimulatedClock())
  expect(await bank.ask(deposit('account/1', 5))).toMatchObject({ kind: 'accepted', version: 1 })
  disk.room = 0
  const failures: Reply[] = []
  let accepted = 1
  for (let i = 0; i < 60; i += 1) {
    const reply = await bank.ask(deposit('account/1', 5))
    if (reply.kind === 'failed') failures.push(reply)
    else accepted += 1
  }
  expect(failures[0]).toMatchObject({ failure: { code: 'StorageFull', outcome: 'none', retryable: true } })
  expect(await bank.query('account/1', 'balance')).toEqual({ kind: 'answered', value: accepted * 5 })
  disk.room = Number.POSITIVE_INFINITY
  expect(await bank.ask(deposit('account/1', 5))).toMatchObject({ kind: 'accepted', version: accepted + 1 })
  await bank.worker.close()
  const after = await open(disk, new SimulatedClock())
  expect(await after.query('account/1', 'balance')).toEqual({ kind: 'answered', value: (accepted + 1) * 5 })
})

test('OwnershipLost: a superseded worker answers no command and no query any more', async () => {
  const disk = new SimulatedDisk()
  const clock = new SimulatedClock()
  const old = await open(disk, clock)
  await old.ask(deposit('account/1', 5))
  const heir = await open(disk, clock)
  expect(await heir.ask(deposit('account/1', 5))).toMatchObject({ kind: 'accepted', version: 2 })
  const lost = { kind: 'failed', failure: { code: 'OwnershipLost', outcome: 'unknown', retryable: true } }
  expect(await old.query('account/1', 'balance')).toMatchObject(lost)
  expect(await old.ask(deposit('account/1', 5))).toEqual({ kind: 'elsewhere', shard: 1 })
  expect(await heir.query('account/1', 'balance')).toEqual({ kind: 'answered', value: 10 })
})

test('idle actors, and the least recently used beyond the limit, leave memory and come back from the log', async () => {
  const clock = new SimulatedClock()
  const bank = await open(new SimulatedDisk(), clock, { limits: { activeActorsMax: 3, passivateAfterMs: 1000 } })
  for (let i = 0; i < 10; i += 1) await bank.ask(deposit(`account/${i}`, i))
  expect(bank.worker.activeActors).toBeLessThanOrEqual(4)
  clock.advance(2000)
  expect(bank.worker.activeActors).toBe(0)
  for (let i = 0; i < 10; i += 1) {
    expect(await bank.query(`account/${i}`, 'balance')).toEqual({ kind: 'answered', value: i })
  }
})

test('snapshots on, off, and of an older state version give the same state', async () => {
  const disk = new SimulatedDisk()
  const clock = new SimulatedClock()
  const variants = [
    { ...Account, snapshotEvery: 3 as const },
    { ...Account, snapshotEvery: false as const },
    { ...Account, snapshotEvery: 5 as const, stateVersion: 2 },
    { ...Account, snapshotEvery: 1 as const },
  ]
  for (const [i, aggregate] of variants.entries()) {
    const bank = await open(disk, clock, { aggregates: [aggregate] })
    for (let n = 0; n < 17; n += 1) await bank.ask(deposit('account/1', 1))
    await bank.worker.close()
    for (const other of variants) {
      const reader = await open(disk, clock, { aggregates: [other] })
      expect(await reader.query('account/1', 'balance')).toEqual({ kind: 'answered', value: (i + 1) * 17 })
      await reader.worker.close()
    }
  }
})

test('a snapshot of another state version is passed over, also where it stands on top', async () => {
  const disk = new SimulatedDisk()
  const clock = new SimulatedClock()
  const cents = defineAggregate({
    type: 'account',
    snapshotEvery: 2,
    stateVersion: 2,
    initialState: () => ({ cents: 0 }),
    events: { MoneyDeposited: (state, { amount }: { amount: number }) => ({ cents: state.cents + amount * 100 }) },
    commands: {},
    queries: { cents: (state) => state.cents },
  })
  const before = await open(disk, clock, { aggregates: [{ ...Account, snapshotEvery: 2 }] })
  for (let n = 0; n < 4; n += 1) await before.ask(deposit('account/1', 1))
  await before.worker.close()
  const after = await open(disk, clock, { aggregates: [cents] })
  expect(await after.query('account/1', 'cents')).toEqual({ kind: 'answered', value: 400 })
})

test('a state that is no plain data is kept without snapshots, and somebody is told', async () => {
  const Bag = defineAggregate({
    type: 'bag',
    snapshotEvery: 1,
    initialState: () => new Set<number>(),
    events: { Put: (state, { n }: { n: number }) => new Set([...state, n]) },
    commands: { put: (_state, { n }: { n: number }, { emit }) => emit.Put({ n }) },
    queries: { size: (state) => state.size },
  })
  const disk = new SimulatedDisk()
  const clock = new SimulatedClock()
  const first = await open(disk, clock, { aggregates: [Bag] })
  for (let n = 0; n < 3; n += 1) await first.ask({ stream: 'bag/1', name: 'put', payload: { n } })
  expect(first.warnings).toEqual([expect.stringContaining('no snapshots of bag')])
  await first.worker.close()
  const second = await open(disk, clock, { aggregates: [Bag] })
  expect(await second.query('bag/1', 'size')).toEqual({ kind: 'answered', value: 3 })
})

test('a state of more keys than 16 bits count gets its snapshot, and reads back from it', async () => {
  const disk = new SimulatedDisk()
  const Register = defineAggregate({
    type: 'register',
    initialState: (): Record<string, number> => ({}),
    snapshotEvery: 1,
    events: {
      Filled: (_state, keys: number) => Object.fromEntries(Array.from({ length: keys }, (_, i) => [`k${i}`, i])),
    },
    commands: { fill: (_state, keys: number, { emit }) => emit.Filled(keys) },
    queries: { size: (state) => Object.keys(state).length },
  })
  const bank = await open(disk, new SimulatedClock(), { aggregates: [Register] })
  const reply = await bank.ask({ stream: 'register/1', name: 'fill', payload: 70_000 })
  expect(reply).toMatchObject({ kind: 'accepted', version: 1 })
  await bank.worker.close()
  const Reader = { ...Register, events: { Filled: () => ({ none: 1 }) } }
  const after = await open(disk, new SimulatedClock(), { aggregates: [Reader] })
  expect(await after.query('register/1', 'size')).toEqual({ kind: 'answered', value: 70_000 })
})

test('a reply waits for the sync, and so does a rejection or a query that was decided on what is not durable (I3)', async () => {
  let letSync = (): void => undefined
  let isHolding = false
  const plan: Plan = async ({ name, path }) => {
    if (isHolding && name === 'sync' && path.endsWith('.log')) {
      await new Promise<void>((resolve) => {
        letSync = resolve
      })
    }
    return 'none' as const
  }
  const bank = await open(new SimulatedDisk(), new SimulatedClock(), { plan })
  await bank.query('account/1', 'balance')
  isHolding = true
  const told: string[] = []
  const note = (what: string, reply: Promise<Reply>): void =>
    void reply.then(({ kind }) => told.push(`${what} ${kind}`))
  note('deposit', bank.ask(deposit('account/1', 5)))
  note('query', bank.query('account/1', 'balance'))
  note('withdraw', bank.ask({ stream: 'account/1', name: 'withdraw', payload: { amount: 50 } }))
  note('other', bank.query('account/2', 'balance'))
  for (let i = 0; i < 20; i += 1) await turn()
  expect(told, 'only what stands on durable state is told').toEqual(['other answered'])
  isHolding = false
  letSync()
  for (let i = 0; i < 20; i += 1) await turn()
  expect(told.slice(1).toSorted()).toEqual(['deposit accepted', 'query answered', 'withdraw rejected'])
})

test('after StorageFull everything that stood on the lost batch is answered too', async () => {
  const disk = new SimulatedDisk()
  const bank = await open(disk, new SimulatedClock())
  for (let i = 0; i < 30; i += 1) await bank.ask(deposit('account/1', 1))
  disk.room = 0
  const commandId = parseId(deriveId('twice'))
  for (let i = 0; i < 30; i += 1) {
    const asked = { ...deposit('account/1', 1), commandId: parseId(deriveId('twice', i)), isFresh: false }
    const replies = await Promise.all([bank.ask(asked), bank.ask(asked), bank.query('account/1', 'balance')])
    expect(replies.map(({ kind }) => kind).includes('accepted') || replies[1].kind === 'failed').toBe(true)
  }
  disk.room = Number.POSITIVE_INFINITY
  expect(await bank.ask({ ...deposit('account/1', 1), commandId, isFresh: false })).toMatchObject({ kind: 'accepted' })
})

test('a mailbox of large commands is committed in batches that a reader takes', async () => {
  const Store = defineAggregate({
    type: 'store',
    initialState: () => 0,
    events: { Put: (state, _data: { text: string }) => state + 1 },
    commands: { put: (_state, { text }: { text: string }, { emit }) => emit.Put({ text }) },
    queries: { count: (state) => state },
  })
  const disk = new SimulatedDisk()
  const clock = new SimulatedClock()
  const first = await open(disk, clock, { aggregates: [Store] })
  const text = 'x'.repeat(900_000)
  const replies = await Promise.all(
    Array.from({ length: 80 }, () => first.ask({ stream: 'store/1', name: 'put', payload: { text } })),
  )
  expect(replies.every(({ kind }) => kind === 'accepted')).toBe(true)
  const second = await open(disk, clock, { aggregates: [Store] })
  expect(await second.query('store/1', 'count')).toEqual({ kind: 'answered', value: 80 })
})

test('what comes while a mailbox waits for room in the batch is taken up behind it', async () => {
  const Store = defineAggregate({
    type: 'store',
    initialState: () => 0,
    events: { Put: (state, _data: { text: string }) => state + 1 },
    commands: { put: (_state, { text }: { text: string }, { emit }) => emit.Put({ text }) },
  })
  const put = (text: string): Promise<Reply> => bank.ask({ stream: 'store/1', name: 'put', payload: { text } })
  let last: Promise<Reply> | undefined
  let isFull = false
  // While the first batch is on its way to the disk there is room again, and nobody has been told.
  const plan: Plan = ({ name }) => {
    if (isFull && name === 'createLog') last ??= put('last')
    return 'none'
  }
  const bank = await open(new SimulatedDisk(), new SimulatedClock(), { aggregates: [Store], plan })
  const first = Array.from({ length: 8 }, () => put('x'.repeat(900_000)))
  isFull = true
  const versions = [...(await Promise.all(first)), await last].map((reply) => (reply as { version: number }).version)
  expect(versions).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
})

test('what a command may emit is counted in bytes, and written all or none', async () => {
  const Store = defineAggregate({
    type: 'store',
    initialState: () => 0,
    events: { Put: (state, _data: { text: string }) => state + 1 },
    commands: {
      put: (_state, { repeat }: { repeat: number }, { emit }) => [
        emit.Put({ text: 'small' }),
        emit.Put({ text: '漢'.repeat(repeat) }),
      ],
    },
    queries: { count: (state) => state },
  })
  const bank = await open(new SimulatedDisk(), new SimulatedClock(), {
    aggregates: [Store],
    limits: { commandBytesMax: 8 * 1024 * 1024 },
  })
  const put = (repeat: number): Promise<Reply> => bank.ask({ stream: 'store/1', name: 'put', payload: { repeat } })
  expect(await put(7_000_000)).toMatchObject({ failure: { code: 'TooLarge', outcome: 'none' } })
  expect(await put(10)).toMatchObject({ kind: 'accepted', version: 2 })
  expect(await bank.query('store/1', 'count')).toEqual({ kind: 'answered', value: 2 })
})

test('a rejection whose code is no short text fails its own command alone', async () => {
  const Odd = defineAggregate({
    type: 'odd',
    initialState: () => 0,
    events: {},
    commands: { refuse: (_state, { code }: { code: string | null }, { reject }) => reject(code as string) },
  })
  const bank = await open(new SimulatedDisk(), new SimulatedClock(), { aggregates: [Odd] })
  for (const code of [null, '', 'x'.repeat(70_000)]) {
    const reply = await bank.ask({ stream: 'odd/1', name: 'refuse', payload: { code } })
    expect(reply).toMatchObject({ failure: { code: 'HandlerFailed', outcome: 'none' } })
  }
})

test('a handler that changes what it is given fails, and leaves no trace', async () => {
  const Impure = defineAggregate({
    type: 'impure',
    snapshotEvery: 1,
    initialState: () => ({ list: ['a'] }),
    events: {
      Pushed: (state, _data: { item: string }) => {
        state.list.push('b')
        return state
      },
      Added: (state, { item }: { item: string }) => ({ list: [...state.list, item] }),
      Tampered: (state, data: { item: string }) => {
        data.item = 'z'
        return state
      },
    },
    commands: {
      push: (_state, { item }: { item: string }, { emit }) => emit.Pushed({ item }),
      add: (_state, { item }: { item: string }, { emit }) => emit.Added({ item }),
      tamper: (_state, { item }: { item: string }, { emit }) => emit.Tampered({ item }),
      sneak: (state) => {
        state.list.push('sneaky')
        return undefined
      },
    },
    queries: {
      list: (state) => state.list,
      sorted: (state) => state.list.sort(),
    },
  })
  const disk = new SimulatedDisk()
  const bank = await open(disk, new SimulatedClock(), { aggregates: [Impure] })
  const ask = (name: string): Promise<Reply> => bank.ask({ stream: 'impure/1', name, payload: { item: 'c' } })
  const failed = { kind: 'failed', failure: { code: 'HandlerFailed', outcome: 'none' } }
  for (const name of ['push', 'tamper', 'sneak']) expect(await ask(name), name).toMatchObject(failed)
  expect(await ask('add')).toMatchObject({ kind: 'accepted', version: 1 })
  expect(await bank.query('impure/1', 'list')).toEqual({ kind: 'answered', value: ['a', 'c'] })
  expect(await bank.query('impure/1', 'sorted')).toMatchObject(failed)
  await bank.worker.close()
  const after = await open(disk, new SimulatedClock(), { aggregates: [Impure] })
  expect(await after.query('impure/1', 'list')).toEqual({ kind: 'answered', value: ['a', 'c'] })
})

test('two look-ups of lost shards at once let no reply through between them', async () => {
  const disk = new SimulatedDisk()
  const clock = new SimulatedClock()
  const held: { readonly path: string; readonly go: () => void }[] = []
  let isHolding = false
  const plan: Plan = async ({ name, path }) => {
    if (isHolding && name === 'list' && path.startsWith('shards')) {
      await new Promise<void>((go) => held.push({ path, go }))
    }
    return 'none' as const
  }
  const turns = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) await turn()
  }
  const old = await open(disk, clock, { plan })
  const streams = Array.from({ length: 8 }, (_, i) => `account/${i}`)
  for (const stream of streams) await old.ask(deposit(stream, 1))
  const [first, second] = streams.filter((stream) => old.log.placement.shardOf(stream) === 0)
  isHolding = true
  await raiseFence(new SimulatedStorage(disk), old.log.journal)
  void old.query(first!, 'balance')
  await turns(5)
  // The first look-up has passed shard 0 and found nothing; it is held at shard 1 while an heir takes both.
  held.shift()!.go()
  await turns(5)
  const heir = await open(disk, clock)
  void old.query(second!, 'balance')
  await turns(5)
  const asked = old.ask(deposit(first!, 100))
  await turns(5)
  isHolding = false
  while (held.length > 0) {
    held.shift()!.go()
    await turns(5)
  }
  expect((await asked).kind).toBe('failed')
  expect(await heir.query(first!, 'balance')).toEqual({ kind: 'answered', value: 1 })
})

test('streams that share a hash share a chain, and lose nothing', async () => {
  const disk = new SimulatedDisk()
  const clock = new SimulatedClock()
  const tweak = ({ placement }: Log): void => {
    const stream = placement.stream.bind(placement)
    placement.stream = (name) => ({ ...stream(name), hash: { high: 7, low: 8 }, shard: 0 })
  }
  const first = await open(disk, clock, { tweak })
  for (let i = 0; i < 5; i += 1) {
    await first.ask(deposit('account/1', 1))
    await first.ask(deposit('account/2', 2))
  }
  await first.worker.close()
  const second = await open(disk, clock, { tweak })
  expect(await second.query('account/1', 'balance')).toEqual({ kind: 'answered', value: 5 })
  expect(await second.query('account/2', 'balance')).toEqual({ kind: 'answered', value: 10 })
})

test('an event without data evolves the same way when it is read from the log', async () => {
  const Door = defineAggregate({
    type: 'door',
    initialState: (): string => 'new',
    events: { Opened: (_state, data?: { by: string }) => (data === undefined ? 'by nobody' : data.by) },
    commands: { open: (_state, _payload: undefined, { emit }) => emit.Opened() },
    queries: { state: (state) => state },
  })
  const disk = new SimulatedDisk()
  const options = { aggregates: [Door] }
  const first = await open(disk, new SimulatedClock(), options)
  await first.ask({ stream: 'door/1', name: 'open', payload: undefined })
  expect(await first.query('door/1', 'state')).toEqual({ kind: 'answered', value: 'by nobody' })
  await first.worker.close()
  const second = await open(disk, new SimulatedClock(), options)
  expect(await second.query('door/1', 'state')).toEqual({ kind: 'answered', value: 'by nobody' })
  await second.worker.close()
})
