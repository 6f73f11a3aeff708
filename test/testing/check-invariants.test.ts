import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import { checkInvariants, InvariantBroken } from '../../src/testing/index.ts'
import { Account } from '../account.ts'
import {
  BadgeWithOwnClock,
  DialWithSignedZero,
  LampWithDate,
  LedgerWithLostKeys,
  OrderByIdentity,
  PurseWithClass,
  QueueWithImpureSchema,
  ShelfThatOverflows,
  StockInMap,
  TheatreWithModuleState,
} from './planted.ts'

const seed = Number(process.env['PENHOLD_SEED'] ?? Date.now() % 2 ** 31)

const account = {
  open: fc.record({ owner: fc.string() }),
  deposit: fc.record({ amount: fc.nat(20) }),
  withdraw: fc.record({ amount: fc.nat(30) }),
}
const nothing = fc.constant(undefined)

/** How a search failed. With PENHOLD_STORIES=1 it is printed as users get to see it. */
async function brokenBy(search: () => Promise<unknown>): Promise<InvariantBroken> {
  try {
    await search()
  } catch (error) {
    if (!(error instanceof InvariantBroken)) throw error
    if (process.env['PENHOLD_STORIES'] !== undefined) process.stdout.write(`\n${error.message}\n`)
    return error
  }
  throw new Error(`nothing was found (seed ${seed})`)
}

test(`an aggregate that keeps its invariants passes, whatever befalls it (PENHOLD_SEED=${seed})`, async () => {
  const report = await checkInvariants(Account, {
    seed,
    numRuns: 150,
    commands: account,
    invariants: {
      'the balance is never negative': ({ balance }) => balance >= 0,
      'the balance is what its events add up to': (_state, { events, query }) =>
        query('balance') ===
        events.reduce((sum, { type, data }) => {
          if (type === 'AccountOpened') return sum
          return type === 'MoneyDeposited' ? sum + data.amount : sum - data.amount
        }, 0),
      'an account stays open': ({ opened }, { before }) => expect(before?.opened === true && !opened).toBe(false),
    },
  })
  expect(report).toMatchObject({ seed, stories: { decider: 750, runtime: 150 } })
  for (const [kind, count] of Object.entries(report.faults)) expect(count, kind).toBeGreaterThan(0)
})

const payment = fc.record({ payment: fc.constantFrom('p', 'q'), amount: fc.integer({ min: 1, max: 9 }) })
const article = fc.record({ article: fc.constantFrom('nut', 'bolt') })
const isBookedOnce = {
  'a payment is booked once': (
    _ledger: unknown,
    { events }: { events: readonly { data: { payment: string } }[] },
  ): boolean => new Set(events.map(({ data }) => data.payment)).size === events.length,
}

