/**
 * The port between a lane and what has its events handled: each alone (handle-each.ts), or many together (handle-many.ts).
 * An event that is tried again stays there; one that is given up waits there for its lane, which parks it or halts.
 */
import { isThenable } from '../aggregate/synchronous.ts'
import type { Clock } from '../log/clock.ts'
import { deriveId } from '../log/identity.ts'
import type { FeedEvent } from '../read/event-feed.ts'
import type { Trouble } from '../read/lane-status.ts'
import { reasonOf } from '../aggregate/error.ts'
import { Attempt, type AttemptOutcome } from './attempt.ts'
import { EventFailed, OthersWait, type Consumer, type Reaction } from './consumer.ts'
import { keyOf } from './consumer-record.ts'
import type { Effects } from './effects.ts'
import type { Entry, Window } from './window.ts'

export interface Handling {
  /** One more is in the window. */
  add(entry: Entry): void
  /** Begins what can begin. */
  go(): void
  /** Nothing begins until it is let go on. What is under way goes on. */
  hold(): void
  release(): void
  /** Events that were given up are tried again, as if they had never failed. */
  retry(): void
  /** Lets go of a stream whose first event was given up, and says what it had. */
  drop(stream: string): readonly Entry[]
  /** What fails, or waits, and has for longest. */
  readonly trouble: Trouble | undefined
  /** Resolves when nothing is under way. */
  idle(): Promise<void>
  /** Nothing of it counts any more, and nothing of it goes on. */
  giveUp(): void
}

export interface HandlingOptions {
  readonly consumer: Consumer
  readonly shard: number
  readonly window: Window
  readonly effects: Effects
  readonly clock: Clock
  readonly onDone: (entry: Entry) => void
  /** It has failed, and says how. */
  readonly onFailed: (entry: Entry) => void
  /** It has failed more often than it is tried again. */
  readonly onGivenUp: (entry: Entry, error: unknown) => void
}

export type HandleOptions = Pick<HandlingOptions, 'consumer' | 'shard' | 'effects' | 'clock'>

export type Tries = Pick<Reaction, 'attempt' | 'isOutOfRetries' | 'isBehindParked'>

/** What one attempt at one event comes to, whatever its consumer. */
export function attemptOne(
  event: FeedEvent,
  tries: Tries,
  { consumer, shard, effects, clock }: HandleOptions,
): { readonly attempt: Attempt; readonly outcome: AttemptOutcome | Promise<AttemptOutcome> } {
  const attempt = new Attempt({ effects, clock, timeoutMs: consumer.handlerTimeoutMs })
  const { does } = consumer
  const reaction = new EventReaction(keyOf(consumer), event, { attempt, tries, shard })
  if ('one' in does) return { attempt, outcome: attempt.run(() => does.one(event, reaction)) }
  const outcome = attempt.run(() => does.many([event], reaction))
  return { attempt, outcome: isThenable(outcome) ? outcome.then(ofMany) : ofMany(outcome) }
}

/** Of many, where it is one alone: whatever fails other than the event itself is waited for. */
function ofMany(outcome: AttemptOutcome): AttemptOutcome {
  if (outcome.kind !== 'failed') return outcome
  const { error } = outcome
  if (error instanceof OthersWait) return { kind: 'waits', error: error.cause }
  return error instanceof EventFailed ? { kind: 'failed', error: error.cause } : { kind: 'waits', error }
}

export function troubleOf({ event, failures }: Pick<Entry, 'event' | 'failures'>, error: unknown): Trouble {
  const { stream, version, type } = event
  return { message: reasonOf(error), attempts: Math.max(1, failures), event: { stream, version, type } }
}

/** Its parts are made when they are asked for. */
class EventReaction implements Reaction {
  readonly attempt: number
  readonly isOutOfRetries: boolean
  readonly isBehindParked: boolean
  readonly shard: number
  readonly #of: string
  readonly #event: FeedEvent
  readonly #attempt: Attempt

  constructor(
    of: string,
    event: FeedEvent,
    { attempt, tries, shard }: { readonly attempt: Attempt; readonly tries: Tries; readonly shard: number },
  ) {
    this.#of = of
    this.#event = event
    this.#attempt = attempt
    this.attempt = tries.attempt
    this.isOutOfRetries = tries.isOutOfRetries
    this.isBehindParked = tries.isBehindParked
    this.shard = shard
  }

  get signal(): AbortSignal {
    return this.#attempt.signal
  }

  get effects(): Effects {
    return this.#attempt
  }

  get idempotencyKey(): string {
    // Of the event, not only of its id: that is the caller's to choose, and may be another event's too.
    const { id, stream, version } = this.#event
    return deriveId('reaction', this.#of, id, stream, version)
  }
}
