/** What the nodes of a cluster say of its schedules, put together. Pure. */
import type { ToldSchedule } from '../node/schedules.ts'
import type { Timetable } from '../react/timetable.ts'
import { oneLine } from './report.ts'
import { table } from './table.ts'

const NONE = '-'

type Configured = Timetable & { readonly name: string }

export interface ShownSchedule extends Omit<ToldSchedule, 'state'> {
  /** `nowhere`: no node has it in its config. */
  readonly state: ToldSchedule['state'] | 'nowhere'
}

/**
 * Each once, in the order of their names: all nodes say the same of one, but those that cannot ask it. Those of the config too that
 * no node has, where every node has said what it has.
 */
export function shownSchedules(
  schedules: readonly Configured[],
  { told, isWhole }: { readonly told: readonly (readonly ToldSchedule[])[]; readonly isWhole: boolean },
): readonly ShownSchedule[] {
  const byName = new Map<string, ShownSchedule>()
  if (isWhole) for (const schedule of schedules) byName.set(schedule.name, nowhere(schedule))
  for (const schedule of told.flat()) {
    const known = byName.get(schedule.name)
    if (known === undefined || known.state === 'unknown' || known.state === 'nowhere')
      byName.set(schedule.name, schedule)
  }
  return [...byName.values()].toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
}

export function scheduleTable(shown: readonly ShownSchedule[]): string {
  const rows = shown.map(({ name, state, cron, timezone, missed, next, last }) => {
    return [name, state, cron, timezone, missed, timeOf(next), timeOf(last)]
  })
  return table([['SCHEDULE', 'STATE', 'CRON', 'TIMEZONE', 'MISSED', 'NEXT RUN', 'LAST RUN'], ...rows])
}

/** What somebody should know of, one reason a line. */
export function scheduleProblems(shown: readonly ShownSchedule[]): readonly string[] {
  return shown.flatMap(({ name, state, trouble }) => {
    if (state === 'nowhere') return [`no node has schedule ${name}; start them anew with this config`]
    return trouble === undefined ? [] : [`schedule ${name} does not say how it is: ${oneLine(trouble)}`]
  })
}

function nowhere({ name, cron, timezone, missed }: Configured): ShownSchedule {
  return { name, cron, timezone, missed, state: 'nowhere', next: undefined, last: undefined, trouble: undefined }
}

function timeOf(time: number | undefined): string {
  return time === undefined ? NONE : new Date(time).toISOString()
}
