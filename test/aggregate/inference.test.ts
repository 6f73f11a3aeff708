import { expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import {
  defineAggregate,
  type AnyEventOf,
  type EventsOf,
  type PayloadOf,
  type QueryResultOf,
  type RejectionsOf,
  type StateOf,
} from '../../src/aggregate/aggregate.ts'
import { eventVersion, missingPath, upcast } from '../../src/aggregate/upcaster.ts'
import type { NoQueries, Ref } from '../../src/cluster/ref.ts'
import { Account } from '../account.ts'

type A = typeof Account

test('payloads, events, rejections, states and queries are inferred from the handlers', () => {
  expectTypeOf<PayloadOf<A, 'open'>>().toEqualTypeOf<{ owner: string }>()
  expectTypeOf<EventsOf<A, 'withdraw'>['data']>().toEqualTypeOf<{ amount: number }>()
  expectTypeOf<RejectionsOf<A, 'withdraw'>['code']>().toEqualTypeOf<'insufficient-funds'>()
  expectTypeOf<RejectionsOf<A, 'withdraw'>['details']>().toEqualTypeOf<{ balance: number }>()
  expectTypeOf<QueryResultOf<A, 'balance'>>().toEqualTypeOf<number>()
  expectTypeOf<StateOf<A>>().toEqualTypeOf<{ opened: boolean; balance: number }>()
  expectTypeOf<AnyEventOf<A>['type']>().toEqualTypeOf<'AccountOpened' | 'MoneyDeposited' | 'MoneyWithdrawn'>()
})

test('a schema gives the payload and the event their type', () => {
  const Counter = defineAggregate({
    type: 'counter',
    initialState: () => 0,
    schemas: { add: z.object({ by: z.number().default(1) }), Added: z.object({ by: z.number() }) },
    events: { Added: (state, { by }) => state + by, Reset: () => 0 },
    commands: {
      add: (_state, { by }, { emit }) => emit.Added({ by }),
      reset: (state, _payload, { emit }) => (state === 0 ? [] : [emit.Reset(undefined)]),
    },
  })
  type C = typeof Counter
  expectTypeOf<PayloadOf<C, 'add'>>().toEqualTypeOf<{ by?: number | undefined }>()
  expectTypeOf<PayloadOf<C, 'reset'>>().toEqualTypeOf<undefined>()
  expectTypeOf<EventsOf<C, 'add'>>().toExtend<{ type: 'Added'; data: { by: number } }>()
  expectTypeOf<EventsOf<C, 'reset'>['type']>().toEqualTypeOf<'Reset'>()
})

test('an event whose evolve function takes no data has none', () => {
  const Door = defineAggregate({
    type: 'door',
    initialState: () => ({ isOpen: false }),
    events: {
      Opened: () => ({ isOpen: true }),
      Closed: (state) => ({ ...state, isOpen: false }),
      Painted: (state, _data?: { colour: string }) => state,
      Tagged: (state, _data: unknown) => state,
    },
    commands: {
      close: (_state, _payload: undefined, { emit }) => emit.Closed(),
      paint: (_state, { colour }: { colour: string }, { emit }) => emit.Painted({ colour }),
      tag: (_state, tag: string, { emit }) => emit.Tagged(tag),
    },
  })
  type Data<K> = Extract<AnyEventOf<typeof Door>, { type: K }>['data']
  expectTypeOf<Data<'Opened'>>().toEqualTypeOf<undefined>()
  expectTypeOf<Data<'Closed'>>().toEqualTypeOf<undefined>()
  expectTypeOf<Data<'Painted'>>().toEqualTypeOf<{ colour: string } | undefined>()
  expectTypeOf<Data<'Tagged'>>().toEqualTypeOf<unknown>()
  expectTypeOf<EventsOf<typeof Door, 'close'>['data']>().toEqualTypeOf<undefined>()
})

test('what an evolve function returns may have literals of the state without naming its type', () => {
  const Gate = defineAggregate({
    type: 'gate',
    initialState: (): { phase: 'shut' | 'open'; by: string } => ({ phase: 'shut', by: '' }),
    events: {
      Opened: (state, { by }: { by: string }) => ({ ...state, phase: 'open', by }),
      Shut: (_state) => ({ phase: 'shut', by: '' }),
      Turned: (state) => (state.phase === 'open' ? { ...state, phase: 'shut' } : state),
    },
    commands: { open: (_state, by: string, { emit }) => emit.Opened({ by }) },
  })
  defineAggregate({
    type: 'gate',
    initialState: Gate.initialState,
    // @ts-expect-error -- no phase of that name
    events: { Broken: (state) => ({ ...state, phase: 'broken' }) },
    commands: {},
  })
  expectTypeOf<EventsOf<typeof Gate, 'open'>['data']>().toEqualTypeOf<{ by: string }>()
  expectTypeOf<StateOf<typeof Gate>['phase']>().toEqualTypeOf<'shut' | 'open'>()
})

test('asking an aggregate without queries is an error that says so', () => {
  const Counter = defineAggregate({
    type: 'counter',
    initialState: () => 0,
    events: { Added: (state) => state + 1 },
    commands: { add: (_state, _payload, { emit }) => emit.Added() },
  })
  type Query = Ref<typeof Counter>['query']
  expectTypeOf<Parameters<Query>[0]>().toEqualTypeOf<NoQueries<'counter'>>()
  // With the name alone, so that the error is about the name and not about the number of arguments.
  expectTypeOf<[NoQueries<'counter'>]>().toExtend<Parameters<Query>>()
  expectTypeOf<Parameters<Ref<A>['query']>[0]>().toEqualTypeOf<'balance'>()
})

test('upcasters lead to what the evolve function takes', () => {
  const Versioned = defineAggregate({
    type: 'versioned',
    initialState: () => ({ count: 0 }),
    events: { Created: (_state, { count }: { count: number }) => ({ count }) },
    commands: {},
    renamedEvents: { Made: 'Created' },
    upcasters: { Created: [(v1: { n: string }) => ({ n: Number(v1.n) }), (v2: { n: number }) => ({ count: v2.n })] },
    queries: { count: (state) => state.count },
  })
  expectTypeOf<QueryResultOf<typeof Versioned, 'count'>>().toEqualTypeOf<number>()
  expect(eventVersion(Versioned, 'Created')).toBe(3)
  expect(upcast(Versioned, { type: 'Made', version: 1 }, { n: '4' })).toEqual({ type: 'Created', data: { count: 4 } })
  expect(upcast(Versioned, { type: 'Created', version: 3 }, { count: 4 })).toEqual({
    type: 'Created',
    data: { count: 4 },
  })
  expect(missingPath(Versioned, { type: 'Created', version: 4 })).toContain('up to version 3')
  expect(missingPath(Versioned, { type: 'Lost', version: 1 })).toContain("'Lost'")
})

test('what cannot work does not compile', () => {
  const definition = { type: 'wrong', initialState: () => ({ n: 0 }) } as const
  const check = (): void => {
    defineAggregate({
      ...definition,
      events: { Added: (state, { by }: { by: number }) => ({ n: state.n + by }) },
      // @ts-expect-error an event that has no evolve function cannot be emitted
      commands: { add: (_state, _payload: undefined, { emit }) => emit.Subtracted({ by: 1 }) },
    })
    defineAggregate({
      ...definition,
      events: { Added: (state, { by }: { by: number }) => ({ n: state.n + by }) },
      // @ts-expect-error an event's data must be what its evolve function takes
      commands: { add: (_state, _payload: undefined, { emit }) => emit.Added({ by: 'one' }) },
    })
    defineAggregate({
      ...definition,
      events: { Doubled: (state) => ({ n: 2 * state.n }) },
      // @ts-expect-error an event whose evolve function takes no data is emitted without
      commands: { double: (_state, _payload: undefined, { emit }) => emit.Doubled({ by: 2 }) },
    })
    defineAggregate({
      ...definition,
      events: { Added: (state, { by }: { by: number }) => ({ n: state.n + by }) },
      // @ts-expect-error a payload without a type and without a schema cannot be used
      commands: { add: (_state, { by }, { emit }) => emit.Added({ by }) },
    })
    defineAggregate({
      type: 'wrong',
      initialState: () => ({ n: 0 }),
      // @ts-expect-error an evolve function returns the state
      events: { Added: (_state, { by }: { by: number }) => by },
      commands: {},
    })
    defineAggregate({
      ...definition,
      events: { Added: (state, { by }: { by: number }) => ({ n: state.n + by }) },
      commands: {},
      // @ts-expect-error the last upcaster returns what the evolve function takes
      upcasters: { Added: [(old: { amount: number }) => ({ amount: old.amount })] },
    })
    defineAggregate({
      ...definition,
      events: {},
      commands: {},
      // @ts-expect-error a query answers at once
      queries: { sum: async (state) => state.n },
    })
    defineAggregate({
      ...definition,
      events: {},
      commands: {},
      // @ts-expect-error a query answers at once, whatever its argument says
      queries: { sum: (state, later: boolean) => (later ? Promise.resolve(state.n) : state.n) },
    })
    defineAggregate({
      type: 'wrong',
      initialState: (): { n?: number } => ({}),
      // @ts-expect-error an evolve function returns the state itself, even where a promise would fit
      events: { Added: async (_state, { by }: { by: number }) => ({ n: by }) },
      commands: {},
    })
    defineAggregate({
      type: 'wrong',
      // @ts-expect-error the state is there at once
      initialState: async () => ({ n: 0 }),
      events: {},
      commands: {},
    })
  }
  expect(check).toBeTypeOf('function')
})

test('a query may return anything but a promise', () => {
  const Anything = defineAggregate({
    type: 'anything',
    initialState: (): { n: number; rest: unknown } => ({ n: 0, rest: undefined }),
    events: {},
    commands: {},
    queries: {
      unknown: (state) => state.rest,
      any: (state) => state.rest as any,
      object: (state) => ({ n: state.n }),
      nothing: () => undefined,
      choice: (state, { of }: { of: number }) => (of > state.n ? [of] : null),
    },
  })
  expectTypeOf<QueryResultOf<typeof Anything, 'unknown'>>().toEqualTypeOf<unknown>()
  expectTypeOf<QueryResultOf<typeof Anything, 'choice'>>().toEqualTypeOf<number[] | null>()
})
