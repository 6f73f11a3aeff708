import { AssertionError } from 'node:assert'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import { eventsOf, given, rejected } from '../../src/testing/index.ts'
import { Account } from '../account.ts'
import { BadgeWithOwnClock, LedgerWithLostKeys } from './planted.ts'

const { AccountOpened, MoneyDeposited, MoneyWithdrawn } = eventsOf(Account)
const OPENED = [AccountOpened({ owner: 'Ada' }), MoneyDeposited({ amount: 50 })]

const Raffle = defineAggregate({
  type: 'raffle',
  initialState: (): { tickets: string[]; isClosed: boolean } => ({ tickets: [], isClosed: false }),
  schemas: { buy: z.object({ count: z.number().int().max(3).default(1) }) },
  events: {
    TicketSold: (state, { ticket }: { ticket: string }) => ({ ...state, tickets: [...state.tickets, ticket] }),
    Drawn: (state, _data: { winner: string | null; at: number; by: string }) => ({ ...state, isClosed: true }),
    Cancelled: (state) => ({ ...state, isClosed: true }),
  },
  commands: {
    buy: ({ isClosed }, { count }, { emit, reject, newId }) =>
      isClosed ? reject('closed') : Array.from({ length: count }, () => emit.TicketSold({ ticket: newId() })),
    draw: ({ tickets }, _nothing: undefined, { emit, now, random, id, metadata }) =>
      emit.Drawn({
        winner: tickets[Math.floor(random() * tickets.length)] ?? null,
        at: now,
        by: `${String(metadata['user'])} for ${id}`,
      }),
    cancel: (_raffle, _nothing: undefined, { emit }) => emit.Cancelled(),
    boast: (state, { count }: { count: number }) => {
      if (state.tickets.length < count) throw new Error('there are not so many')
      return undefined
    },
  },
})

/** What a test that fails prints. */
function told(failing: () => unknown): string {
  try {
    failing()
  } catch (error) {
    expect(error).toBeInstanceOf(AssertionError)
    return (error as Error).message
  }
  throw new Error('it did not fail')
}

test('a command comes to events, to a rejection or to nothing, and leaves a state', () => {
  given(Account, OPENED)
    .when('withdraw', { amount: 20 })
    .then([{ type: 'MoneyWithdrawn', data: { amount: 20 } }])
    .thenState({ opened: true, balance: 30 })
    .thenState(({ balance }) => expect(balance).toBe(30))
  given(Account, OPENED)
    .when('withdraw', { amount: 51 })
    .then(rejected('insufficient-funds', { balance: 50 }))
    .thenState(({ balance }) => balance === 50)
  given(Account, OPENED).when('withdraw', { amount: 51 }).then(rejected('insufficient-funds'))
  given(Account, OPENED)
    .when('withdraw', { amount: 50 })
    .then(MoneyWithdrawn({ amount: 50 }))
  given(Account, OPENED).when('open', { owner: 'Bob' }).thenNothing().thenState({ opened: true, balance: 50 })
  given(Account, OPENED).when('open', { owner: 'Bob' }).then([])
  given(Account)
    .when('open', { owner: 'Ada' })
    .then([AccountOpened({ owner: 'Ada' })])
})

test('the context is the same in every run, and can be set', () => {
  const sold = (ticket: string) => ({ type: 'TicketSold', data: { ticket } }) as const
  given(Raffle)
    .when('buy', { count: 2 })
    .then([sold('00000000-0000-7000-8000-000000000001'), sold('00000000-0000-7000-8000-000000000002')])
  given(Raffle)
    .when('buy', {}, { newIds: ['one'] })
    .then(sold('one'))
  given(Raffle, [sold('one'), sold('two')])
    .when('draw', undefined, { now: new Date(1000), random: [0.9], id: 'gala', metadata: { user: 'Ada' } })
    .then({ type: 'Drawn', data: { winner: 'two', at: 1000, by: 'Ada for gala' } })
  given(Raffle).when('cancel').then({ type: 'Cancelled' }).thenState({ tickets: [], isClosed: true })
})

test('what happened otherwise is shown as given, when and then', () => {
  expect(
    told(() =>
      given(Account, OPENED)
        .when('withdraw', { amount: 80 })
        .then(MoneyWithdrawn({ amount: 80 })),
    ),
  ).toBe(
    `\
given account
      AccountOpened { owner: 'Ada' }
      MoneyDeposited { amount: 50 }
when  withdraw { amount: 80 }
then  - MoneyWithdrawn { amount: 80 }
      + rejected 'insufficient-funds' { balance: 50 }

(- expected, + happened)`,
  )
  const wrong = {
    events: () =>
      given(Account)
        .when('deposit', { amount: 1 })
        .then([MoneyDeposited({ amount: 2 })]),
    order: () => given(Account).when('deposit', { amount: 1 }).thenNothing(),
    details: () =>
      given(Account)
        .when('withdraw', { amount: 1 })
        .then(rejected('insufficient-funds', { balance: 1 })),
    state: () => given(Account).when('deposit', { amount: 1 }).thenState({ opened: true, balance: 1 }),
    rule: () =>
      given(Account)
        .when('deposit', { amount: 1 })
        .thenState(({ balance }) => balance > 1),
  }
  expect(told(wrong.events)).toContain('- MoneyDeposited { amount: 2 }\n      + MoneyDeposited { amount: 1 }')
  expect(told(wrong.order)).toContain('- nothing\n      + MoneyDeposited { amount: 1 }')
  expect(told(wrong.details)).toContain(`- rejected 'insufficient-funds' { balance: 1 }`)
  expect(told(wrong.state)).toContain('- { opened: true, balance: 1 }\n      + { opened: false, balance: 1 }')
  expect(told(wrong.rule)).toContain('balance > 1')
})

