import { expect, test } from 'vitest'
import { runsUntil, timeBehind, type Timetable } from '../../src/react/timetable.ts'

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

test('an hour that does not exist is run an hour later, and one that comes twice is run once', () => {
  const early: Timetable = { ...nightly, cron: '30 2 * * *' }
  expect(iso(timeBehind(early, at('2026-03-28T12:00:00Z')))).toBe('2026-03-29T01:00:00.000Z')
  const autumn = timeBehind(early, at('2026-10-24T12:00:00Z'))!
  expect([iso(autumn), iso(timeBehind(early, autumn))]).toEqual([
    '2026-10-25T00:30:00.000Z',
    '2026-10-26T01:30:00.000Z',
  ])
})

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
