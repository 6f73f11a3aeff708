/** What the nodes of a cluster say of its schedules, put together. Pure. */
import type { ToldSchedule } from '../node/schedules.ts'
import { oneLine } from './report.ts'
import { table } from './table.ts'

const NONE = '-'

/** Each once, in the order of their names: all nodes say the same of one, but those that cannot ask it. */
export function shownSchedules(told: readonly (readonly ToldSchedule[])[]): readonly ToldSchedule[] {
  const byName = new Map<string, ToldSchedule>()
  for (const schedule of told.flat()) {
    const known = byName.get(schedule.name)
    if (known === undefined || known.state === 'unknown') byName.set(schedule.name, schedule)
  }
  return [...byName.values()].toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
}

export function scheduleTable(shown: readonly ToldSchedule[]): string {
  const rows = shown.map(({ name, state, cron, timezone, missed, next, last }) => {
    return [name, state, cron, timezone, missed, timeOf(next), timeOf(last)]
  })
  return table([['SCHEDULE', 'STATE', 'CRON', 'TIMEZONE', 'MISSED', 'NEXT RUN', 'LAST RUN'], ...rows])
}

/** What somebody should know of, one reason a line. */
export function scheduleProblems(shown: readonly ToldSchedule[]): readonly string[] {
  return shown.flatMap(({ name, trouble }) =>
    trouble === undefined ? [] : [`schedule ${name} does not say how it is: ${oneLine(trouble)}`],
  )
}

function timeOf(time: number | undefined): string {
  return time === undefined ? NONE : new Date(time).toISOString()
}
