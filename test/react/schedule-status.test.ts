import { expect, onTestFinished, test } from 'vitest'
import { defineAggregate, defineCluster, defineSchedule, type Schedule } from '../../src/index.ts'
import { operateSchedules, Schedules } from '../../src/node/schedules.ts'
import type { Effects, SentQuestion } from '../../src/react/effects.ts'
import { ScheduleRecord } from '../../src/react/schedule-record.ts'
import { given, startVirtualNode } from '../../src/testing/index.ts'

const MINUTE = 60_000
const Log = defineAggregate({
  type: 'log',
  initialState: () => 0,
  events: { Noted: (count) => count + 1 },
  commands: { note: (_state, _payload: undefined, { emit }) => emit.Noted() },
})

function hourly(name: string): Schedule {
  return defineSchedule({ name, cron: '@hourly', missed: 'once', aggregate: Log, id: '1', command: 'note' })
}

const at = (time: string): number => Date.parse(`2026-05-01T${time}:00Z`)
const as = { cron: '@hourly', timezone: 'UTC', missed: 'once' } as const
const defined = { type: 'Defined', data: as }
const set = { type: 'TimerSet', data: { id: 'next', at: at('03:00'), token: 'old' } }
const ran = [
  { type: 'TimerFired', data: { token: 'old' } },
  { type: 'RunDue', data: { time: at('03:00') } },
]
const setAgain = { type: 'TimerSet', data: { id: 'next', at: at('04:00'), token: 'new' } }

/** Where this stands in the streams of these schedules, and nobody serves those of others. */
function effectsOver(streams: Readonly<Record<string, readonly object[]>>): Effects {
  const query = async ({ stream, name }: SentQuestion): Promise<unknown> => {
    const events = streams[stream.slice(ScheduleRecord.type.length + 1)]
    if (events === undefined) throw new Error('nobody serves it')
    let answer: unknown
    given(ScheduleRecord, events as never)
      .when('fire', { token: 'of nobody' })
      .thenState((state: unknown) => {
        answer = (ScheduleRecord.queries as Record<string, (of: unknown) => unknown>)[name]!(state)
      })
    return await Promise.resolve(answer)
  }
  return { query } as unknown as Effects
}

test.each([
  ['beginning', [], undefined, undefined],
  ['running', [defined, set], '03:00', undefined],
  ['running', [defined, set, ...ran, setAgain], '04:00', '03:00'],
  [
    'stopped',
    [defined, set, ...ran, setAgain, { type: 'Stopped', data: { from: at('04:00'), stoppedAt: at('04:00') } }],
    undefined,
    '03:00',
  ],
])('a schedule is %s, and when it runs is told', async (state, events, next, last) => {
  const effects = effectsOver({ nightly: events })
  const dateOf = (time: string | undefined): Date | undefined => (time === undefined ? undefined : new Date(at(time)))
  const status = await new Schedules([hourly('nightly')], effects).ref({ name: 'nightly' }).status()
  expect(status).toEqual({ name: 'nightly', ...as, state, next: dateOf(next), last: dateOf(last) })
})

test('what is told is how it runs, and not how this node has it', async () => {
  const daily = { cron: '@daily', timezone: 'Europe/Berlin', missed: 'all' }
  const effects = effectsOver({ nightly: [{ type: 'Defined', data: daily }, set] })
  expect(await new Schedules([hourly('nightly')], effects).ref({ name: 'nightly' }).status()).toMatchObject(daily)
})

test('one that cannot be asked is told as such, beside the others', async () => {
  const schedules = new Schedules([hourly('away'), hourly('here')], effectsOver({ here: [defined, set] }))
  const list = { request: 1, call: 'schedule.list', projection: '', options: {} }
  expect(await operateSchedules(schedules, list)).toEqual([
    { name: 'away', ...as, state: 'unknown', next: undefined, last: undefined, trouble: 'Error: nobody serves it' },
    { name: 'here', ...as, state: 'running', next: at('03:00'), last: undefined, trouble: undefined },
  ])
  await expect(schedules.ref({ name: 'away' }).status()).rejects.toThrow('nobody serves it')
  await expect(operateSchedules(schedules, { ...list, call: 'schedule.run' })).rejects.toThrow('upgrade it')
  expect(() => schedules.ref({ name: 'heer' })).toThrow("the nearest is 'here'; add it to its schedules")
})

test('a node says when its schedules run next', async () => {
  const nightly = hourly('nightly')
  const config = defineCluster({ name: 'schedules', aggregates: [Log], schedules: [nightly], dataDir: 'nowhere' })
  const node = await startVirtualNode(config, { now: new Date(at('00:30')) })
  onTestFinished(() => node.close())
  await node.pass(MINUTE)
  const schedule = node.schedule(nightly)
  expect(await schedule.status()).toMatchObject({ state: 'running', next: new Date(at('01:00')), last: undefined })
  await node.pass(60 * MINUTE)
  expect(await schedule.status()).toMatchObject({ next: new Date(at('02:00')), last: new Date(at('01:00')) })
})
