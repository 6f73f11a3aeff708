/**
 * How far a consumer has come in a shard, and what of it is parked there: an aggregate of Penhold's own, in that very
 * shard, so that who owns the shard owns it, and a backup has both at once (docs/decisions/reactors-in-the-log.md).
 *
 * A lane says from where it goes on: one that is not the only one any more is refused. What operators want stands here too,
 * said from anywhere; the lane reads it as it reads everything else of its shard.
 */
import { defineAggregate, type Aggregate } from '../aggregate/aggregate.ts'
import { internal } from '../aggregate/internal.ts'
import { ScheduleRecord } from './schedule-record.ts'
import { TimerRecord } from './timer.ts'
import { DueRecord, TimersRecord } from './timer-records.ts'
import type { AllPlace } from '../read/all.ts'
import { InboxRecord } from './inbox-record.ts'
import { comparePlaces } from '../read/place.ts'
import type { Consumer } from './consumer.ts'

export interface ConsumerState {
  /** All up to here is done with, or parked; undefined where it was never begun. */
  readonly place: AllPlace | undefined
  /** How often its lane has parked or unparked something, which moves no place: who has missed one is refused all the same. */
  readonly turn: number
  readonly isPaused: boolean
  /** How often somebody wanted it to go on: who has halted tries again at each. */
  readonly resumed: number
  /** By stream. */
  readonly parked: Readonly<Record<string, ParkedStream>>
  /**
   * By stream that was parked: all of it up to there is done or was skipped, though the place is not there yet. Who begins
   * at the place comes to it again, and passes over it.
   */
  readonly done?: Readonly<Record<string, AllPlace>>
}

/** A stream with an event that could not be handled. All of the stream that is wanted, from there on, waits. */
export interface ParkedStream {
  /** The first that waits. */
  readonly version: number
  readonly type: string
  readonly position: number
  /** Why that one failed; empty where it waits behind one that was skipped or handled. */
  readonly reason: string
  /** When it was parked, or has failed again: in milliseconds since 1970. */
  readonly at: number
  /** Somebody wants it tried again. */
  readonly isAsked: boolean
  /** So often it was parked or has failed again. */
  readonly failures: number
  /** From this version on up to the one that waits, events were skipped since one failed last; left out where none were. */
  readonly skippedFrom?: number
}

/** What is parked: the event that failed, and with it its stream. */
export type NewlyParked = Omit<ParkedStream, 'isAsked' | 'failures' | 'skippedFrom'> & { readonly stream: string }

/** Somebody gives up what it would have set in motion, and says why. */
interface Skipped {
  readonly stream: string
  readonly version: number
  readonly reason: string
}

/** Nothing of a stream waits any more: all before the version `next`, which is all up to a place, is done or was skipped. */
export interface Unparked {
  readonly stream: string
  readonly next: number
  readonly until: AllPlace
}

interface From {
  /** Where the sender takes it to stand. */
  readonly from: AllPlace
  readonly turn: number
}

const INITIAL: ConsumerState = { place: undefined, turn: 0, isPaused: false, resumed: 0, parked: {} }

export const CONSUMER = '$consumer'

/** A consumer's name in the log: those of a kind have names of their own. */
export function keyOf({ kind, name }: Pick<Consumer, 'kind' | 'name'>): string {
  return `${kind}:${name}`
}

/** So many streams may be parked in one shard: more is no single event's fault. */
export const PARKED_STREAMS_MAX = 1_000

/** What operators do, as its lane finds it among the events of its shard. */
export const OPERATOR_EVENTS: ReadonlySet<string> = new Set(['Paused', 'Resumed', 'RetryAsked', 'Skipped'])

