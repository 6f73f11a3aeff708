/**
 * What is recorded of a process, and what follows from it. The stream of a process has facts and nothing else: what it was
 * told, what it has sent, what became of that, and which timers it has set. To replay them is to fold them: nothing is
 * decided anew, so that whatever becomes of the handlers, a stream stays readable.
 *
 *     $told            an event, as it was when it was told
 *     $sent            a command that is to be sent; process-consumers.ts does it
 *     $outcome         what became of it
 *     $timerSet        a timer, with a token that is another with each setting, so that it is told from one that it replaces
 *     $timerCancelled  it fires no more
 *     $timerFired      its time had come
 *     $completed       the process takes no more
 *
 * One decision is recorded whole or not at all: what has happened first, and behind it what is to be done.
 */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { frozen } from '../aggregate/frozen.ts'
import { synchronous } from '../aggregate/synchronous.ts'
import { missingPath, NoPath, upcast } from '../aggregate/upcaster.ts'
import type { EventMetadata, RecordedEvent } from '../log/recorded-event.ts'
import { streamName, streamType } from '../log/stream.ts'
import type { TimerSet } from './timer.ts'
import type { AnyProcess, CommandOutcome, ProcessState, SentByProcess } from './process.ts'

export interface Told {
  readonly type: string
  /** The version of the event's shape when it was told: one more than it had upcasters. */
  readonly shape: number
  readonly data: unknown
  readonly id: string
  readonly stream: string
  readonly version: number
  readonly position: number
  /** In milliseconds since 1970. */
  readonly time: number
  readonly metadata: EventMetadata
}

export interface Sent extends SentByProcess {
  readonly payload: unknown
}

export type TimerFired = Pick<TimerSet, 'id' | 'token'>

export type Fact =
  | { readonly type: '$told'; readonly data: Told }
  | { readonly type: '$sent'; readonly data: Sent }
  | { readonly type: '$outcome'; readonly data: CommandOutcome }
  | { readonly type: '$timerSet'; readonly data: TimerSet }
  | { readonly type: '$timerCancelled'; readonly data: Pick<TimerSet, 'id'> }
  | { readonly type: '$timerFired'; readonly data: TimerFired }
  | { readonly type: '$completed'; readonly data: undefined }

type FactData<Type> = Extract<Fact, { readonly type: Type }>['data']
export type Folds = { readonly [Type in Fact['type']]: (state: ProcessState, data: FactData<Type>) => ProcessState }

/** The name that handlers of a command's outcome have. */
export function commandKey({ stream, name }: Pick<SentByProcess, 'stream' | 'name'>): string {
  return streamName(streamType(stream), name)
}

/** The state after each fact. */
export function foldsOf(process: AnyProcess): Folds {
  const { evolve } = process
  const after = (state: ProcessState, name: string, trigger: unknown): unknown => {
    const run = evolve[name]
    return run === undefined ? state.state : frozen(synchronous(run(state.state, trigger)))
  }
  return {
    $told(state, told) {
      const event = toldEvent(process, told)
      return { ...state, state: after(state, event.type, event) }
    },
    $sent(state, { n, stream, name }) {
      return { ...state, sends: [...state.sends, { n, stream, name }], sent: n }
    },
    $outcome(state, outcome) {
      const sends = state.sends.filter(({ n }) => n !== outcome.n)
      return { ...state, sends, state: after(state, commandKey(outcome), outcome) }
    },
    $timerSet(state, { id, at, token }) {
      return { ...state, timers: [...without(state, id), { id, at, token }], timersSet: state.timersSet + 1 }
    },
    $timerCancelled(state, { id }) {
      return { ...state, timers: without(state, id) }
    },
    $timerFired(state, { id }) {
      const timer = state.timers.find((pending) => pending.id === id)
      return { ...state, timers: without(state, id), state: after(state, id, { id, at: timer?.at }) }
    },
    $completed(state) {
      return { ...state, isCompleted: true, timers: [] }
    },
  }
}

function without({ timers }: ProcessState, id: string): ProcessState['timers'] {
  return timers.filter((timer) => timer.id !== id)
}

/**
 * The event in today's shape, by the definition of its aggregate; as it was told where `from` has that no more.
 * @throws NoPath where the aggregate's definition has no way to that shape, as in code that is older than the event
 */
export function toldEvent({ from }: Pick<AnyProcess, 'from'>, { shape, time, ...told }: Told): RecordedEvent {
  const aggregate = (from as readonly Aggregate[]).find(({ type }) => type === streamType(told.stream))
  const stored = { type: told.type, version: shape }
  const event = { ...told, time: new Date(time) }
  if (aggregate === undefined) return frozen(event)
  const problem = missingPath(aggregate, stored)
  if (problem !== undefined) throw new NoPath(problem)
  return frozen({ ...event, ...upcast(aggregate, stored, told.data) })
}
