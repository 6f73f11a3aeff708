/** The port to where an outbox publishes. Its promise is kept by `checkPublisher` of penhold/testing. */
import { PenholdError } from '../aggregate/error.ts'
import type { CloudEvent } from './cloud-event.ts'

/** An integration event on its way. */
export interface OutboxMessage {
  /** The event's `id`, to dedupe by. */
  readonly id: string
  /** The stream of the event that it was made of: messages of one stream are published in order. */
  readonly stream: string
  readonly event: CloudEvent
  /** The event in CloudEvents' JSON format. */
  readonly json: string
}

export interface Publishing {
  /**
   * Aborted when nobody waits for it any more, as after the outbox' `handlerTimeoutMs`: nothing more is to be begun, and the call is to
   * fail. The messages may be published again meanwhile.
   */
  readonly signal: AbortSignal
  /** May be called once a message has arrived where it goes, also when nobody waits any more: it is not given again, though others of the call fail. */
  readonly published: (message: OutboxMessage) => void
}

/**
 * Publishes messages: those of one stream in the order in which they are given, none before the one before has arrived.
 * Resolves once all have arrived. Throws `PublishRefused` for one that never can; then none behind it in its stream was
 * published. Throws `LeftAlone` where it has asked for nothing of what has not arrived. Whatever else it throws says that who takes them
 * is away: they are given again, later and later, for ever.
 */
export type Publish = (messages: readonly OutboxMessage[], publishing: Publishing) => Promise<void>

/** Where an outbox publishes to. Made once by a config, and opened by each node and process that publishes there. */
export interface Publisher {
  /** Connects when it has to, not before. */
  open(outbox: string): OpenPublisher
  /** So many milliseconds it waits for an answer at most: an outbox gives it twice that at least, or is refused. Left out: it does not say. */
  readonly timeoutMs?: number
}

export interface OpenPublisher {
  /** Called for many shards at once; of a shard also for messages that were not taken, each alone, beside the others. */
  readonly publish: Publish
  /** Lets go of everything; what is under way fails. It is waited for for a second; where it fails, a warning says so. */
  close(): Promise<void>
}

/** Who takes messages will never take this one. Those of other streams have nothing to do with it. */
export class PublishRefused extends Error {
  override readonly name = 'PublishRefused'
  readonly refused: OutboxMessage

  constructor(refused: OutboxMessage, reason: string, cause?: unknown) {
    super(
      `message ${refused.id} of ${refused.stream} is refused: ${reason}`,
      cause === undefined ? undefined : { cause },
    )
    this.refused = refused
  }
}

/** Any function as a publisher. */
export function functionPublisher(publish: Publish): Publisher {
  return {
    open(outbox) {
      let isClosed = false
      return {
        async publish(messages, publishing) {
          publishing.signal.throwIfAborted()
          if (isClosed) throw publisherClosed(outbox)
          if (messages.length > 0) await publish(messages, publishing)
        },
        async close() {
          isClosed = true
        },
      }
    },
  }
}

/** Who takes messages does not answer, or cannot take any now. */
export function publisherUnavailable(where: string, reason: string, cause?: unknown): PenholdError {
  return new PenholdError('PublisherUnavailable', `${where} takes no messages: ${reason}`, {
    outcome: 'unknown',
    retryable: true,
    details: { where },
    cause,
  })
}

/**
 * Thrown by a publisher that has asked for nothing of what has not arrived, as who takes messages wants to be left alone for so many
 * milliseconds: which says nothing of any message. All are given again, later and later, up to ten seconds, and those that nothing
 * is known against come first. The publisher itself knows when the time is over.
 */
export class LeftAlone extends PenholdError {
  /** `where` and `reason` are for people. */
  constructor(where: string, ms: number, reason = `it wants to be left alone for ${Math.ceil(ms / 1000)} s`) {
    super('PublisherUnavailable', `${where} takes no messages: ${reason}`, {
      outcome: 'unknown',
      retryable: true,
      details: { where },
    })
  }
}

/** A publisher has not come to an end in its time. */
export class PublisherLate extends PenholdError {
  constructor(ms: number) {
    super('PublisherUnavailable', `its publisher has not come to an end in ${ms} ms (handlerTimeoutMs)`, {
      outcome: 'unknown',
      retryable: true,
    })
  }
}

/** Others are taken, so that it is not who takes them that is away. */
export function messageNotTaken({ stream, event }: OutboxMessage, reason: string, cause: unknown): PenholdError {
  return new PenholdError(
    'PublisherUnavailable',
    `message ${event.version} of ${stream} is not taken, and others are: ${reason}`,
    { outcome: 'unknown', retryable: true, details: { stream }, cause },
  )
}

export function publisherClosed(where: string): PenholdError {
  return publisherUnavailable(where, 'its publisher was closed')
}