type Only = { readonly only: 'decider' | 'runtime'; readonly seed: number; readonly timeLimitMs: number }
const PLANTED: Readonly<Record<string, [search: (only: Only) => Promise<unknown>, problem: RegExp]>> = {
  'keys that a snapshot loses, when a payment is tried again': [
    (only) => checkInvariants(LedgerWithLostKeys, { ...only, commands: { book: payment }, invariants: isBookedOnce }),
    /'book' depends on something that the log does not keep|'a payment is booked once' does not hold/,
  ],
  'the identity of an object': [
    (only) => checkInvariants(OrderByIdentity, { ...only, commands: { add: fc.record({ item: fc.constant('x') }) } }),
    /snapshot|as the log gives it back|is not the replayed one/,
  ],
  'a Map in the state': [
    (only) => checkInvariants(StockInMap, { ...only, commands: { deliver: article } }),
    /pieces: an instance of Map/,
  ],
  'a Date in the state': [
    (only) => checkInvariants(LampWithDate, { ...only, commands: { switch: nothing } }),
    /switchedAt: an instance of Date/,
  ],
  'an instance of a class in the state': [
    (only) => checkInvariants(PurseWithClass, { ...only, commands: { fill: fc.record({ cents: fc.nat(5) }) } }),
    /money: an instance of Money/,
  ],
  'the sign of zero': [
    (only) =>
      checkInvariants(DialWithSignedZero, {
        ...only,
        commands: { turn: fc.record({ by: fc.integer({ min: -3, max: 3 }) }) },
      }),
    /'turn' depends on something that the log does not keep/,
  ],
  'a variable of the module': [
    (only) =>
      checkInvariants(TheatreWithModuleState, {
        ...only,
        commands: { reserve: fc.record({ seat: fc.nat(5) }), move: nothing },
      }),
    /'move' is not pure/,
  ],
  'the clock': [
    (only) => checkInvariants(BadgeWithOwnClock, { ...only, commands: { stamp: nothing } }),
    /'stamp' is not pure/,
  ],
  'a wrong rule': [
    (only) =>
      checkInvariants(ShelfThatOverflows, {
        ...only,
        commands: { stock: fc.record({ count: fc.nat(5) }), take: fc.record({ count: fc.nat(5) }) },
        invariants: { 'there are never fewer than none': ({ pieces }) => pieces >= 0 },
      }),
    /'there are never fewer than none' does not hold for shelf\/a at version 2/,
  ],
}

test.each(Object.entries(PLANTED))(
  `a bug is found by the decider and by the runtime: %s`,
  async (_what, [search, problem]) => {
    for (const only of ['decider', 'runtime'] as const) {
      const { message } = await brokenBy(() => search({ only, seed, timeLimitMs: Infinity }))
      expect(message).toMatch(problem)
      // The shortest stories of these bugs.
      expect(message.match(/^when /gm)?.length ?? 0).toBeLessThanOrEqual(6)
    }
  },
)

test('a schema that makes up something each time is no bug, however often a command is sent again', async () => {
  await checkInvariants(QueueWithImpureSchema, { seed, commands: { draw: fc.constant({}) } })
})

test('seed and path tell the same story again', async () => {
  for (const only of ['decider', 'runtime'] as const) {
    const options = {
      numRuns: 100,
      commands: { stock: fc.record({ count: fc.nat(5) }), take: fc.record({ count: fc.nat(5) }) },
      invariants: { 'there are never fewer than none': ({ pieces }: { pieces: number }) => pieces >= 0 },
    }
    const first = await brokenBy(() => checkInvariants(ShelfThatOverflows, { ...options, seed, only }))
    const { path } = first
    const again = await brokenBy(() => checkInvariants(ShelfThatOverflows, { ...options, seed, path }))
    const storyOf = ({ message }: Error): string => message.slice(0, message.indexOf('\n\nStory'))
    expect(storyOf(again)).toBe(storyOf(first))
    expect(first.message).toContain(`seed: ${seed}, path: '${path}'`)
  }
  const misread = checkInvariants(Account, { commands: account, path: '3:1' })
  await expect(misread).rejects.toThrow(`such as 'runtime/3:0:1'`)
})

