import { expect, test } from 'vitest'
import { ScheduleRecord } from '../../src/react/schedule-record.ts'
import type { EmittedEvent } from '../../src/aggregate/aggregate.ts'
import { given, rejected } from '../../src/testing/index.ts'

const table = { cron: '0 3 * * *', timezone: 'UTC', missed: 'once' } as const
const mine = table
const at = (time: string): number => Date.parse(`2026-05-0${time}:00:00Z`)
const now = (time: string): { now: Date; newIds: string[] } => ({ now: new Date(at(time)), newIds: ['new'] })
const defined = { type: 'Defined', data: mine } as const
const set = (time: string, token: string) => ({ type: 'TimerSet', data: { id: 'next', at: at(time), token } }) as const
const due = (time: string) => ({ type: 'RunDue', data: { time: at(time) } }) as const
const fired = { type: 'TimerFired', data: { token: 'old' } } as const
/** The types of an aggregate of Penhold's own are nobody's to infer. */
const events = (...emitted: readonly EmittedEvent[]): never => emitted as never
const running = [defined, set('1T03', 'old')]

test('a schedule sets a timer for its next time, and goes on where it was when another node starts that has it the same', () => {
  for (const command of ['start', 'keep']) {
    given(ScheduleRecord)
      .when(command, mine, now('1T00'))
      .then(events(defined, set('1T03', 'new')))
  }
  given(ScheduleRecord, running)
    .when('start', mine, now('1T01'))
    .then(events({ type: 'Confirmed', data: undefined }))
  given(ScheduleRecord, running).when('keep', mine, now('1T01')).thenNothing()
  const daily = { ...mine, cron: '0 5 * * *' }
  given(ScheduleRecord, running)
    .when('start', daily, now('1T01'))
    .then(events({ type: 'Defined', data: daily }, set('1T05', 'new')))
})

test('when its timer fires the run is due, and the next timer is set; another token does nothing', () => {
  given(ScheduleRecord, running)
    .when('fire', { token: 'old' }, now('1T03'))
    .then(events(fired, due('1T03'), set('2T03', 'new')))
  given(ScheduleRecord, running).when('fire', { token: 'other' }, now('1T03')).thenNothing()
  given(ScheduleRecord, [...running, fired])
    .when('fire', { token: 'old' }, now('1T03'))
    .thenNothing()
})

test('one that was stopped and comes back soon has missed what came in between, and later nothing', () => {
  const from = at('1T03')
  const stopped = [...running, { type: 'Stopped', data: { from, stoppedAt: at('1T03') } }] as const
  // Ten minutes are soon.
  for (const [afterMs, next] of [
    [60_000, '1T03'],
    [599_000, '1T03'],
    [600_000, '2T03'],
    [3_600_000, '2T03'],
  ] as const) {
    given(ScheduleRecord, stopped)
      .when('keep', mine, { now: new Date(at('1T03') + afterMs), newIds: ['new'] })
      .then(events(defined, set(next, 'new')))
  }
  given(ScheduleRecord, stopped).when('fire', { token: 'old' }, now('1T04')).thenNothing()
  given(ScheduleRecord, stopped).when('stop', { from }, now('1T04')).thenNothing()
})

test('it runs as the node that has started last has it; who keeps it changes nothing, and is told how it runs', () => {
  const other = { ...table, cron: '0 5 * * *' }
  given(ScheduleRecord, running)
    .when('start', other, now('1T01'))
    .then(events({ type: 'Defined', data: other }, set('1T05', 'new')))
  given(ScheduleRecord, running)
    .when('keep', other, now('1T01'))
    .then(rejected('superseded', { ...table }) as never)
  // Who has it otherwise begins it again as it is.
  const stopped = { type: 'Stopped', data: { from: at('1T03'), stoppedAt: at('1T03') } } as const
  for (const kept of [other, table]) {
    given(ScheduleRecord, [...running, stopped])
      .when('keep', kept, now('1T04'))
      .then(events(defined, set('2T03', 'new')))
  }
  given(ScheduleRecord, [...running, stopped])
    .when('start', other, now('1T04'))
    .then(events({ type: 'Defined', data: other }, set('1T05', 'new')))
})

test('what is late by no more than a minute is run also where its schedule has just become another', () => {
  const daily = { ...defined.data, missed: 'all' } as const
  for (const [lateMs, next] of [
    [60_000, '1T03'],
    [60_001, '2T03'],
  ] as const) {
    given(ScheduleRecord, running)
      .when('start', daily, { now: new Date(at('1T03') + lateMs), newIds: ['new'] })
      .then(events({ type: 'Defined', data: daily }, set(next, 'new')))
  }
})

test('stopped once more while it makes up for what it has missed, it goes on from the first of that', () => {
  given(ScheduleRecord, running)
    .when('stop', { from: at('1T04') }, now('1T05'))
    .then(events({ type: 'Stopped', data: { from: at('1T03'), stoppedAt: at('1T05') } }))
  given(ScheduleRecord, running)
    .when('stop', { from: at('1T02') }, now('1T05'))
    .then(events({ type: 'Stopped', data: { from: at('1T02'), stoppedAt: at('1T05') } }))
})

const YEAR_MS = 365 * 86_400_000
const timer = (ms: number, token: string) => ({ type: 'TimerSet', data: { id: 'next', at: ms, token } }) as const
const run = (ms: number) => ({ type: 'RunDue', data: { time: ms } }) as const

