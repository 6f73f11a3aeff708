import { expect, test } from 'vitest'
import { isLeftOut, runsUntil, timeBehind, type Timetable } from '../../src/react/timetable.ts'

const nightly: Timetable = { cron: '0 3 * * *', timezone: 'Europe/Berlin', missed: 'once' }
const at = (text: string): number => Date.parse(text)
const iso = (time: number | undefined): string | undefined =>
  time === undefined ? undefined : new Date(time).toISOString()
const shown = ({ times, next }: ReturnType<typeof runsUntil>): unknown => ({ times: times.map(iso), next: iso(next) })

test('times are those of the zone', () => {
  expect(iso(timeBehind(nightly, at('2026-01-01T01:59:59.999Z')))).toBe('2026-01-01T02:00:00.000Z')
  expect(iso(timeBehind(nightly, at('2026-01-01T02:00:00Z')))).toBe('2026-01-02T02:00:00.000Z')
  expect(iso(timeBehind(nightly, at('2026-07-01T00:00:00Z')))).toBe('2026-07-01T01:00:00.000Z')
})

/** All times between two moments. */
function timesBetween(table: Timetable, from: number, to: number): number[] {
  const times: number[] = []
  for (let time = timeBehind(table, from); time !== undefined && time <= to; time = timeBehind(table, time)) {
    times.push(time)
  }
  return times
}

const SPRING = [at('2026-03-28T23:00:00Z'), at('2026-03-29T22:00:00Z')] as const
const AUTUMN = [at('2026-10-24T22:00:00Z'), at('2026-10-25T23:00:00Z')] as const

test.each<[string, readonly string[], readonly string[]]>([
  ['30 2 * * *', ['01:00'], ['00:30']],
  ['0 30 2 * * *', ['01:00'], ['00:30']],
  ['30 2,14 * * *', ['01:00', '12:30'], ['00:30', '13:30']],
  ['30 1-3 * * *', ['00:30', '01:00', '01:30'], ['23:30', '00:30', '02:30']],
  // What would be in an hour that is left out comes together at its end.
  ['15,45 2 * * *', ['01:00'], ['00:15', '00:45']],
])(
  '%s is run on the day without its hour when that is over, and on the day that has it twice once',
  (cron, spring, autumn) => {
    const berlin = { ...nightly, cron }
    const shownOn = ([from, to]: typeof SPRING): string[] =>
      timesBetween(berlin, from - 1, to - 1).map((time) => iso(time)!.slice(11, 16))
    expect([shownOn(SPRING), shownOn(AUTUMN)]).toEqual([spring, autumn])
  },
)

test.each(['*/15 * * * *', '*/20 * * * * *'])('%s skips and repeats nothing when the clock changes', (cron) => {
  const every = cron.startsWith('*/15') ? 15 * 60_000 : 20_000
  for (const [from, to] of [SPRING, AUTUMN]) {
    const row = Array.from({ length: (to - from) / every }, (_, i) => from + i * every)
    expect(timesBetween({ ...nightly, cron }, from - 1, to - 1)).toEqual(row)
  }
})

test.each(['30 2 * * *', '30 1-3 * * *', '15,45 2 * * *', '*/15 * * * *', '*/30 2 * * *', '0 */2 * * *'])(
  '%s: what was missed last, looked for at any minute of a day on which the clock changes, is the last of its times',
  (cron) => {
    const berlin: Timetable = { ...nightly, cron }
    for (const [from, to] of [SPRING, AUTUMN]) {
      const times = timesBetween(berlin, from - 86_400_000, to + 2 * 86_400_000)
      for (let now = from; now < to; now += 60_000) {
        const last = times.findLast((time) => time <= now)!
        expect(runsUntil(berlin, times[0]!, now)).toEqual({ times: [last], next: times.find((time) => time > now) })
      }
    }
  },
)

test('a run in time is a run, whatever becomes of missed ones', () => {
  for (const missed of ['skip', 'once', 'all'] as const) {
    const first = at('2026-01-01T02:00:00Z')
    expect(shown(runsUntil({ ...nightly, missed }, first, first + 40))).toEqual({
      times: ['2026-01-01T02:00:00.000Z'],
      next: '2026-01-02T02:00:00.000Z',
    })
  }
})

test('what was missed is skipped, run once, or run for each time', () => {
  const first = at('2026-01-01T02:00:00Z')
  const now = at('2026-01-03T12:00:00Z')
  const next = '2026-01-04T02:00:00.000Z'
  expect(shown(runsUntil({ ...nightly, missed: 'skip' }, first, now))).toEqual({ times: [], next })
  expect(shown(runsUntil({ ...nightly, missed: 'once' }, first, now))).toEqual({
    times: ['2026-01-03T02:00:00.000Z'],
    next,
  })
  const all = ['2026-01-01T02:00:00.000Z', '2026-01-02T02:00:00.000Z', '2026-01-03T02:00:00.000Z']
  expect(shown(runsUntil({ ...nightly, missed: 'all' }, first, now))).toEqual({ times: all, next })
})

test('many missed runs are run some at a time, none twice and none left out', () => {
  const table: Timetable = { cron: '* * * * *', timezone: 'UTC', missed: 'all' }
  const first = at('2026-01-01T00:00:00Z')
  const now = first + 100 * 60_000
  const times: number[] = []
  let next: number | undefined = first
  for (let rounds = 0; next !== undefined && next <= now; rounds += 1) {
    expect(rounds).toBeLessThan(10)
    const runs = runsUntil(table, next, now)
    times.push(...runs.times)
    next = runs.next
  }
  expect(times).toEqual(Array.from({ length: 101 }, (_, i) => first + i * 60_000))
})

test('a clock that was set back runs nothing twice', () => {
  const first = at('2026-01-05T02:00:00Z')
  for (const missed of ['skip', 'once', 'all'] as const) {
    const runs = runsUntil({ ...nightly, missed }, first, at('2026-01-03T12:00:00Z'))
    expect(shown(runs)).toEqual({ times: ['2026-01-05T02:00:00.000Z'], next: '2026-01-06T02:00:00.000Z' })
  }
})

test('of runs that have waited are left out those that would be where nobody had run them', () => {
  const each: Timetable = { cron: '*/10 * * * * *', timezone: 'UTC', missed: 'all' }
  const [first, last] = [at('2026-05-01T00:00:00Z'), at('2026-05-01T00:02:00Z')]
  const waited = [first, ...timesBetween(each, first, last)]
  for (const missed of ['all', 'once', 'skip'] as const) {
    const sentAt = (now: number): readonly number[] =>
      waited.filter((time) => !isLeftOut(missed, { time, isLast: time === last, now }))
    expect(sentAt(last), missed).toEqual(runsUntil({ ...each, missed }, first, last).times)
    expect(sentAt(last + 60_000), missed).toEqual(sentAt(last))
    expect(sentAt(last + 60_001), missed).toEqual(missed === 'skip' ? [] : sentAt(last))
  }
})