test('a payload goes through its schema, and a handler that throws is no rejection', () => {
  given(Raffle).when('buy', { count: 4 }).thenFails('BadPayload')
  given(Raffle).when('boast', { count: 1 }).thenFails('HandlerFailed')
  given(Account)
    .when('deposit', { amount: (() => 1) as never })
    .thenFails('BadPayload')
  expect(told(() => given(Raffle).when('boast', { count: 1 }).thenNothing())).toContain('there are not so many')
  expect(told(() => given(Raffle).when('buy', {}, { newIds: [] }).thenNothing())).toContain('the handler draws more')
})

test('a history that could not stand in the log is refused', () => {
  expect(told(() => given(Account, [{ type: 'Lost', data: {} } as never]))).toContain(
    `account has no event 'Lost'; it has AccountOpened`,
  )
  expect(told(() => given(Account, [MoneyDeposited({ amount: (() => 1) as never })]))).toContain(
    'data.amount: a function',
  )
})

test('a handler that is not pure fails, and so does one that needs what a snapshot loses', () => {
  expect(told(() => given(BadgeWithOwnClock).when('stamp'))).toContain(`'stamp' is not pure`)
  const booked = { type: 'PaymentBooked', data: { payment: 'p', amount: 1 } } as const
  expect(told(() => given(LedgerWithLostKeys, [booked]).when('book', { payment: 'p', amount: 1 }))).toContain(
    'depends on what a snapshot loses',
  )
})

test('names that do not exist are told', () => {
  expect(told(() => given(Account).when('steal' as never, {}))).toContain(
    "account has no command 'steal'; it has open, deposit, withdraw",
  )
  expect(told(() => given(Account).when('deposit', { amount: 1 }, { tme: 1 } as never))).toContain(
    "there is no circumstance 'tme'; there are id, commandId, metadata, now, newIds, random",
  )
})

test('values are shown as plain objects, wherever they come from', () => {
  const Echo = defineAggregate({
    type: 'echo',
    initialState: (): unknown => null,
    events: { Heard: (_state, { what }: { what: unknown }) => what },
    commands: {
      say: (_state, _nothing: undefined, { emit, metadata }) =>
        emit.Heard({ what: Object.assign(Object.create(null) as object, metadata) }),
    },
  })
  const say = given(Echo).when('say', undefined, { metadata: { by: 'ada', lines: [{ item: 'x' }] } })
  const text = told(() => say.thenNothing())
  expect(text).toContain("{ by: 'ada', lines: [ { item: 'x' } ] }")
  expect(text).not.toContain('prototype')
})

test('an error has no diff beside its message, which runners would print behind it', () => {
  try {
    given(Account).when('deposit', { amount: 1 }).thenNothing()
  } catch (error) {
    expect(error).not.toHaveProperty('diff')
    return
  }
  expect.unreachable()
})

test('a test may return what follows, though nothing waits for it', () =>
  given(Account)
    .when('deposit', { amount: 1 })
    .then(MoneyDeposited({ amount: 1 })))

test('waiting for it is an error that says so', async () => {
  await expect(async () => {
    // The compiler says so too.
    await (given(Account).when('deposit', { amount: 1 }) as unknown as Promise<unknown>)
  }).rejects.toThrow('leave out the await')
})

test('a check that would be heard of too late fails, and so does nothing to expect', () => {
  const deposited = given(Account).when('deposit', { amount: 1 })
  expect(told(() => deposited.thenState(async () => Promise.resolve()))).toContain('waits for nothing')
  expect(told(() => deposited.then(undefined as never))).toContain('was given undefined')
})

test('what an aggregate does not have does not compile', () => {
  const check = (): void => {
    // @ts-expect-error an event of another name
    given(Account, [{ type: 'MoneyLost', data: { amount: 1 } }])
    // @ts-expect-error data of another shape
    given(Account, [{ type: 'MoneyDeposited', data: { amount: '1' } }])
    // @ts-expect-error no data where there must be some
    given(Account, [{ type: 'MoneyDeposited' }])
    // @ts-expect-error a command of another name
    given(Account).when('steal', { amount: 1 })
    // @ts-expect-error a payload of another shape
    given(Account).when('deposit', { sum: 1 })
    // @ts-expect-error no payload where there must be one
    given(Account).when('deposit')
    const deposited = given(Account).when('deposit', { amount: 1 })
    const withdrawn = given(Account).when('withdraw', { amount: 1 })
    // @ts-expect-error an event that the command does not emit
    deposited.then(MoneyWithdrawn({ amount: 1 }))
    // @ts-expect-error a command that is never rejected
    deposited.then(rejected('insufficient-funds'))
    // @ts-expect-error a rejection that the command does not know
    withdrawn.then(rejected('too-late'))
    // @ts-expect-error details of another shape
    withdrawn.then(rejected('insufficient-funds', { balance: '1' }))
    // @ts-expect-error a state of another shape
    deposited.thenState({ balance: 1 })
    // @ts-expect-error a circumstance that does not exist
    given(Account).when('deposit', { amount: 1 }, { time: 1 })
  }
  expect(check).toBeTypeOf('function')
})
