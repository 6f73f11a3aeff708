/** Errors of readers and projections. Codes, outcomes and remedies are listed in docs/errors.md. */
import { PenholdError, reasonOf } from '../aggregate/error.ts'
import { timeOfPosition } from '../log/position.ts'
import type { Restoration } from '../log/restoration.ts'
import type { AllPlace } from './all.ts'
import type { FeedEvent } from './event-feed.ts'

/** Why a position is not the log's: it ends before, or was restored to before. */
export type Missing = { readonly head: number } | { readonly restoration: Restoration }

/** Whoever has come to this position has what the log has not. */
export function placeAhead(position: number, missing: Missing): PenholdError {
  const { why, details } =
    'head' in missing
      ? {
          why: `which ends at position ${missing.head}: it is of another log, or of this one before it was restored`,
          details: missing,
        }
      : restoredBefore(missing.restoration)
  return new PenholdError(
    'PlaceAhead',
    `position ${position} (${isoOf(position)}) is ahead of the log, ${why}. What is kept of it has what the log has not: rebuild it, a projection with node.projection(P).rebuild() or 'penhold projection rebuild', or read on from an earlier place.`,
    { outcome: 'none', retryable: false, details: { position, ...details } },
  )
}

/** Whoever has come to this version of a stream has what the log has not. */
export function versionAhead(
  stream: string,
  after: number,
  { version, restorations }: { readonly version: number; readonly restorations: readonly Restoration[] },
): PenholdError {
  const last = restorations.at(-1)
  const restored = last === undefined ? '' : `, which was last restored at ${new Date(last.time).toISOString()}`
  return new PenholdError(
    'PlaceAhead',
    `version ${after} is ahead of ${stream}, which ends at version ${version}: it is of another log, or of this one before it was restored${restored}. What is kept of it has what the log has not: make it anew, or read on from an earlier version.`,
    { outcome: 'none', retryable: false, details: { stream, after, version, restoration: last?.id } },
  )
}

function restoredBefore({ id, position, time }: Restoration): { readonly why: string; readonly details: object } {
  const when = new Date(time).toISOString()
  return {
    why: `which was restored at ${when} to position ${position} (${isoOf(position)})`,
    details: { restoredTo: position, restoration: id },
  }
}

function isoOf(position: number): string {
  return new Date(timeOfPosition(position)).toISOString()
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

/** So many wait for it that one more would be one too many. */
export function projectionBusy(projection: string, waiting: number): PenholdError {
  return new PenholdError(
    'ProjectionBusy',
    `${waiting} queries wait here for ${projection} to come to a position, and that is the limit. Ask again, or without 'after' for what it has; look whether it has fallen behind.`,
    { outcome: 'none', retryable: true, details: { projection, waiting } },
  )
}

/** The model was asked, and what asks it has not ended. */
export function queryTimedOut(projection: string, timeoutMs: number): PenholdError {
  return new PenholdError('Timeout', `a query of ${projection} has not ended within ${timeoutMs} ms`, {
    outcome: 'none',
    retryable: true,
    details: { projection, timeoutMs },
  })
}

/** Whoever waits for it here waits for what nobody does any more. */
export function projectionClosed(projection: string): PenholdError {
  return new PenholdError('ReadModelUnavailable', `${projection} does not run here any more. Ask another node.`, {
    outcome: 'none',
    retryable: true,
    details: { projection },
  })
}

/** Its store has not answered at all yet. */
export function projectionUnopened(projection: string, timeoutMs: number, problem: string | undefined): PenholdError {
  const why = problem === undefined ? 'it has not answered' : problem
  return new PenholdError(
    'ReadModelUnavailable',
    `the read model of ${projection} could not be opened within ${timeoutMs} ms: ${why}`,
    { outcome: 'none', retryable: true, details: { projection, timeoutMs, problem } },
  )
}

/** Counts as that event's failure. */
export function handlerTimedOut({ type, stream, version }: FeedEvent, timeoutMs: number): PenholdError {
  return new PenholdError('Timeout', `its handler has not ended within ${timeoutMs} ms`, {
    outcome: 'none',
    retryable: true,
    details: { type, stream, version, timeoutMs },
  })
}

export function isTimeout(error: unknown): boolean {
  return error instanceof PenholdError && error.code === 'Timeout'
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

/** What nobody mends by waiting: somebody has to do what the message says. */
const LASTING: readonly string[] = [
  'FeedBroken',
  'PlaceAhead',
  'ProjectionReordered',
  'ReadModelUnusable',
  'BadDefinition',
]

export function isLasting(error: unknown): error is PenholdError {
  return error instanceof PenholdError && LASTING.includes(error.code)
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

/** What was asked of a projection does not fit how it stands. */
export function projectionState(message: string): PenholdError {
  return new PenholdError('ProjectionState', message, { outcome: 'none', retryable: false })
}

/** What is being rebuilt has all but what it has parked, and waits for somebody. */
export function rebuildHeldBack(projection: string, generation: number, streams: number): PenholdError {
  const parked = streams === 1 ? 'one stream' : `${streams} streams`
  return projectionState(
    `generation ${generation} of ${projection} has caught up, and does not go live by itself, as it has parked events of ${parked}. Retry or skip them (retryParked, skipParked with { generation: 'rebuild' }; penhold projection parked … --rebuild), let it go live with them (promote(); penhold projection promote ${projection}), or give it up (${abortOf(projection)}).`,
  )
}

export function rebuildPaused(projection: string, generation: number): PenholdError {
  return projectionState(
    `generation ${generation} of ${projection} is being rebuilt and waits, as ${projection} is paused. Resume it (resume(); penhold projection resume ${projection}), and it goes on.`,
  )
}

/** Nothing else is begun meanwhile. */
export function rebuildUnderWay(projection: string, generation: number): PenholdError {
  return projectionState(
    `generation ${generation} of ${projection} is being rebuilt. Wait for it (rebuilt(); penhold projection rebuild ${projection} --resume), or give it up first (${abortOf(projection)}).`,
  )
}

export function generationAside(projection: string, generation: number): PenholdError {
  return projectionState(
    `generation ${generation} of ${projection} was set aside by a rollback. Make it live again (resumeRebuild(); penhold projection rebuild ${projection} --resume), or drop it first (${abortOf(projection)}).`,
  )
}

function abortOf(projection: string): string {
  return `abortRebuild(); penhold projection rebuild ${projection} --abort`
}

/** What stores and their setups throw of their own, told to somebody far away. */
export function projectionFailed(projection: string, call: string, cause: unknown): PenholdError {
  return new PenholdError(
    'ProjectionFailed',
    `'${call}' of ${projection} failed: ${reasonOf(cause)}. Look at its status.`,
    {
      outcome: 'unknown',
      retryable: false,
      details: { projection, call },
      cause,
    },
  )
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
