/**
 * How far a schedule is: an aggregate of Penhold's own, one stream for each. It sets a timer for its next time, and when
 * that fires says which runs are due, and sets the next. What is sent in a run the nodes know by their config.
 *
 * Nodes may have it otherwise, as while a deployment is under way: the one that has started last is right, and the others
 * are told so. Which one that is says the order of the starts in the log, and no clock: each node says once that it has
 * started, and only that defines a schedule. So it is defined once for each node that starts, and not to and fro.
 *
 * Clocks may be wrong: what was set by a clock that was ahead is set anew, but for the runs that were taken. A clock that is
 * behind sees the same, a next time that is far away. So what counts wherever something is set anew is the later of two clocks,
 * that of the owner and one of another machine. Whether a run is due says the owner's alone.
 */
import { defineAggregate, type Aggregate, type EmittedEvent } from '../aggregate/aggregate.ts'
import { internal } from '../aggregate/internal.ts'
import type { TimerSet } from './timer.ts'
import { GRACE_MS, runsUntil, timeBehind, type Timetable } from './timetable.ts'

interface Told {
  /** What another machine's clock says, in milliseconds since 1970; absent where there is none. */
  readonly otherTime?: number
}

/** A timetable as a node tells it. */
export interface ToldTimetable extends Timetable, Told {}

/** That a node does not have it, to which a run came. */
export interface ToldStop extends Told {
  /** The time of that run. */
  readonly from: number
}

interface Stop {
  /** The first time that was not run. */
  readonly from: number
  readonly stoppedAt: number
}

/** Between these times, both included, all was run, but for what was passed over within a minute. */
interface Runs {
  readonly from: number
  readonly to: number
}

/** What becomes of runs that were missed, and which run is the last that was due. */
export interface LastRun {
  readonly missed: Timetable['missed'] | undefined
  readonly last: number | undefined
}

/** How far it is, for whoever asks. */
export interface SchedulePlace {
  /** How it runs; undefined where no node has begun it. */
  readonly defined: Timetable | undefined
  readonly isStopped: boolean
  /** When its next run is, and when its last was; milliseconds since 1970. */
  readonly next: number | undefined
  readonly last: number | undefined
}

interface ScheduleState {
  readonly defined?: Timetable
  readonly next?: TimerSet
  readonly stop?: Stop
  /** When the timer was due that has fired last, until the next is set. */
  readonly fired?: number
  /** The run that is the last in its stream. */
  readonly last?: number
  /** The last runs, one after the other. */
  readonly ran?: Runs
  /** Others, on which those do not follow, as of a clock that was ahead. They are not repeated when their time comes again. */
  readonly taken?: readonly Runs[]
}

/** Of a schedule that comes back that soon nothing was missed but what is told as such: it was being deployed. */
const COMES_BACK_MS = 600_000

/** So many are remembered, the last ones: each time that a clock is set, or nobody is there for a while, may leave one. */
const TAKEN_MAX = 32

/** Clocks may differ by so much. */
const SKEW_MS = 10_000

