/** Errors of what consumes events. Codes, outcomes and remedies are listed in docs/errors.md. */
import { PenholdError, reasonOf } from '../aggregate/error.ts'
import type { FeedEvent } from '../read/event-feed.ts'

/** Counts as the event's failure. */
export function attemptTimedOut(timeoutMs: number): PenholdError {
  return new PenholdError('Timeout', `its handler has not ended within ${timeoutMs} ms`, {
    outcome: 'unknown',
    retryable: true,
    details: { timeoutMs },
  })
}

/** Nothing that a handler does after its time has an effect. */
export function attemptOver(): PenholdError {
  return new PenholdError(
    'Aborted',
    `the attempt to handle this event is over: its handler has ended, it had its time, or its shard has left this node; wait in the handler for what it sends`,
    {
      outcome: 'none',
      retryable: true,
    },
  )
}

export function consumerHalted(consumer: string, event: FeedEvent, cause: unknown): PenholdError {
  const { stream, version, type, position } = event
  return new PenholdError(
    'ReactorHalted',
    `${consumer} cannot handle '${type}', version ${version} of ${stream}: ${reasonOf(cause)}. Its shard stands still before this event; mend its handler and start anew, or resume it (penhold reactor resume ${consumer}).`,
    { outcome: 'none', retryable: false, details: { consumer, stream, version, type, position }, cause },
  )
}

/** Too much is parked to be single events' fault. */
export function tooMuchParked(consumer: string, streams: number, cause: unknown): PenholdError {
  return new PenholdError(
    'ReactorHalted',
    `${consumer} has parked events of ${streams} streams in one shard, and that is its limit; the last reason: ${reasonOf(cause)}. Mend its handlers, retry what is parked (penhold parked retry ${consumer}) and resume it (penhold reactor resume ${consumer}).`,
    { outcome: 'none', retryable: false, details: { consumer, streams }, cause },
  )
}

/** What was asked for does not fit how the consumer stands. */
export function reactorState(message: string): PenholdError {
  return new PenholdError('ReactorState', message, { outcome: 'none', retryable: false })
}

/** Nothing of it is tried, however long somebody waits. */
export function retryPaused({ kind, name }: { readonly kind: string; readonly name: string }): PenholdError {
  return reactorState(
    `${kind} ${name} is paused, and tries nothing until it is resumed; resume it (resume(), penhold reactor resume ${kind}:${name}), and retry then`,
  )
}

export function retryTimedOut(consumer: string, stream: string, timeoutMs: number): PenholdError {
  return new PenholdError(
    'Timeout',
    `what ${consumer} has parked of ${stream} is still tried again after ${timeoutMs} ms: there may be much of it, what it needs may be away, or nobody may run its shard at the moment. It goes on; look at its status, and at what is parked, later.`,
    { outcome: 'unknown', retryable: true, details: { consumer, stream, timeoutMs } },
  )
}

/** Whatever else fails, told to somebody far away. */
export function reactorFailed(consumer: string, call: string, cause: unknown): PenholdError {
  return new PenholdError('ReactorFailed', `'${call}' of ${consumer} failed: ${reasonOf(cause)}. Look at its status.`, {
    outcome: 'unknown',
    retryable: false,
    details: { consumer, call },
    cause,
  })
}
