/** How a schedule is, as its stream says: the same wherever it is asked. */
import { streamName } from '../log/stream.ts'
import type { Effects } from './effects.ts'
import type { Schedule } from './schedule.ts'
import { ScheduleRecord, type SchedulePlace } from './schedule-record.ts'
import type { Timetable } from './timetable.ts'

/** How a schedule is. Its `cron`, `timezone` and `missed` are those that it runs by: another node may have started with others. */
export interface ScheduleStatus extends Timetable {
  readonly name: string
  /**
   * `beginning`: no node has begun it yet. `running`: it has a next run. `stopped`: a run came to a node whose config does not
   * have it; a node that has it begins it again within a minute.
   */
  readonly state: 'beginning' | 'running' | 'stopped'
  /** When it runs next; in the past where nobody was there for that, or its shard's owner has a clock that is behind. */
  readonly next: Date | undefined
  /** The time of its last run, which may not be sent yet, or be parked. */
  readonly last: Date | undefined
}

/** A schedule of the config, wherever it runs. */
export interface ScheduleRef {
  /** @throws PenholdError as `query` */
  status(): Promise<ScheduleStatus>
}

/** @throws PenholdError as `Effects.query` */
export async function scheduleStatus(
  effects: Effects,
  { name, cron, timezone, missed }: Schedule,
  timeoutMs?: number,
): Promise<ScheduleStatus> {
  const stream = streamName(ScheduleRecord.type, name)
  const question = { stream, name: 'place', ...(timeoutMs !== undefined && { timeoutMs }) }
  const { defined, isStopped, next, last } = (await effects.query(question)) as SchedulePlace
  const state = defined === undefined ? 'beginning' : isStopped ? 'stopped' : 'running'
  return { name, ...(defined ?? { cron, timezone, missed }), state, next: dateOf(next), last: dateOf(last) }
}

function dateOf(time: number | undefined): Date | undefined {
  return time === undefined ? undefined : new Date(time)
}
