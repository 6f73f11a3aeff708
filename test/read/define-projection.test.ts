import { expect, expectTypeOf, test } from 'vitest'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { defineProjection, handlersOf } from '../../src/read/projection.ts'
import { Account } from '../account.ts'
import { EventRow } from './event-row.ts'
import { FaultyStore } from './faulty-store.ts'

const Incident = defineAggregate({
  type: 'incident',
  initialState: () => ({ isOpen: false }),
  events: {
    IncidentOpened: (state, _data: { title: string }) => ({ ...state, isOpen: true }),
    // An account has one of this name too.
    AccountOpened: (state, _data: { by: number }) => state,
  },
  commands: { open: (_state, { title }: { title: string }, { emit }) => emit.IncidentOpened({ title }) },
  renamedEvents: { IncidentReported: 'IncidentOpened' },
})

const store = new FaultyStore<{ balance: number }>(() => ({ balance: 0 }))
const good = { name: 'balances', from: [Account], store, on: { MoneyDeposited: () => undefined } } as const

test('a handler knows its events and its model', () => {
  defineProjection({
    name: 'balances',
    from: [Incident, Account],
    store,
    on: {
      MoneyDeposited: (event, model) => {
        expectTypeOf(event.data).toEqualTypeOf<{ amount: number }>()
        expectTypeOf(event.position).toEqualTypeOf<number>()
        expectTypeOf(event.shard).toEqualTypeOf<number>()
        expectTypeOf(model).toEqualTypeOf<{ balance: number }>()
        model.balance += event.data.amount
      },
      IncidentOpened: async ({ data }) => {
        expectTypeOf(data).toEqualTypeOf<{ title: string }>()
        await Promise.resolve()
      },
      AccountOpened: ({ data }) => {
        expectTypeOf(data).toEqualTypeOf<{ owner: string } | { by: number }>()
      },
    },
  })
  defineProjection({
    name: 'everything',
    from: 'all',
    store,
    on: { Whatever: (event) => expectTypeOf(event).toEqualTypeOf<FeedEvent>() },
  })
})

test('what no aggregate of several has does not compile', () => {
  const check = (): void => {
    defineProjection({
      name: 'misspelt',
      from: [Incident, Account],
      store,
      on: {
        MoneyDeposited: ({ data }, model) => void (model.balance += data.amount),
        // @ts-expect-error no event of either has this name
        IncidentOpend: () => undefined,
      },
    })
    defineProjection({
      name: 'misspelt',
      from: [Account],
      store,
      // @ts-expect-error it is an event of another aggregate
      on: { MoneyDeposited: () => undefined, IncidentOpened: () => undefined },
    })
    defineProjection({
      name: 'misspelt',
      from: [Incident, Account],
      store,
      on: {
        // @ts-expect-error an event's data is what its aggregate says
        MoneyDeposited: ({ data }) => void data.title,
        // @ts-expect-error the model is the store's
        IncidentOpened: (_event, model: { title: string }) => void model,
      },
    })
  }
  expect(check).toBeTypeOf('function')
})

test('an event without data leaves the data of another of its name its type', () => {
  const Ticket = defineAggregate({
    type: 'ticket',
    initialState: () => ({ isOpen: true }),
    events: { Closed: (state) => ({ ...state, isOpen: false }), Cleared: () => ({ isOpen: true }) },
    commands: { close: (_state, _payload: undefined, { emit }) => emit.Closed() },
  })
  const Order = defineAggregate({
    type: 'order',
    initialState: () => ({ isOpen: true }),
    events: { Closed: (state, _data: { reason: string }) => ({ ...state, isOpen: false }) },
    commands: { close: (_state, { reason }: { reason: string }, { emit }) => emit.Closed({ reason }) },
  })
  defineProjection({
    name: 'closed',
    from: [Ticket, Order],
    store,
    on: {
      Closed: ({ data }) => {
        expectTypeOf(data).toEqualTypeOf<{ reason: string } | undefined>()
      },
      Cleared: ({ data }) => {
        expectTypeOf(data).toEqualTypeOf<undefined>()
      },
    },
  })
})

test('what is missing has its default', () => {
  expect(defineProjection(good)).toMatchObject({
    order: 'all',
    batchMax: 1_000,
    onFailure: 'halt',
    retries: 5,
    handlerTimeoutMs: 10_000,
  })
})

test.each<[string, object, string]>([
  ['a name that is none', { name: 'a b' }, `a projection's name is 'a b'`],
  ['a long name', { name: 'a'.repeat(65) }, '1 to 64 letters'],
  ['a misspelt setting', { onFailur: 'park' }, `no 'onFailur'; the nearest is 'onFailure'`],
  ['a missing part', { store: undefined }, `needs 'store'`],
  ['a store that is none', { store: {} }, 'store is an object'],
  ['no aggregate', { from: [] }, 'names no aggregate'],
  ['the same one twice', { from: [Account, Account] }, `names 'account' twice`],
  ['what is no aggregate', { from: [{ type: 'account' }] }, 'defineAggregate'],
  ['one aggregate without a list', { from: Account }, 'give a list of aggregates'],
  ['no handlers', { on: {} }, 'nothing would ever come of it'],
  ['a handler that is none', { on: { MoneyDeposited: 1 } }, `'MoneyDeposited' of on is 1`],
  ['an event that nobody has', { on: { MoneyDeposit: () => undefined } }, `the nearest is 'MoneyDeposited'`],
  [
    'a former name',
    { from: [Incident], on: { IncidentReported: () => undefined } },
    `former name, and its events come as 'IncidentOpened'`,
  ],
  ['an order that is none', { order: 'stream' }, `give 'all' or 'shard'`],
  ['a failure setting that is none', { onFailure: 'skip' }, `give 'halt' or 'park'`],
  ['batches of none', { batchMax: 0 }, 'whole number from 1'],
  ['retries that are none', { retries: -1 }, 'whole number from 0'],
  ['a handler without any time', { handlerTimeoutMs: 0 }, 'whole number from 1'],
])('%s is refused', (_what, wrong, message) => {
  const definition = { ...good, ...wrong } as typeof good
  expect(() => defineProjection(definition)).toThrow(
    expect.objectContaining({ code: 'BadDefinition', message: expect.stringContaining(message) as string }),
  )
})

test('what is refused says of which projection', () => {
  const definition = { ...good, on: { Nope: () => undefined } } as unknown as typeof good
  expect(() => defineProjection(definition)).toThrow(/^projection 'balances': no aggregate of from has an event 'Nope'/)
})

test('events of the same name of an aggregate that is not named are not taken', () => {
  const handlers = handlersOf(
    defineProjection({ name: 'owners', from: [Account], store, on: { AccountOpened: () => undefined } }),
  )
  const row = new EventRow()
  expect(handlers(row.add('AccountOpened', 'account/1'))).toBeTypeOf('function')
  expect(handlers(row.add('AccountOpened', 'incident/account/1'))).toBeUndefined()
  expect(handlers(row.add('toString', 'account/1'))).toBeUndefined()
})