export const ConsumerRecord: Aggregate<typeof CONSUMER, ConsumerState> = internal(
  defineAggregate({
    type: 'consumer',
    initialState: (): ConsumerState => INITIAL,
    events: {
      Begun: (state, { place }: { place: AllPlace }) => ({ ...state, place }),
      Advanced: (state, { to }: { to: AllPlace }) => withDone({ ...state, place: to }, state.done),
      /** For the first time, or again. What somebody has skipped while it was tried stays skipped. */
      Parked: (state, { stream, ...event }: NewlyParked) => {
        const known = state.parked[stream]
        const failures = (known?.failures ?? 0) + 1
        const isSkipped = known !== undefined && known.version > event.version
        return withParked(withTurn(state), stream, { ...(isSkipped ? known : { ...event, isAsked: false }), failures })
      },
      Unparked: (state, { stream, until }: { stream: string; until?: AllPlace }) => {
        const unparked = withParked(withTurn(state), stream, undefined)
        return until === undefined ? unparked : withDone(unparked, { ...state.done, [stream]: until })
      },
      RetryAsked: (state, { stream }: { stream: string }) =>
        withParked(state, stream, { ...state.parked[stream]!, isAsked: true }),
      Skipped: (state, { stream, version }: Skipped) => {
        const known = state.parked[stream]!
        const skippedFrom = known.skippedFrom ?? known.version
        return withParked(state, stream, { ...known, version: version + 1, reason: '', skippedFrom })
      },
      Paused: (state) => ({ ...state, isPaused: true }),
      Resumed: (state) => ({ ...state, isPaused: false, resumed: state.resumed + 1 }),
    },
    commands: {
      /** The first to say so decides. */
      begin: ({ place: known }, { place }: { place: AllPlace }, { emit }) =>
        known === undefined ? emit.Begun({ place }) : undefined,
      advance: (state, { to, ...from }: From & { to: AllPlace }, { emit, reject }) =>
        isAt(state, from) ? emit.Advanced({ to }) : reject(MOVED),
      park: (state, { event, ...from }: From & { event: NewlyParked }, { emit, reject }) =>
        isAt(state, from) ? emit.Parked(event) : reject(MOVED),
      /** What was skipped behind all that its lane knows of is the lane's to pass over, and so the stream stays parked until it has. */
      unpark: (state, { stream, next, until, ...from }: From & Unparked, { emit, reject }) => {
        const known = state.parked[stream]
        if (!isAt(state, from) || known === undefined) return reject(MOVED)
        return known.version > next ? reject(MORE_SKIPPED) : emit.Unparked({ stream, until })
      },
      /** While it is paused nothing would come of it, and whoever asks would wait. */
      retry: ({ parked, isPaused }, { stream }: { stream: string }, { emit, reject }) => {
        const known = parked[stream]
        if (known === undefined) return reject(NOT_PARKED)
        if (isPaused) return reject(PAUSED)
        return known.isAsked ? undefined : emit.RetryAsked({ stream })
      },
      /** Where what is known to wait from a version on begins later, `from` is the one that stands here. */
      skip: ({ parked }, { from, ...event }: Skipped & { readonly from?: number }, { emit, reject }) => {
        const { stream, version } = event
        const known = parked[stream]?.version
        const isFirst = known === (from ?? version) && known <= version
        return isFirst ? emit.Skipped(event) : reject(NOT_PARKED, { version: known })
      },
      pause: ({ isPaused }, _none: undefined, { emit }) => (isPaused ? undefined : emit.Paused(undefined)),
      resume: (_state, _none: undefined, { emit }) => emit.Resumed(undefined),
    },
    queries: {
      state: (state) => state,
      /** What is parked of one stream: it is asked for before each event that is tried again. */
      parked: ({ parked }, stream: string) => parked[stream],
    },
    // It is written often and read seldom.
    snapshotEvery: 1_000,
  }),
)

/** It stands elsewhere: somebody else runs the lane. */
export const MOVED = 'Moved'
/** More was skipped than its lane knows of. */
export const MORE_SKIPPED = 'MoreSkipped'
export const NOT_PARKED = 'NotParked'
export const PAUSED = 'Paused'

/** What workers know beside the aggregates of the config. */
export const INTERNAL_AGGREGATES: readonly Aggregate[] = [
  ConsumerRecord,
  TimerRecord,
  TimersRecord,
  DueRecord,
  ScheduleRecord,
  InboxRecord,
]

function isAt({ place, turn }: ConsumerState, given: From): boolean {
  return place !== undefined && comparePlaces(place, given.from) === 0 && turn === given.turn
}

function withTurn(state: ConsumerState): ConsumerState {
  return { ...state, turn: state.turn + 1 }
}

/** The stream comes last. Of a thousand streams, taking one out of a copy takes a loop 0.2 ms, and `...others` or `delete` 8 ms. */
function withParked(state: ConsumerState, stream: string, event: ParkedStream | undefined): ConsumerState {
  const parked: Record<string, ParkedStream> = {}
  for (const other in state.parked) if (other !== stream) parked[other] = state.parked[other]!
  if (event !== undefined) parked[stream] = event
  return { ...state, parked }
}

/** What of this the place is past needs no remembering. */
function withDone({ done: _before, ...state }: ConsumerState, done: ConsumerState['done']): ConsumerState {
  if (done === undefined) return state
  const { place } = state
  const left = Object.entries(done).filter(([, until]) => place === undefined || comparePlaces(until, place) > 0)
  return left.length === 0 ? state : { ...state, done: Object.fromEntries(left) }
}
