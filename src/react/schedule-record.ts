/**
 * How far a schedule is: an aggregate of Penhold's own, one stream for each. It sets a timer for its next time, and when
 * that fires says which runs are due, and sets the next. What is sent in a run the nodes know by their config.
 *
 * Nodes may have it otherwise, as while a deployment is under way: the one that has started last is right, and the others
 * are told so. So it is defined once for each node that starts, and not to and fro.
 */
import { defineAggregate, type Aggregate, type EmittedEvent } from '../aggregate/aggregate.ts'
import { internal } from '../aggregate/internal.ts'
import type { TimerSet } from './timer.ts'
import { GRACE_MS, runsUntil, timeBehind, type Timetable } from './timetable.ts'

/** As a node's config has it. */
export interface ScheduleDefined extends Timetable {
  /** When the node has started, in milliseconds since 1970. */
  readonly since: number
}

interface Stop {
  /** The first time that was not run. */
  readonly from: number
  readonly stoppedAt: number
}

interface ScheduleState {
  readonly defined?: ScheduleDefined
  readonly next?: TimerSet
  readonly stop?: Stop
}

/** Of a schedule that comes back that soon nothing was missed but what is told as such: it was being deployed. */
const COMES_BACK_MS = 600_000

export const ScheduleRecord: Aggregate = internal(
  defineAggregate({
    type: 'schedule',
    stateVersion: 2,
    initialState: (): ScheduleState => ({}),
    events: {
      Defined: (_state, defined: ScheduleDefined): ScheduleState => ({ defined }),
      TimerSet: ({ defined }, next: TimerSet): ScheduleState => ({ ...(defined && { defined }), next }),
      TimerFired: ({ defined }, _fired: { readonly token: string }): ScheduleState => (defined ? { defined } : {}),
      RunDue: (state, _run: { readonly time: number }) => state,
      Stopped: ({ defined }, stop: Stop): ScheduleState => ({ ...(defined && { defined }), stop }),
    },
    commands: {
      /** By a node whose config has it, when it starts and now and then: another may have stopped it, or defined it otherwise. */
      define: (state, given: ScheduleDefined, { emit, reject, now, newId }) => {
        const { defined, stop } = state
        if (defined !== undefined && !isSame(defined, given) && given.since <= defined.since) {
          return reject('superseded', { cron: defined.cron, timezone: defined.timezone, missed: defined.missed })
        }
        if (isSame(defined, given) && stop === undefined) return undefined
        const at = timeBehind(given, goesOnFrom(state, given, now) - 1)
        const set = at === undefined ? [] : [emit.TimerSet({ id: 'next', at, token: newId() })]
        const since = Math.max(given.since, defined?.since ?? 0)
        return [emit.Defined({ ...given, since }), ...set]
      },
      fire: ({ defined, next }, { token }: { readonly token: string }, { emit, now, newId }) => {
        if (next?.token !== token || defined === undefined) return undefined
        const runs = runsUntil(defined, next.at, now)
        const set = runs.next === undefined ? [] : [emit.TimerSet({ id: 'next', at: runs.next, token: newId() })]
        const events: EmittedEvent[] = [emit.TimerFired({ token }), ...runs.times.map((time) => emit.RunDue({ time }))]
        return [...events, ...set]
      },
      /** By a node whose config does not have it, and which was to run it. */
      stop: ({ next, stop }, { from }: { readonly from: number }, { emit, now }) =>
        // Begun again meanwhile, it may be to run what comes before that.
        stop === undefined ? emit.Stopped({ from: Math.min(from, next?.at ?? from), stoppedAt: now }) : undefined,
    },
  }),
)

/** The first time from which on runs are to be. */
function goesOnFrom({ defined, next, stop }: ScheduleState, given: ScheduleDefined, now: number): number {
  if (stop !== undefined) {
    return isSame(defined, given) && now - stop.stoppedAt < COMES_BACK_MS ? stop.from : now + 1
  }
  // What is late by no more than that is not missed, also where its schedule has become another.
  return next === undefined || next.at > now ? now + 1 : Math.max(next.at, now - GRACE_MS)
}

function isSame(a: Timetable | undefined, b: Timetable): boolean {
  return a !== undefined && a.cron === b.cron && a.timezone === b.timezone && a.missed === b.missed
}
