import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import { checkInvariants, InvariantBroken } from '../../src/testing/index.ts'
import { ALL_FAULTS } from '../../src/testing/story.ts'
import { Account } from '../account.ts'
import { SEED } from '../seed.ts'
import {
  BadgeWithOwnClock,
  DialWithSignedZero,
  DoorThatIsNotThere,
  LampWithDate,
  LedgerWithLostKeys,
  LoanRenewedTooLate,
  OrderByIdentity,
  PurseWithClass,
  QueueWithImpureSchema,
  ShelfThatOverflows,
  StockInMap,
  TheatreWithModuleState,
} from './planted.ts'

const seed = SEED

const account = {
  open: fc.record({ owner: fc.string() }),
  deposit: fc.record({ amount: fc.nat(20) }),
  withdraw: fc.record({ amount: fc.nat(30) }),
}
const nothing = fc.constant(undefined)
const some = expect.toSatisfy((count: number) => count > 0) as number

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
  expect(report).toMatchObject({
    seed,
    stories: { decider: 750, runtime: 150 },
    cut: { decider: 0, runtime: 0 },
    outcomes: {
      open: { accepted: some, nothing: some, rejected: {} },
      deposit: { accepted: some, nothing: 0, rejected: {} },
      withdraw: { accepted: some, nothing: 0, rejected: { 'insufficient-funds': some } },
    },
    events: { AccountOpened: some, MoneyDeposited: some, MoneyWithdrawn: some },
    passes: some,
  })
  expect(Object.keys(report.faults)).toEqual(Object.keys(ALL_FAULTS))
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
    /'there are never fewer than none' does not hold for shelf\/\w+ at version \d/,
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

const isRenewedInTime = {
  'nothing is renewed when it is overdue': (
    _loan: unknown,
    { events }: { events: readonly { type: string; data: object }[] },
  ): boolean =>
    events.every(({ type, data }, i) => {
      const before = events[i - 1]?.data as { due: number } | undefined
      return type !== 'Renewed' || before === undefined || (data as { at: number }).at <= before.due
    }),
}

test('a bug that takes two weeks is found, and only the time that matters is told', async () => {
  const commands = { borrow: nothing, renew: nothing, giveBack: nothing }
  for (const only of ['decider', 'runtime'] as const) {
    const options = { commands, invariants: isRenewedInTime, seed, numRuns: 400, timeLimitMs: Infinity }
    const found = await brokenBy(() => checkInvariants(LoanRenewedTooLate, { ...options, only }))
    expect(found.message).toContain("'nothing is renewed when it is overdue' does not hold for loan/a at version 2")
    expect(found.message.match(/^when .*/gm)).toHaveLength(2)
    expect(found.message.match(/^and .*pass.*/gm)).toEqual(['and   14 days pass'])
    const again = await brokenBy(() => checkInvariants(LoanRenewedTooLate, { ...options, path: found.path }))
    const storyOf = ({ message }: Error): string => message.slice(0, message.indexOf('\n\nStory'))
    expect(storyOf(again)).toBe(storyOf(found))
  }
})

test('how much time passes can be said, also that none does', async () => {
  const commands = { borrow: nothing, renew: nothing, giveBack: nothing }
  const options = { commands, invariants: isRenewedInTime, seed, numRuns: 20 }
  expect(await checkInvariants(LoanRenewedTooLate, { ...options, time: false })).toMatchObject({ passes: 0 })
  const day = fc.constant(24 * 60 * 60_000)
  expect((await checkInvariants(Account, { commands: account, seed, numRuns: 20, time: day })).passes).toEqual(some)
})

test('a bug that has nothing to do with time is told without any', async () => {
  const commands = { stock: fc.record({ count: fc.nat(5) }), take: fc.record({ count: fc.nat(5) }) }
  const invariants = { 'there are never fewer than none': ({ pieces }: { pieces: number }) => pieces >= 0 }
  for (const only of ['decider', 'runtime'] as const) {
    const options = { commands, invariants, only, seed, timeLimitMs: Infinity }
    expect((await brokenBy(() => checkInvariants(ShelfThatOverflows, options))).message).not.toMatch(/ pass(?:es)?$/m)
  }
})

test('a search in which no command ever led to an event is no success', async () => {
  const search = checkInvariants(DoorThatIsNotThere, { seed, numRuns: 5, commands: { knock: nothing, look: nothing } })
  await expect(search).rejects.toThrow(
    /^no command to door ever led to an event[^]*  knock: rejected 'no-door' \(\d+×\)\n  look: accepted without an event \(\d+×\)/,
  )
})

test('a failure that could not be made shorter says how it could', async () => {
  const slow = (): boolean => {
    const end = performance.now() + 1_000
    while (performance.now() < end);
    return false
  }
  const found = await brokenBy(() =>
    checkInvariants(ShelfThatOverflows, {
      commands: { stock: fc.record({ count: fc.nat(5) }), take: fc.record({ count: fc.nat(5) }) },
      invariants: { never: slow },
      seed,
      timeLimitMs: 1_200,
    }),
  )
  expect(found.message).toContain('until the time was up (timeLimitMs: 1200); with more it gets shorter.')
  expect(found.message).toContain(`path: '${found.path}', timeLimitMs: 60000 })`)
})

test('what plain JavaScript gets wrong is told', async () => {
  const search = (options: object): Promise<unknown> => checkInvariants(Account, { commands: account, ...options })
  await expect(search({ only: 'decide' })).rejects.toThrow("only is 'decide'; give 'decider' or 'runtime'")
  await expect(search({ numRun: 5 })).rejects.toThrow("there is no option 'numRun'; the nearest is 'numRuns'")
  await expect(search({ numRuns: 0 })).rejects.toThrow('numRuns is 0; give a whole number from 1 on')
  await expect(search({ invariants: { fine: true } })).rejects.toThrow("the invariant 'fine' is true; give a function")
  for (const [given, told] of [
    [0, '0'],
    ['yes', "'yes'"],
    [null, 'null'],
  ] as const) {
    await expect(search({ invariants: { fine: () => given }, seed })).rejects.toThrow(
      `it returned ${told}, which says neither`,
    )
  }
})

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
  expect(Object.values(none.faults)).toEqual([0, 0, 0, 0, 0, 0, 0, 0])
  // So many that some retry in whatever stories there are.
  const restless = await checkInvariants(Account, {
    seed,
    numRuns: 100,
    commands: account,
    faults: { passivation: false },
  })
  expect(restless.faults).toMatchObject({
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

test('no story is begun when the time is up, which is no success', async () => {
  await expect(checkInvariants(Account, { commands: account, timeLimitMs: 0 })).rejects.toThrow(
    '0 of 500 stories through the decider alone were told in 0 ms (timeLimitMs): nothing was tried',
  )
})

test('stories that the time limit cuts are counted; where hardly any were told, a warning says so', async () => {
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
  const options = { commands: account, only: 'decider', timeLimitMs: 1_500, numRuns: 100_000 } as const
  const { stories, cut } = await checkInvariants(Account, options)
  expect(stories.decider + cut.decider).toBe(500_000)
  expect((await warned).message).toMatch(
    /^\d+ of 500000 stories through the decider alone were told in 1500 ms \(timeLimitMs\): that finds little/,
  )
})