test('payloads are derived from schemas, and what has neither schema nor arbitrary is told', async () => {
  const Counter = defineAggregate({
    type: 'counter',
    schemas: { add: z.object({ by: z.number().int().min(-5).max(5) }), since: z.object({ at: z.date() }) },
    initialState: () => 0,
    events: { Added: (state, { by }: { by: number }) => state + by, Reset: () => 0 },
    commands: {
      add: (_state, { by }, { emit }) => emit.Added({ by }),
      since: (_state, _payload) => undefined,
      reset: (_state, _payload: undefined, { emit }) => emit.Reset(),
      touch: () => undefined,
    },
  })
  const commands = { reset: nothing, since: false } as const
  const report = await checkInvariants(Counter, { seed, numRuns: 10, commands })
  expect(report.commands).toBeGreaterThan(0)
  await expect(checkInvariants(Counter, { commands: { reset: nothing } })).rejects.toThrow(
    /no arbitrary for the command 'since' of counter \(a schema of zod cannot say what it takes: Date.*fc\.record/s,
  )
  await expect(checkInvariants(Counter, { commands: { since: false } })).rejects.toThrow(
    /no arbitrary for the command 'reset'.*fc\.constant\(undefined\)/s,
  )
  await expect(checkInvariants(Counter, { commands: { ...commands, ad: nothing } as never })).rejects.toThrow(
    `counter has no command 'ad'; it has add, since, reset, touch`,
  )
  await expect(checkInvariants(Account, { commands: account, faults: { crash: true } as never })).rejects.toThrow(
    `there is no fault 'crash'; there are crashes`,
  )
})

test('what an aggregate does not have, and an arbitrary that is missing, do not compile', () => {
  const { open, deposit } = account
  const check = async (): Promise<void> => {
    // @ts-expect-error the arbitrary of withdraw is missing
    await checkInvariants(Account, { commands: { open, deposit } })
    // @ts-expect-error an arbitrary of another payload
    await checkInvariants(Account, { commands: { ...account, withdraw: fc.record({ sum: fc.nat() }) } })
    // @ts-expect-error a state of another shape
    await checkInvariants(Account, { commands: account, invariants: { solvent: ({ sum }) => sum >= 0 } })
    // @ts-expect-error a query of another name
    await checkInvariants(Account, { commands: account, invariants: { solvent: (_, { query }) => query('sum') >= 0 } })
  }
  expect(check).toBeTypeOf('function')
})

test('payloads that nobody can send, and handlers that throw, are told', async () => {
  const Strict = defineAggregate({
    type: 'strict',
    schemas: { set: z.object({ to: z.number().max(5) }) },
    initialState: () => 0,
    events: { Set: (_state, { to }: { to: number }) => to },
    commands: {
      set: (state, { to }, { emit }) => {
        if (state === 3) throw new Error('three is enough')
        return emit.Set({ to })
      },
    },
  })
  const tooLarge = await brokenBy(() =>
    checkInvariants(Strict, { seed, commands: { set: fc.record({ to: fc.constant(6) }) } }),
  )
  expect(tooLarge.message).toContain(`the arbitrary of 'set' gave what nobody can send`)
  const throws = await brokenBy(() =>
    checkInvariants(Strict, { seed, commands: { set: fc.record({ to: fc.nat(3) }) } }),
  )
  expect(throws.message).toMatch(/'set' failed: .* three is enough/)
})

test('faults can be left out, one by one or all', async () => {
  const none = await checkInvariants(Account, { seed, numRuns: 20, commands: account, faults: false })
  expect(Object.values(none.faults)).toEqual([0, 0, 0, 0, 0, 0])
  const some = await checkInvariants(Account, { seed, numRuns: 20, commands: account, faults: { passivation: false } })
  expect(some.faults).toMatchObject({
    passivation: 0,
    retries: expect.toSatisfy((count: number) => count > 0) as number,
  })
})

test('a state that is no plain data is left alone where the aggregate has no snapshots', async () => {
  const Unsaved = defineAggregate({
    type: 'unsaved',
    snapshotEvery: false,
    initialState: () => ({ names: new Set<string>() }),
    events: { Named: ({ names }, { name }: { name: string }) => ({ names: new Set([...names, name]) }) },
    commands: {
      name: ({ names }, { name }: { name: string }, { emit, reject }) =>
        names.has(name) ? reject('known') : emit.Named({ name }),
    },
  })
  const commands = { name: fc.record({ name: fc.constantFrom('a', 'b', 'c') }) }
  const invariants = { 'at most three': ({ names }: { names: Set<string> }) => names.size <= 3 }
  await checkInvariants(Unsaved, { seed, numRuns: 30, commands, invariants })
})

test('no story is begun when the time is up', async () => {
  const report = await checkInvariants(Account, { commands: account, timeLimitMs: 0 })
  expect(report).toMatchObject({ stories: { decider: 0, runtime: 0 }, commands: 0 })
})
