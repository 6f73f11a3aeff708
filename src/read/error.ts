/** Errors of readers and projections. Codes, outcomes and remedies are listed in docs/errors.md. */
import { PenholdError, reasonOf } from '../aggregate/error.ts'
import type { AllPlace } from './all.ts'
import type { FeedEvent } from './event-feed.ts'

/** A consumer has come further than the log goes. */
export function placeAhead(position: number, head: number): PenholdError {
  return new PenholdError(
    'PlaceAhead',
    `a place to read on from, position ${position}, is ahead of the log, which ends at position ${head}: it is of another log, or of this one before it was restored from a backup. What was read since then is in no log: read from an earlier place, or from the beginning.`,
    { outcome: 'none', retryable: false, details: { position, head } },
  )
}

/** Up to which event to read: it is not there, or not behind where reading began. */
export function noEvent(eventId: string): PenholdError {
  return new PenholdError('NoSuchEvent', `no event with the id ${eventId} came up to the end of the log`, {
    outcome: 'none',
    retryable: false,
    details: { eventId },
  })
}

export function badPlace(problem: string): PenholdError {
  return new PenholdError('BadPlace', `${problem}. Give the 'place' of an event that was read before.`, {
    outcome: 'none',
    retryable: false,
  })
}

export function projectionBehind(
  projection: string,
  behind: { readonly lanes: readonly string[]; readonly after: number; readonly timeoutMs: number },
): PenholdError {
  const { lanes, after, timeoutMs } = behind
  return new PenholdError(
    'ProjectionBehind',
    `${projection} has not come to position ${after} within ${timeoutMs} ms (${laneList(lanes)}). Ask again, or without 'after' for what it has.`,
    { outcome: 'none', retryable: true, details: { projection, ...behind } },
  )
}

/** Told to whoever waits for a projection that stands still until somebody mends it. */
export function waitsInVain(projection: string, cause: PenholdError): PenholdError {
  return new PenholdError('ProjectionHalted', `${projection} stands still: ${cause.message}`, {
    outcome: 'none',
    retryable: false,
    details: cause.details,
    cause,
  })
}

export function projectionHalted(projection: string, event: FeedEvent, cause: unknown): PenholdError {
  const { stream, version, type, position } = event
  return new PenholdError(
    'ProjectionHalted',
    `${projection} cannot handle '${type}', version ${version} of ${stream}: ${reasonOf(cause)}. It stands still before this event; mend its handler and start anew, or resume it.`,
    { outcome: 'none', retryable: false, details: { projection, stream, version, type, position }, cause },
  )
}

/** Too much is parked to be single events' fault. */
export function tooMuchParked(projection: string, streams: number, cause: unknown): PenholdError {
  return new PenholdError(
    'ProjectionHalted',
    `${projection} has parked events of ${streams} streams, and that is its limit; the last reason: ${reasonOf(cause)}. Mend its handlers, retry what is parked and resume it.`,
    { outcome: 'none', retryable: false, details: { projection, streams }, cause },
  )
}

/** A row of events is not what was promised: nothing that would come of it could be trusted. */
export function feedBroken(lane: string, place: AllPlace, problem: string): PenholdError {
  return new PenholdError(
    'FeedBroken',
    `lane ${lane} behind position ${place.position}: ${problem}. Nothing was skipped: the projection stands still. Run 'penhold verify'.`,
    { outcome: 'none', retryable: false, details: { lane, place, problem } },
  )
}

export function isFeedBroken(error: unknown): error is PenholdError {
  return error instanceof PenholdError && error.code === 'FeedBroken'
}

/** The read model has what the log has not: one of them was restored from a backup. */
export function projectionAhead(lane: string, place: AllPlace, head: number): PenholdError {
  return new PenholdError(
    'ProjectionAhead',
    `lane ${lane} stands at position ${place.position}, and the log ends at ${head}: was the data restored from a backup? Rebuild the projection. Until then it waits.`,
    { outcome: 'none', retryable: true, details: { lane, place, head } },
  )
}

/** What has taken effect in one order does not say what has in another. */
export function projectionReordered(
  projection: string,
  { generation, made, order }: { readonly generation: number; readonly made: string; readonly order: string },
): PenholdError {
  return new PenholdError(
    'ProjectionReordered',
    `generation ${generation} of ${projection} was made in order '${made}', and is defined with order '${order}' now. It stands still, and queries see what it has: rebuild the projection.`,
    { outcome: 'none', retryable: false, details: { projection, generation, made, order } },
  )
}

export function isReordered(error: unknown): error is PenholdError {
  return error instanceof PenholdError && error.code === 'ProjectionReordered'
}

/** What was asked of a projection does not fit how it stands. */
export function projectionState(message: string): PenholdError {
  return new PenholdError('ProjectionState', message, { outcome: 'none', retryable: false })
}

export function waitAborted(projection: string, cause: unknown): PenholdError {
  return new PenholdError('Aborted', `the caller gave up waiting for ${projection}`, {
    outcome: 'none',
    retryable: true,
    details: { projection },
    cause,
  })
}

function laneList(lanes: readonly string[]): string {
  const shown = lanes.slice(0, 5).join(', ')
  return lanes.length === 1 ? `lane ${shown}` : `lanes ${shown}${lanes.length > 5 ? ' …' : ''}`
}
