/** The schedules of a node's config, for whoever asks how they are. Their runs are the timers' business. */
import { definitionError, reasonOf } from '../aggregate/error.ts'
import { suggestion } from '../aggregate/nearest.ts'
import type { ProjectionCall } from '../cluster/projection-call.ts'
import type { Effects } from '../react/effects.ts'
import { reactorState } from '../react/error.ts'
import type { Schedule } from '../react/schedule.ts'
import { scheduleStatus, type ScheduleRef, type ScheduleStatus } from '../react/schedule-status.ts'
import type { Timetable } from '../react/timetable.ts'

/** As messages between nodes have it. */
export interface ToldSchedule extends Timetable {
  readonly name: string
  /** `unknown`: whoever has its stream does not say, for this reason. */
  readonly state: ScheduleStatus['state'] | 'unknown'
  /** Milliseconds since 1970. */
  readonly next: number | undefined
  readonly last: number | undefined
  readonly trouble: string | undefined
}

/** Whoever asks how all are has waited for as long as for a node that hangs. */
const TOLD_MS = 2_000
const PREFIX = 'schedule.'

export class Schedules {
  readonly #schedules: readonly Schedule[]
  readonly #effects: Effects

  constructor(schedules: readonly Schedule[], effects: Effects) {
    this.#schedules = schedules
    this.#effects = effects
  }

  /** @throws PenholdError `BadDefinition` where it is none of the config's */
  ref({ name }: Pick<Schedule, 'name'>): ScheduleRef {
    const names = this.#schedules.map((each) => each.name)
    const schedule = this.#schedules.find((each) => each.name === name)
    if (schedule !== undefined) return { status: () => scheduleStatus(this.#effects, schedule) }
    throw definitionError(`the config has no schedule '${name}', ${suggestion(name, names)}; add it to its schedules`)
  }

  /** Of all, also where one cannot be asked. */
  async told(): Promise<readonly ToldSchedule[]> {
    return await Promise.all(this.#schedules.map((schedule) => this.#told(schedule)))
  }

  async #told(schedule: Schedule): Promise<ToldSchedule> {
    try {
      const { next, last, ...status } = await scheduleStatus(this.#effects, schedule, TOLD_MS)
      return { ...status, next: next?.getTime(), last: last?.getTime(), trouble: undefined }
    } catch (error) {
      const { name, cron, timezone, missed } = schedule
      const unknown = { state: 'unknown', next: undefined, last: undefined, trouble: reasonOf(error) } as const
      return { name, cron, timezone, missed, ...unknown }
    }
  }
}

/** Whether a call is about schedules. */
export function isOfSchedules({ call }: ProjectionCall): boolean {
  return call.startsWith(PREFIX)
}

/** @throws PenholdError where it is none that this version knows */
export async function operateSchedules(schedules: Schedules, { call }: ProjectionCall): Promise<unknown> {
  if (call === `${PREFIX}list`) return await schedules.told()
  throw reactorState(`this node's version of Penhold knows no '${call}'; upgrade it`)
}
