import { test } from 'vitest'
import { ScheduleRecord } from '../../src/react/schedule-record.ts'
import type { EmittedEvent } from '../../src/aggregate/aggregate.ts'
import { given } from '../../src/testing/index.ts'

const table = { cron: '0 3 * * *', timezone: 'UTC', missed: 'once' } as const
const at = (time: string): number => Date.parse(`2026-05-0${time}:00:00Z`)
const now = (time: string): { now: Date; newIds: string[] } => ({ now: new Date(at(time)), newIds: ['new'] })
const defined = { type: 'Defined', data: table } as const
const set = (time: string, token: string) => ({ type: 'TimerSet', data: { id: 'next', at: at(time), token } }) as const
const due = (time: string) => ({ type: 'RunDue', data: { time: at(time) } }) as const
const fired = { type: 'TimerFired', data: { token: 'old' } } as const
/** The types of an aggregate of Penhold's own are nobody's to infer. */
const events = (...emitted: readonly EmittedEvent[]): never => emitted as never
const running = [defined, set('1T03', 'old')]

test('a schedule sets a timer for its next time, and goes on where it was when it is defined again', () => {
  given(ScheduleRecord)
    .when('define', table, now('1T00'))
    .then(events(defined, set('1T03', 'new')))
  given(ScheduleRecord, running).when('define', table, now('1T01')).thenNothing()
  const daily = { ...table, cron: '0 5 * * *' }
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
    .when('define', table, soon)
    .then(events(defined, set('1T03', 'new')))
  given(ScheduleRecord, stopped)
    .when('define', table, now('1T04'))
    .then(events(defined, set('2T03', 'new')))
  given(ScheduleRecord, stopped).when('fire', { token: 'old' }, now('1T04')).thenNothing()
  given(ScheduleRecord, stopped).when('stop', { from }, now('1T04')).thenNothing()
})

test('one that was stopped by a node without it is begun again by those that have it, and by nobody whose table is another', () => {
  const from = at('1T03')
  const stopped = [...running, { type: 'Stopped', data: { from, stoppedAt: at('1T03') } }] as const
  const soon = { now: new Date(at('1T03') + 60_000), newIds: ['new'] }
  given(ScheduleRecord, stopped)
    .when('again', table, soon)
    .then(events(defined, set('1T03', 'new')))
  given(ScheduleRecord, stopped)
    .when('again', { ...table, cron: '0 5 * * *' }, soon)
    .thenNothing()
  given(ScheduleRecord, running)
    .when('again', { ...table, cron: '0 5 * * *' }, soon)
    .thenNothing()
  given(ScheduleRecord).when('again', table, soon).thenNothing()
})
