/** The recovering phase: from a stream's records to the state that its actor goes on from. */
import type { Aggregate, StoredEventShape } from '../aggregate/aggregate.ts'
import { frozen } from '../aggregate/frozen.ts'
import { missingPath } from '../aggregate/upcaster.ts'
import { logCorrupt } from '../log/error.ts'
import { segmentPath } from '../log/path.ts'
import type { Address, LogRecord } from '../log/record.ts'
import type { Stream } from '../log/stream.ts'
import type { StreamTail } from '../log/history.ts'
import { evolveStored, initialState } from './decide.ts'
import { unknownEvent } from './error.ts'

export interface Recovered {
  readonly state: unknown
  readonly version: number
  readonly newest: Address
}

/** A fold gives a sign of life every so many events. */
export const EVENTS_PER_SIGN = 256

/**
 * Folds what was read into the state. Runs users' evolve functions, and gives a sign of life now and then.
 * @throws PenholdError `UnknownEvent` or `HandlerFailed`
 */
export function fold(
  aggregate: Aggregate,
  stream: Stream,
  { snapshot, events, newest }: StreamTail,
  onProgress: () => void = () => undefined,
): Recovered {
  let state: unknown = snapshot === undefined ? initialState(aggregate) : frozen(snapshot.data)
  let version = snapshot?.version ?? 0
  // Neighbours are often of one type, and each is checked once.
  let checked: StoredEventShape = { type: '', version: 0 }
  for (const event of events) {
    checkNext(stream, event, version)
    if (event.version % EVENTS_PER_SIGN === 0) onProgress()
    const stored = { type: event.type, version: event.typeVersion }
    if (stored.type !== checked.type || stored.version !== checked.version) {
      checkPath(aggregate, stream, stored)
      checked = stored
    }
    state = evolveStored(aggregate, state, stored, event)
    version = event.version
  }
  return { state, version, newest }
}

/** No gaps (I4). @throws PenholdError `LogCorrupt` where the event is not the one after this version */
export function checkNext({ name }: Stream, { version, address }: LogRecord, after: number): void {
  if (version === after + 1) return
  const { journal, segment, offset } = address
  throw logCorrupt(segmentPath(journal, segment), offset, `${name} goes from version ${after} to ${version}`)
}

/** @throws PenholdError `UnknownEvent` where today's code has no way to read the event */
function checkPath(aggregate: Aggregate, stream: Stream, stored: StoredEventShape): void {
  const problem = missingPath(aggregate, stored)
  if (problem !== undefined) throw unknownEvent(stream.name, problem)
}
