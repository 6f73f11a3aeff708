import { test } from 'vitest'
import { ScheduleRecord } from '../../src/react/schedule-record.ts'
import type { EmittedEvent } from '../../src/aggregate/aggregate.ts'
import { given, rejected } from '../../src/testing/index.ts'

const table = { cron: '0 3 * * *', timezone: 'UTC', missed: 'once' } as const
const mine = { ...table, since: 1 }
const at = (time: string): number => Date.parse(`2026-05-0${time}:00:00Z`)
const now = (time: string): { now: Date; newIds: string[] } => ({ now: new Date(at(time)), newIds: ['new'] })
const defined = { type: 'Defined', data: mine } as const
const set = (time: string, token: string) => ({ type: 'TimerSet', data: { id: 'next', at: at(time), token } }) as const
const due = (time: string) => ({ type: 'RunDue', data: { time: at(time) } }) as const
const fired = { type: 'TimerFired', data: { token: 'old' } } as const
/** The types of an aggregate of Penhold's own are nobody's to infer. */
const events = (...emitted: readonly EmittedEvent[]): never => emitted as never
const running = [defined, set('1T03', 'old')]

test('a schedule sets a timer for its next time, and goes on where it was when it is defined again', () => {
  given(ScheduleRecord)
    .when('define', mine, now('1T00'))
    .then(events(defined, set('1T03', 'new')))
  given(ScheduleRecord, running).when('define', mine, now('1T01')).thenNothing()
  const daily = { ...mine, since: 2, cron: '0 5 * * *' }
  given(ScheduleRecord, running)
    .when('define', daily, now('1T01'))
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
  const soon = { now: new Date(at('1T03') + 60_000), newIds: ['new'] }
  given(ScheduleRecord, stopped)
    .when('define', mine, soon)
    .then(events(defined, set('1T03', 'new')))
  given(ScheduleRecord, stopped)
    .when('define', mine, now('1T04'))
    .then(events(defined, set('2T03', 'new')))
  given(ScheduleRecord, stopped).when('fire', { token: 'old' }, now('1T04')).thenNothing()
  given(ScheduleRecord, stopped).when('stop', { from }, now('1T04')).thenNothing()
})

test('it runs as the node that has started last has it, and the others are told', () => {
  const since = (ms: number, cron: string = table.cron) => ({ ...table, cron, since: ms })
  const others = '0 5 * * *'
  const superseded = rejected('superseded', { ...table }) as never
  for (const ms of [4, 5]) {
    given(ScheduleRecord, [{ type: 'Defined', data: since(5) }])
      .when('define', since(ms, others), now('1T01'))
      .then(superseded)
  }
  given(ScheduleRecord, [{ type: 'Defined', data: since(5) }])
    .when('define', since(6, others), now('1T01'))
    .then(events({ type: 'Defined', data: since(6, others) }, set('1T05', 'new')))
  // Who comes late with what was right before does not stop it, nor does who begins it again make it older.
  const stopped = { type: 'Stopped', data: { from: at('1T03'), stoppedAt: at('1T03') } } as const
  given(ScheduleRecord, [{ type: 'Defined', data: since(5) }, stopped])
    .when('define', since(4, others), now('1T04'))
    .then(superseded)
  given(ScheduleRecord, [{ type: 'Defined', data: since(5) }, stopped])
    .when('define', since(4), now('1T04'))
    .then(events({ type: 'Defined', data: since(5) }, set('2T03', 'new')))
})

test('what is late by no more than a minute is run also where its schedule has just become another', () => {
  const daily = { ...defined.data, missed: 'all', since: 2 } as const
  for (const [lateMs, next] of [
    [60_000, '1T03'],
    [60_001, '2T03'],
  ] as const) {
    given(ScheduleRecord, running)
      .when('define', daily, { now: new Date(at('1T03') + lateMs), newIds: ['new'] })
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
