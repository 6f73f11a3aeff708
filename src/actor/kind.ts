/**
 * What an actor keeps, by the category of its stream: an aggregate of the config (below), or a stream that is nobody's
 * (stream-kind.ts). Everything else that actors do is the same for both.
 */
import type { Aggregate, EmittedEvent, Rejection } from '../aggregate/aggregate.ts'
import { eventVersion, missingPath } from '../aggregate/upcaster.ts'
import type { IdSource } from '../log/identity.ts'
import type { LogRecord } from '../log/record.ts'
import type { Stream } from '../log/stream.ts'
import type { StreamTail } from '../log/history.ts'
import { APPEND, checkExpected, INFO, readAppend, type StreamInfo } from './append.ts'
import { decideAppend } from './append-to-aggregate.ts'
import { answer, decide, DecisionContext } from './decide.ts'
import { appendRefused } from './error.ts'
import type { ActorLimits } from './limits.ts'
import type { CommandMessage, QueryMessage } from './message.ts'
import { fold, type Recovered } from './recovery.ts'

/** What an event's name is recorded as, and the version of its shape. */
export interface EventShape {
  readonly bytes: Uint8Array
  readonly version: number
}

/** An event that was decided, with what its caller said beside its data. */
export interface DecidedEvent extends EmittedEvent {
  /** A UUID. Default: a new one. */
  readonly id?: string | undefined
  /** Its own, beside that of the command. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
}

export type Verdict =
  | { readonly kind: 'rejected'; readonly rejection: Rejection }
  | {
      readonly kind: 'events'
      readonly events: readonly DecidedEvent[]
      /** What a stream begins with that was created; it has version 0 and is nobody's event. */
      readonly creation?: DecidedEvent | undefined
      /** The state after them. Asked for once, when they are recorded: the state before may be changed by it. */
      readonly next: () => unknown
    }

/** What a command finds. */
export interface Circumstances {
  readonly state: unknown
  readonly version: number
  readonly now: number
  readonly limits: ActorLimits
}

export interface Kind {
  /** The aggregate; undefined for streams that are nobody's. */
  readonly aggregate: Aggregate | undefined
  /** In messages to humans. */
  readonly name: string
  /** A snapshot is written every so many events of a stream in this state. */
  snapshotEvery(state: unknown): number | false
  /** The state as it stands in snapshots. */
  snapshotOf(state: unknown): unknown
  /** The version of that. */
  readonly snapshotVersion: number
  shapeOf(type: string): EventShape
  /** @throws PenholdError with nothing done */
  decide(message: CommandMessage, circumstances: Circumstances): Verdict
  /** @throws PenholdError */
  answer(message: QueryMessage, actor: { readonly state: unknown; readonly version: number }): unknown
  /** The state after what was read. @throws PenholdError */
  recover(stream: Stream, tail: StreamTail, onProgress: () => void): Recovered
}

class AggregateKind implements Kind {
  readonly aggregate: Aggregate
  readonly name: string
  readonly snapshotVersion: number
  readonly #context: DecisionContext
  readonly #shapes: ReadonlyMap<string, EventShape>

  constructor(aggregate: Aggregate, ids: IdSource) {
    this.aggregate = aggregate
    this.name = aggregate.type
    this.snapshotVersion = aggregate.stateVersion
    this.#context = new DecisionContext(aggregate, ids)
    this.#shapes = new Map(
      Object.keys(aggregate.events as object).map((type) => [
        type,
        { bytes: new TextEncoder().encode(type), version: eventVersion(aggregate, type) },
      ]),
    )
  }

  snapshotEvery(): number | false {
    return this.aggregate.snapshotEvery
  }

  snapshotOf(state: unknown): unknown {
    return state
  }

  shapeOf(type: string): EventShape {
    return this.#shapes.get(type)!
  }

  decide(message: CommandMessage, { state, version, now, limits }: Circumstances): Verdict {
    if (message.name === APPEND) return this.#append(message, { state, version, limits })
    this.#context.enter(message, now)
    const decided = decide(this.aggregate, state, { message, context: this.#context, limits })
    if (decided.kind === 'rejected') return decided
    return { kind: 'events', events: decided.events, next: () => decided.state }
  }

  #append(message: CommandMessage, { state, version, limits }: Omit<Circumstances, 'now'>): Verdict {
    const { stream } = message
    const append = readAppend(message, limits)
    if (append.create !== undefined) {
      throw appendRefused(stream, `it is an aggregate's, and begins with its first event; append to it`)
    }
    checkExpected(stream, append.expected, { version, exists: version > 0 })
    const decided = decideAppend(this.aggregate, state, { stream, events: append.events })
    return { kind: 'events', events: decided.events, next: () => decided.state }
  }

  answer(message: QueryMessage, { state, version }: { readonly state: unknown; readonly version: number }): unknown {
    if (message.name !== INFO) return answer(this.aggregate, state, message)
    const info: StreamInfo = { persistence: 'aggregate', version, metadata: {} }
    return version === 0 ? undefined : info
  }

  recover(stream: Stream, tail: StreamTail, onProgress: () => void): Recovered {
    return fold(this.aggregate, stream, tail, onProgress)
  }
}

export function createKind(aggregate: Aggregate, ids: IdSource): Kind {
  return new AggregateKind(aggregate, ids)
}

/** Whether a snapshot can be used: one of another version, or of another kind, is passed over. */
export function fits({ snapshotVersion }: Kind, snapshot: LogRecord): boolean {
  return snapshot.typeVersion === snapshotVersion
}

/** What of the event types in a log, given as `account/MoneyDeposited@1`, today's definitions have no path for. */
export function missingPaths(kinds: ReadonlyMap<string, Kind>, eventTypes: Iterable<string>): string[] {
  const problems: string[] = []
  for (const key of eventTypes) {
    const [, type = '', event = '', version = ''] = /^([^/]+)\/(.+)@(\d+)$/.exec(key) ?? []
    const aggregate = kinds.get(type)?.aggregate
    // The events of a type that is no longer defined belong to nobody here.
    const problem = aggregate && missingPath(aggregate, { type: event, version: Number(version) })
    if (problem !== undefined) problems.push(problem)
  }
  return problems
}
