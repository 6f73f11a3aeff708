import { expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { defineAggregate, defineProcess, type CommandOutcome, type Process, type Rejection } from '../../src/index.ts'
import { Fulfilment } from '../../examples/orders/fulfilment.ts'

const Tap = defineAggregate({
  type: 'tap',
  initialState: () => 0,
  events: { Opened: (turns, { by }: { by: number }) => turns + by, Dripped: (turns) => turns },
  commands: {
    open: (_turns, { by }: { by: number }, { emit }) => emit.Opened({ by }),
    close: (turns, _none: undefined, { emit, reject }) => (turns === 0 ? reject('closed', { turns }) : emit.Dripped()),
  },
  renamedEvents: { Leaked: 'Dripped' },
})

const Bucket = defineAggregate({
  type: 'bucket',
  initialState: () => 0,
  schemas: { fill: z.object({ litres: z.number().default(1) }) },
  events: { Filled: (litres, data: { litres: number }) => litres + data.litres },
  commands: { fill: (_litres, { litres }, { emit }) => emit.Filled({ litres }) },
})

const good = {
  type: 'plumber',
  from: [Tap],
  startAt: 'now',
  correlate: { Opened: () => 'key' },
  initialState: () => 0,
  on: { Opened: () => undefined },
} as const

test('what handlers are given is inferred from the aggregates, the timers and the state', () => {
  interface Phase {
    readonly phase: 'idle' | 'busy'
  }
  const Plumber = defineProcess({
    type: 'plumber',
    from: [Tap],
    to: [Tap, Bucket],
    timers: ['overdue', 'visit'],
    startAt: 'now',
    correlate: {
      Opened: (event) => {
        expectTypeOf(event.data).toEqualTypeOf<{ by: number }>()
        expectTypeOf(event.time).toEqualTypeOf<Date>()
        return event.stream
      },
    },
    initialState: (): Phase => ({ phase: 'idle' }),
    evolve: {
      Opened: (state, { data }): Phase => (data.by > 1 ? { ...state, phase: 'busy' } : state),
      overdue: (): Phase => ({ phase: 'idle' }),
      'tap/close': (state, outcome): Phase => (outcome.kind === 'accepted' ? state : { phase: 'busy' }),
    },
    on: {
      Opened(state, event, { send, schedule }) {
        expectTypeOf(state).toEqualTypeOf<Phase>()
        expectTypeOf(event.data.by).toEqualTypeOf<number>()
        expectTypeOf(schedule).parameter(0).toEqualTypeOf<'overdue' | 'visit'>()
        send(Bucket, 'a', 'fill', {})
        // @ts-expect-error -- another aggregate's command
        send(Bucket, 'a', 'close')
        // @ts-expect-error -- the payload is missing
        send(Tap, 'a', 'open')
      },
      visit: (_state, timer) => {
        expectTypeOf(timer.id).toEqualTypeOf<'visit'>()
        return undefined
      },
      'tap/close': (_state, outcome, { complete }) => {
        expectTypeOf(outcome).toEqualTypeOf<CommandOutcome<Rejection<'closed', { turns: number }>>>()
        if (outcome.kind === 'rejected') {
          if (outcome.detailsLeftOut === undefined) expectTypeOf(outcome.details.turns).toEqualTypeOf<number>()
          else expectTypeOf(outcome).toExtend<{ readonly code: 'closed'; readonly detailsLeftOut: string }>()
        }
        return complete()
      },
    },
  })
  expectTypeOf(Plumber).toExtend<Process<'plumber', any, any, 'overdue' | 'visit', Phase>>()
  defineProcess({
    ...good,
    // @ts-expect-error -- handlers are synchronous
    on: { Opened: async () => {} },
  })
  // Names of handlers are no timers.
  defineProcess({
    ...good,
    on: {
      Opened: (_state, _event, { schedule }) => {
        expectTypeOf(schedule).parameter(0).toEqualTypeOf<never>()
      },
    },
  })
  // @ts-expect-error -- no event of that name
  expect(() => defineProcess({ ...good, correlate: { Opened: () => 'key', Closed: () => 'key' } })).toThrow('Closed')
})

test('what handlers are given is inferred where there are no timers, too', () => {
  const told = {
    type: 'plumber',
    from: [Tap],
    to: [Tap],
    startAt: 'now',
    correlate: { Opened: () => 'key' },
    initialState: () => 0,
  } as const
  defineProcess({
    ...told,
    on: {
      Opened: () => undefined,
      'tap/close': (_state, outcome) => {
        expectTypeOf(outcome).toEqualTypeOf<CommandOutcome<Rejection<'closed', { turns: number }>>>()
      },
    },
  })
  // @ts-expect-error -- nothing of that name
  expect(() => defineProcess({ ...told, on: { Opened: () => undefined, visit: () => undefined } })).toThrow('visit')
})

test("what functions of 'evolve' return may have literals of the state without naming its type", () => {
  defineProcess({
    ...good,
    to: [Tap],
    timers: ['visit'],
    initialState: (): { phase: 'idle' | 'at work' } => ({ phase: 'idle' }),
    evolve: {
      Opened: (_state) => ({ phase: 'at work' }),
      'tap/close': (state, outcome) => (outcome.kind === 'accepted' ? { ...state, phase: 'idle' } : state),
      // @ts-expect-error -- no phase of that name
      visit: () => ({ phase: 'on holiday' }),
    },
    on: { Opened: ({ phase }) => void expectTypeOf(phase).toEqualTypeOf<'idle' | 'at work'>() },
  })
})

test.each<[string, object, string]>([
  ['no object', 5 as never, 'a process'],
  ['its type', { type: 'a/b' }, `a process' type is 'a/b'; use 1 to 64 letters`],
  ['its type is one of every object', { type: 'toString' }, `a process' type is 'toString'`],
  ['a part that is none', { evolves: {} }, `it has no 'evolves'; the nearest is 'evolve'`],
  ['no beginning', { startAt: undefined }, `it needs 'startAt'`],
  ['another beginning', { startAt: 'end' }, `startAt is 'end'; give 'now', 'beginning' or a position`],
  ['no aggregates', { from: [] }, 'from names no aggregate'],
  ['what is no aggregate', { from: [{}] }, 'from has an object in it; give what defineAggregate returned'],
  ['an aggregate twice', { to: [Tap, Tap] }, `to names 'tap' twice`],
  ['a state that is no function', { initialState: {} }, 'initialState is an object; give a function'],
  ['a handler that is no function', { on: { Opened: 1 } }, `'Opened' of on is 1; give a function`],
  ['an event that is told and not handled', { on: {} }, `'Opened' is told and nothing handles it`],
  ['nothing told', { correlate: {} }, 'correlate names no event'],
  ['an event that is not told', { evolve: { Dripped: () => 0 } }, `'Dripped' has a handler and is never told`],
  [
    'a former name',
    { correlate: { Leaked: () => 'k' } },
    `'Leaked' is a former name, and its events come as 'Dripped'`,
  ],
  [
    'a name of nothing',
    { evolve: { opened: () => 0 } },
    `'opened' of evolve is no event of from, timer, or command of to`,
  ],
  ['a command of another', { evolve: { 'tap/open': () => 0 } }, `'tap/open' of evolve is no event of from`],
  ['a timer nobody handles', { timers: ['late'] }, `nothing handles the timer 'late'`],
  ['a timer twice', { timers: ['a', 'a'] }, `timers names 'a' twice`],
  ['a timer like an event', { timers: ['Opened'] }, `'Opened' is a timer and an event at once`],
  ['a timer without a name', { timers: [''] }, `a timer's name is ''`],
  ['its retries', { retries: -1 }, 'retries is -1; give a whole number from 0 to 1000'],
  ['its snapshots', { snapshotEvery: 0 }, 'snapshotEvery is 0'],
  ['its version', { stateVersion: 1.5 }, 'stateVersion is 1.5'],
])('a definition is refused for %s', (_what, given, message) => {
  const definition = typeof given === 'object' ? { ...good, ...given } : given
  expect(() => defineProcess(definition as never)).toThrow(message)
})

test('the process of the example is well-defined', () => {
  expect(Fulfilment.type).toBe('fulfilment')
})
