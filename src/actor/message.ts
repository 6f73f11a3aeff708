/**
 * What is said to a worker and what it answers. Plain data: it crosses threads now and machines later (cluster/wire.ts).
 */
import type { Outcome } from '../aggregate/error.ts'
import type { Slice } from '../log/slice.ts'

interface ToAggregate {
  /** The sender's number for this request; the answer carries it. Increasing with each sender. */
  readonly request: number
  /**
   * The epoch of the shard in which its sender takes the worker for the owner: in another it is not taken up, so that a
   * copy that comes late has no effect. 0 where there are no late copies, or the sender cannot say.
   */
  readonly epoch: number
  /** `type/id` of the aggregate. */
  readonly stream: string
}

/**
 * The epoch of the shard whose consumers send a command, of which there is one sender at a time. Once a newer one is claimed it is
 * not decided any more: whoever sends in that may have been answered (docs/decisions/refused-and-late.md).
 */
export interface SentIn {
  readonly shard: number
  /** 0 where nobody else can ever send in its place. */
  readonly epoch: number
}

export interface CommandMessage extends ToAggregate {
  readonly kind: 'command'
  readonly name: string
  readonly payload: unknown
  readonly commandId: Slice
  readonly payloadHash: number
  /**
   * Whether the id may have been seen before: the caller gave it, or the router sends the command once more. A fresh
   * id was made for this very message and needs no looking up.
   */
  readonly isFresh: boolean
  /** It may have been sent before: any event of it has a position greater than `since`, however long ago that is. */
  readonly isAgain: boolean
  /** -1 where any version will do. */
  readonly expectedVersion: number
  /** On the monotonic clock. What is taken up later is not decided any more. */
  readonly deadline: number
  /** The greatest position its sender had seen when it was made: the command's events come after it (I6). */
  readonly after: number
  /** Behind this position it is looked for where it is sent again: its cause's, where it has one, and `after` otherwise. */
  readonly since: number
  /** Of what consumers send, who decide for themselves to send it again: what was rejected is decided anew then. Undefined for others. */
  readonly sentIn: SentIn | undefined
  /** Its sender wants to hear what synchronous reactors have made of its events, and waits for that. */
  readonly waitsForReactors: boolean
  readonly metadata: Readonly<Record<string, unknown>> | undefined
}

export interface QueryMessage extends ToAggregate {
  readonly kind: 'query'
  readonly name: string
  readonly payload: unknown
}

/** A moment in a stream's past. */
export type StateAt =
  { readonly atVersion: number } | { readonly atEvent: string } | { readonly atTime: number } | Record<string, never>

export interface StateMessage extends ToAggregate {
  readonly kind: 'state'
  readonly at: StateAt
}

export type Message = CommandMessage | QueryMessage | StateMessage

export type Reply =
  | {
      readonly kind: 'accepted'
      readonly version: number
      /** The position of the last event; 0 where the command emitted none. */
      readonly position: number
      /** The command's events as they stand in the log, one record after the other. */
      readonly records: Slice
      /** What synchronous reactors have not done by now; left out where they have done all. */
      readonly unsettled?: readonly Unsettled[]
    }
  | { readonly kind: 'rejected'; readonly code: string; readonly details: unknown }
  | { readonly kind: 'answered'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly failure: Failure }
  /** The worker does not own the shard, or not in that epoch: it has done nothing, and somebody else may be asked. */
  | { readonly kind: 'elsewhere'; readonly shard: number }

/** What a synchronous reactor has not done for a command's events when its reply goes. It is done later, as it would be else. */
export interface Unsettled {
  /** The reactor's name. */
  readonly reactor: string
  /** `failed`: it was tried, and is tried again or parked. `pending`: it was not tried, or not to its end. */
  readonly state: 'failed' | 'pending'
  readonly reason?: string
}

/** A `PenholdError` in plain data. */
export interface Failure {
  readonly code: string
  readonly message: string
  readonly outcome: Outcome
  readonly retryable: boolean
  readonly details: unknown
}

/** Whoever sends messages to a worker and takes its replies. */
export interface Sender {
  reply(request: number, reply: Reply): void
  /** Sends what has been replied on its way. */
  flush(): void
}
