/**
 * The port to whoever does something because of events: reactors, process managers, timers and outboxes are consumers. What
 * runs them reads each shard's events at the node that serves it, in order, and keeps in the log how far it has come and
 * what was parked. It promises each consumer each event that it wants at least once, and those of one stream in order.
 */
import type { FeedEvent } from '../read/event-feed.ts'
import type { Effects } from './effects.ts'

export interface Consumer {
  readonly kind: 'reactor' | 'process' | 'timers' | 'outbox'
  /** Names it in the log, in status and on the command line. */
  readonly name: string
  isWanted(event: FeedEvent): boolean
  /** Where it starts when it is there for the first time. */
  readonly startAt: StartAt
  /** What becomes of an event that fails again and again: it is parked, with all later ones of its stream, or its lane halts. */
  readonly onFailure: 'park' | 'halt'
  readonly retries: number
  /** How long one attempt may take. */
  readonly handlerTimeoutMs: number
  /** So many events are under way at once in a lane, each of another stream. Of no account for one that handles many at once. */
  readonly concurrency: number
  readonly does: Handling
  /**
   * Somebody has given up an event of a parked stream that waited: what there is to be done about that. It is told at least once, before any
   * later event of the stream is handled, and never while the event itself is. Where it throws, that is told as a warning, and the stream goes
   * on. Left out: there is nothing.
   */
  readonly givesUp?: (event: FeedEvent, reaction: Reaction) => Promise<void>
  /** Replies wait until their events were tried once. Left out: they do not. */
  readonly isSynchronous?: boolean
}

/** `now`: behind all that was acknowledged when it was there for the first time. Or behind a position. */
export type StartAt = 'now' | 'beginning' | number

export type Handling =
  /** One event at a time of each stream; it is done with when what is returned is kept. What it throws is that event's failure. */
  | { readonly one: (event: FeedEvent, reaction: Reaction) => unknown }
  /**
   * Many at once, in the order of their shard; all are done with when it resolves. `EventFailed` names one that cannot be
   * handled, `OthersWait` those that are done with where others are not; whatever else it throws is nobody's fault: it is waited
   * for, and all are given again.
   */
  | { readonly many: (events: readonly FeedEvent[], reaction: BatchReaction) => Promise<void>; readonly most: number }

export interface BatchReaction {
  readonly shard: number
  /** Aborted when the lane leaves this node, or the attempt has had its time: what is done later counts for nothing. */
  readonly signal: AbortSignal
  readonly effects: Effects
}

export interface Reaction extends BatchReaction {
  /** 1, 2, 3 … for this event, in this life of the lane, whatever the attempts before came to; anew where somebody has it tried again. */
  readonly attempt: number
  /** Whether it has failed as often as it may be tried again: once more, and it is parked, or halts its shard. */
  readonly isOutOfRetries: boolean
  /** Whether it has waited behind one of its stream that was parked. */
  readonly isBehindParked: boolean
  /** The same for this event and consumer, whenever and wherever it is handled: a UUIDv5. */
  readonly idempotencyKey: string
}

/** One of many cannot be handled, and the others have nothing to do with it. Those before it in the batch are done with. */
export class EventFailed extends Error {
  override readonly name = 'EventFailed'
  readonly event: FeedEvent
  /** It may be handled later, though nobody can tell when: it is tried for longer before it is given up. */
  readonly isAway: boolean

  constructor(event: FeedEvent, cause: unknown, isAway = false) {
    super(`'${event.type}', version ${event.version} of ${event.stream}, cannot be handled`, { cause })
    this.event = event
    this.isAway = isAway
  }
}

/** Of many some are done with, and the others are waited for: it is nobody's fault, and they are given again. */
export class OthersWait extends Error {
  override readonly name = 'OthersWait'
  readonly done: readonly FeedEvent[]

  constructor(done: readonly FeedEvent[], cause: unknown) {
    super(`${done.length} events are done with, and others have to wait`, { cause })
    this.done = done
  }
}
