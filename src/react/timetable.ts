/** When a schedule runs: by a cron expression in a time zone. Pure but for the zones' rules, which Node has. */
import { Cron } from 'croner'

export interface Timetable {
  readonly cron: string
  /** As the zone database names it: `UTC`, `Europe/Berlin`. */
  readonly timezone: string
  /**
   * What becomes of times that came while nobody could run them. `skip`: nothing. `once`: one run, of the last of them.
   * `all`: a run of each, in order.
   */
  readonly missed: 'skip' | 'once' | 'all'
}

/** A run that is late by more than this was missed. */
export const GRACE_MS = 60_000
/** So many are run before the next is set. Each takes a fraction of a millisecond to be found. */
const RUNS_MAX = 32

/** The first time behind a moment; undefined where there is none. @throws Error where the expression or the zone is none */
export function timeBehind(table: Timetable, moment: number): number | undefined {
  return cronOf(table).nextRun(new Date(moment))?.getTime()
}

/** What is to be run now, where `first` is the first time that was not: those times, and the next to wait for. */
export function runsUntil(
  table: Timetable,
  first: number,
  now: number,
): { readonly times: readonly number[]; readonly next: number | undefined } {
  if (table.missed !== 'all') {
    const last = lastTime(table, first, now)
    const isMissed = table.missed === 'skip' && now - last > GRACE_MS
    return { times: isMissed ? [] : [last], next: timeBehind(table, last) }
  }
  const times: number[] = []
  let next: number | undefined = first
  for (; next !== undefined && times.length < RUNS_MAX; next = timeBehind(table, next)) {
    if (next > now && times.length > 0) break
    times.push(next)
  }
  return { times, next }
}

/** Whether a run is left out that was due in time and could not be sent then, as of what is missed. `isLast`: no other is due behind it. */
export function isLeftOut(
  missed: Timetable['missed'],
  { time, isLast, now }: { readonly time: number; readonly isLast: boolean; readonly now: number },
): boolean {
  return missed !== 'all' && (!isLast || (missed === 'skip' && now - time > GRACE_MS))
}

/** The last time up to now, or `first` where the clock was set back. */
function lastTime(table: Timetable, first: number, now: number): number {
  // Times are whole seconds, and it gives those before the second that it is given.
  const [last] = cronOf(table).previousRuns(1, new Date(Math.floor(now / 1_000) * 1_000 + 1_000))
  return Math.max(first, last?.getTime() ?? first)
}

function cronOf({ cron, timezone }: Timetable): Cron {
  // An expression without * or a step is of times of the day: each is run on each day, whatever becomes of the clock.
  return new Cron(cron, { timezone, paused: true, fixedTimeRule: 'no-wildcard' })
}
