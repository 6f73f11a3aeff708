/**
 * How far a schedule is: an aggregate of Penhold's own, one stream for each. It sets a timer for its next time, and when
 * that fires says which runs are due, and sets the next. What is sent in a run the nodes know by their config.
 */
import { defineAggregate, type Aggregate, type EmittedEvent } from '../aggregate/aggregate.ts'
import { internal } from '../aggregate/internal.ts'
import type { TimerSet } from './timer.ts'
import { runsUntil, timeBehind, type Timetable } from './timetable.ts'

interface Stop {
  /** The first time that was not run. */
  readonly from: number
  readonly stoppedAt: number
}

interface ScheduleState {
  readonly table?: Timetable
  readonly next?: TimerSet
  readonly stop?: Stop
}

/** Of a schedule that comes back that soon nothing was missed but what is told as such: it was being deployed. */
const COMES_BACK_MS = 600_000

export const ScheduleRecord: Aggregate = internal(
  defineAggregate({
    type: 'schedule',
    initialState: (): ScheduleState => ({}),
    events: {
      Defined: (_state, table: Timetable): ScheduleState => ({ table }),
      TimerSet: ({ table }, next: TimerSet): ScheduleState => ({ ...(table && { table }), next }),
      TimerFired: ({ table }, _fired: { readonly token: string }): ScheduleState => (table ? { table } : {}),
      RunDue: (state, _run: { readonly time: number }) => state,
      Stopped: ({ table }, stop: Stop): ScheduleState => ({ ...(table && { table }), stop }),
    },
    commands: {
      /** By a node whose config has it. */
      define: (state, table: Timetable, { emit, now, newId }) => {
        if (isSame(state.table, table) && state.stop === undefined) return undefined
        return begin(state, table, { emit, now, newId })
      },
      /** By a node that has defined it, and still has it: another has stopped it, which does not know it yet or any more. */
      again: (state, table: Timetable, { emit, now, newId }) => {
        if (state.stop === undefined || !isSame(state.table, table)) return undefined
        return begin(state, table, { emit, now, newId })
      },
      fire: ({ table, next }, { token }: { readonly token: string }, { emit, now, newId }) => {
        if (next?.token !== token || table === undefined) return undefined
        const runs = runsUntil(table, next.at, now)
        const set = runs.next === undefined ? [] : [emit.TimerSet({ id: 'next', at: runs.next, token: newId() })]
        const events: EmittedEvent[] = [emit.TimerFired({ token }), ...runs.times.map((time) => emit.RunDue({ time }))]
        return [...events, ...set]
      },
      /** By a node whose config does not have it, and which was to run it. */
      stop: ({ stop }, { from }: { readonly from: number }, { emit, now }) =>
        stop === undefined ? emit.Stopped({ from, stoppedAt: now }) : undefined,
    },
  }),
)

interface Deciding {
  readonly emit: {
    readonly Defined: (table: Timetable) => EmittedEvent
    readonly TimerSet: (set: TimerSet) => EmittedEvent
  }
  readonly now: number
  readonly newId: () => string
}

function begin(
  { table: known, stop }: ScheduleState,
  table: Timetable,
  { emit, now, newId }: Deciding,
): EmittedEvent[] {
  const comesBack = stop !== undefined && isSame(known, table) && now - stop.stoppedAt < COMES_BACK_MS
  const at = timeBehind(table, comesBack ? stop.from - 1 : now)
  const set = at === undefined ? [] : [emit.TimerSet({ id: 'next', at, token: newId() })]
  return [emit.Defined(table), ...set]
}

function isSame(a: Timetable | undefined, b: Timetable): boolean {
  return a !== undefined && a.cron === b.cron && a.timezone === b.timezone && a.missed === b.missed
}