export const ScheduleRecord: Aggregate = internal(
  defineAggregate({
    type: 'schedule',
    stateVersion: 6,
    initialState: (): ScheduleState => ({}),
    events: {
      Defined: ({ last, ...state }, { cron, timezone, missed }: Timetable): ScheduleState => ({
        defined: { cron, timezone, missed },
        ...(last !== undefined && { last }),
        ...(state.defined?.cron === cron && state.defined.timezone === timezone && { taken: allRuns(state) }),
      }),
      /** A node has started that has it the same. */
      Confirmed: (state): ScheduleState => state,
      TimerSet: ({ defined, ...state }, next: TimerSet): ScheduleState => ({
        ...(defined && { defined }),
        ...(state.last !== undefined && { last: state.last }),
        ...runsBefore(state, next),
        next,
      }),
      TimerFired: ({ next, ...state }, _fired: { readonly token: string }): ScheduleState => ({
        ...state,
        ...(next && { fired: next.at }),
      }),
      RunDue: (state, { time }: { readonly time: number }): ScheduleState => {
        const { defined, ran, fired } = state
        const passedOverMs = defined?.missed === 'all' ? 0 : time - (fired ?? 0)
        if (ran && passedOverMs <= GRACE_MS) return { ...state, last: time, ran: { from: ran.from, to: time } }
        return { ...state, last: time, ran: { from: time, to: time }, taken: allRuns(state) }
      },
      Stopped: ({ defined, last, ...state }, stop: Stop): ScheduleState => ({
        ...(defined && { defined }),
        ...(last !== undefined && { last }),
        taken: runsUpTo(allRuns(state), stop.from - 1),
        stop,
      }),
    },
    commands: {
      /**
       * By a node whose config has it, once in its life, under one id. It leaves an event in any case, by which it is known
       * when it is sent again: decided anew it would stand behind a node that has started since.
       */
      start: (state, { otherTime, ...given }: ToldTimetable, { emit, now, newId }) => {
        const at = timeToSet(state, given, later(now, otherTime))
        const set = at === undefined ? [] : [emit.TimerSet({ id: 'next', at, token: newId() })]
        return [isRunning(state, given) ? emit.Confirmed() : emit.Defined(given), ...set]
      },
      /** By the same now and then: somebody may have stopped it. Whatever its config has, what is defined goes on. */
      keep: (state, { otherTime, ...given }: ToldTimetable, { emit, reject, now, newId }) => {
        const { defined = given } = state
        const at = timeToSet(state, defined, later(now, otherTime))
        const set = at === undefined ? [] : [emit.TimerSet({ id: 'next', at, token: newId() })]
        if (!isRunning(state, defined)) return [emit.Defined(defined), ...set]
        if (set.length > 0) return set
        return isSame(defined, given) ? undefined : reject('superseded', { ...defined })
      },
      fire: ({ defined, next, taken }, { token }: { readonly token: string }, { emit, now, newId }) => {
        if (next?.token !== token || defined === undefined) return undefined
        const runs = runsUntil(defined, next.at, now)
        const set = runs.next === undefined ? [] : [emit.TimerSet({ id: 'next', at: runs.next, token: newId() })]
        const times = runs.times.filter((time) => runsWith(taken, time) === undefined)
        const events: EmittedEvent[] = [emit.TimerFired({ token }), ...times.map((time) => emit.RunDue({ time }))]
        return [...events, ...set]
      },
      /** By a node whose config does not have it, and which was to run it. */
      stop: ({ next, stop }, { from, otherTime }: ToldStop, { emit, now }) => {
        if (stop !== undefined) return undefined
        // Begun again meanwhile, it may be to run what comes before that.
        return emit.Stopped({ from: Math.min(from, next?.at ?? from), stoppedAt: later(now, otherTime) })
      },
    },
    queries: {
      /** By which it is decided what becomes of runs that have waited. */
      runs: ({ defined, last }): LastRun => ({ missed: defined?.missed, last }),
      place: ({ defined, stop, next, last }): SchedulePlace => ({
        defined,
        isStopped: stop !== undefined,
        next: next?.at,
        last,
      }),
    },
  }),
)

function later(now: number, otherTime = now): number {
  return Math.max(now, otherTime)
}

function isRunning({ defined, stop }: ScheduleState, table: Timetable): boolean {
  return isSame(defined, table) && stop === undefined
}

/** The time to wait for from here on; undefined where that is set, or there is none. */
function timeToSet(state: ScheduleState, table: Timetable, now: number): number | undefined {
  return isRunning(state, table) ? timeAnew(state, table, now) : timeBehind(table, goesOnFrom(state, table, now) - 1)
}

/** The first time from which on runs are to be. */
function goesOnFrom({ defined, next, stop }: ScheduleState, given: Timetable, now: number): number {
  if (stop !== undefined) {
    return isSame(defined, given) && now - stop.stoppedAt < COMES_BACK_MS ? stop.from : now + 1
  }
  // What is late by no more than that is not missed, also where its schedule has become another.
  return next === undefined || next.at > now ? now + 1 : Math.max(next.at, now - GRACE_MS)
}

/** The time to wait for where the next was set by a clock that was ahead; undefined where it was not. */
function timeAnew(state: ScheduleState, table: Timetable, now: number): number | undefined {
  const { next } = state
  if (next === undefined) return undefined
  const soon = timeBehind(table, now + SKEW_MS)
  const runs = runsWith(allRuns(state), soon)
  const at = runs === undefined ? soon : timeBehind(table, runs.to)
  return at !== undefined && at < next.at ? at : undefined
}

/** Which runs are to be remembered when the next is set. */
function runsBefore(state: ScheduleState, next: TimerSet): Pick<ScheduleState, 'ran' | 'taken'> {
  const { ran, taken = [], fired } = state
  // Where nothing was run, or the clock was set back, what is run next does not follow on it.
  const isFollowed = ran !== undefined && fired !== undefined && ran.to >= fired && next.at > ran.to
  return isFollowed ? { ran, taken } : { taken: allRuns(state) }
}

function allRuns({ ran, taken = [] }: Pick<ScheduleState, 'ran' | 'taken'>): readonly Runs[] {
  return ran === undefined ? taken : [...taken, ran].slice(-TAKEN_MAX)
}

function runsUpTo(all: readonly Runs[], to: number): readonly Runs[] {
  return all.filter(({ from }) => from <= to).map((runs) => ({ from: runs.from, to: Math.min(runs.to, to) }))
}

function runsWith(all: readonly Runs[] | undefined, time: number | undefined): Runs | undefined {
  return time === undefined ? undefined : all?.find(({ from, to }) => time >= from && time <= to)
}

function isSame(a: Timetable | undefined, b: Timetable): boolean {
  return a !== undefined && a.cron === b.cron && a.timezone === b.timezone && a.missed === b.missed
}