test('what a clock that was ahead has set is set anew by whoever keeps it', () => {
  const later = at('1T03') + YEAR_MS
  given(ScheduleRecord, [defined, timer(later, 'old')])
    .when('keep', mine, now('1T01'))
    .then(events(set('1T03', 'new')))
  // It has run before, and then passed over a year: with a run of the last time, or with none until the next.
  const day = 86_400_000
  const before = [...running, fired, due('1T03'), set('2T03', 'jumps')]
  const jumps = { type: 'TimerFired', data: { token: 'jumps' } } as const
  const follows = { type: 'TimerFired', data: { token: 'follows' } } as const
  for (const ahead of [
    [jumps, run(later), timer(later + day, 'later')],
    [jumps, timer(later, 'follows'), follows, run(later), timer(later + day, 'later')],
  ] as const) {
    const ran = [...before, ...ahead]
    given(ScheduleRecord, ran)
      .when('keep', mine, now('2T01'))
      .then(events(set('2T03', 'new')))
    given(ScheduleRecord, [...ran, set('2T03', 'new')])
      .when('keep', mine, now('2T01'))
      .thenNothing()
    given(ScheduleRecord, [...ran, set('2T03', 'new')])
      .when('fire', { token: 'later' }, { now: new Date(later), newIds: ['other'] })
      .thenNothing()
  }
})

test('what a clock that was ahead has run is not repeated', () => {
  for (const missed of ['skip', 'once', 'all'] as const) {
    const data = { ...mine, missed }
    // By a clock that was two days ahead: each run in its turn.
    const turns = [1, 2, 3].flatMap((day) => [
      { type: 'TimerFired', data: { token: String(day) } } as const,
      due(`${day}T03`),
      set(`${day + 1}T03`, String(day + 1)),
    ])
    given(ScheduleRecord, [{ type: 'Defined', data }, set('1T03', '1'), ...turns])
      .when('keep', data, now('1T02'))
      .thenNothing()
    // It passed over some, so that it is set anew: what it has run is left out when its time comes.
    const jumped = [set('1T03', '1'), { type: 'TimerFired', data: { token: '1' } } as const, due('3T03')]
    const anew = [...jumped, set('4T03', '4'), set('2T03', '2')]
    const next = [{ type: 'TimerFired', data: { token: '2' } } as const, due('2T03'), set('3T03', 'new')] as const
    const { type } = defined
    given(ScheduleRecord, [{ type, data }, ...anew])
      .when('fire', { token: '2' }, now('2T03'))
      .then(events(...next))
    given(ScheduleRecord, [{ type, data }, ...anew, ...next])
      .when('fire', { token: 'new' }, { ...now('3T03'), newIds: ['last'] })
      .then(events({ type: 'TimerFired', data: { token: 'new' } }, set('4T03', 'last')))
  }
})

test('what was run from before the one that stops a schedule is not repeated when it is begun again', () => {
  const turns = [1, 2, 3].flatMap((day) => [
    { type: 'TimerFired', data: { token: String(day) } } as const,
    due(`${day}T03`),
    set(`${day + 1}T03`, String(day + 1)),
  ])
  const stopped = { type: 'Stopped', data: { from: at('3T03'), stoppedAt: at('1T03') } } as const
  const again = [defined, set('1T03', '1'), ...turns, stopped, defined]
  given(ScheduleRecord, [...again, set('2T03', 'old')])
    .when('fire', { token: 'old' }, now('2T03'))
    .then(events(fired, set('3T03', 'new')))
  given(ScheduleRecord, [...again, set('3T03', 'old')])
    .when('fire', { token: 'old' }, now('3T03'))
    .then(events(fired, due('3T03'), set('4T03', 'new')))
})

test('the last 32 stretches of runs are known', () => {
  const dayAt = (day: number): number => at('1T03') + day * 86_400_000
  // Each has passed over a day.
  const stretches = Array.from({ length: 33 }, (_, i) => [
    timer(dayAt(2 * i), String(i)),
    { type: 'TimerFired', data: { token: String(i) } } as const,
    run(dayAt(2 * i + 1)),
  ]).flat()
  for (const [day, runs] of [
    [1, [run(dayAt(1))]],
    [3, []],
    [65, []],
  ] as const) {
    given(ScheduleRecord, [defined, ...stretches, timer(dayAt(day), 'old')])
      .when('fire', { token: 'old' }, { now: new Date(dayAt(day)), newIds: ['new'] })
      .then(events(fired, ...runs, timer(dayAt(day + 1), 'new')))
  }
})

test('what was run of one timetable is no run of another', () => {
  const turns = [1, 2, 3].flatMap((day) => [
    { type: 'TimerFired', data: { token: String(day) } } as const,
    due(`${day}T03`),
    set(`${day + 1}T03`, String(day + 1)),
  ])
  const other = { type: 'Defined', data: { ...mine, cron: '0 5 * * *' } } as const
  given(ScheduleRecord, [defined, set('1T03', '1'), ...turns, other, set('2T05', 'old')])
    .when('fire', { token: 'old' }, now('2T05'))
    .then(events(fired, due('2T05'), set('3T05', 'new')))
})

test('which run is the last is known whatever comes between, also where the schedule was stopped or has become another', () => {
  const evolves = ScheduleRecord.events as unknown as Readonly<
    Record<string, (state: unknown, data: unknown) => unknown>
  >
  const daily = { ...mine, cron: '0 5 * * *', missed: 'all' } as const
  const stopped = { type: 'Stopped', data: { from: at('2T03'), stoppedAt: at('2T03') } } as const
  const history = [
    ...running,
    fired,
    due('1T03'),
    set('2T03', 'new'),
    stopped,
    { type: 'Defined', data: daily } as const,
  ]
  const runs = history.reduce<unknown[]>(
    ([state], { type, data }) => {
      const next = evolves[type]!(state, data)
      return [next, (ScheduleRecord.queries as { runs: (state: unknown) => unknown }).runs(next)]
    },
    [ScheduleRecord.initialState()],
  )
  expect(runs[1]).toEqual({ missed: 'all', last: at('1T03') })
})
