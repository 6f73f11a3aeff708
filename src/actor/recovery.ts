/** The recovering phase: from a stream's records to the state that its actor goes on from. */
import { assert } from '../aggregate/assert.ts'
import type { Aggregate } from '../aggregate/aggregate.ts'
import { missingPath } from '../aggregate/upcaster.ts'
import type { Log } from '../log/log.ts'
import type { Address, LogRecord } from '../log/record.ts'
import type { Stream } from '../log/stream.ts'
import type { StreamTail } from '../log/history.ts'
import { evolveRecord } from './decide.ts'
import { unknownEvent } from './error.ts'

export interface Recovered {
  readonly state: unknown
  readonly version: number
  readonly newest: Address
}

/** Reads what leads to the stream's state. A snapshot of another state version is passed over. */
export function readTail(log: Log, aggregate: Aggregate, stream: Stream): Promise<StreamTail> {
  return log.tail(stream, (snapshot) => snapshot.typeVersion === aggregate.stateVersion)
}

/**
 * Folds what was read into the state. Runs users' evolve functions.
 * @throws PenholdError `UnknownEvent` or `HandlerFailed`
 */
export function fold(aggregate: Aggregate, stream: Stream, { snapshot, events, newest }: StreamTail): Recovered {
  let state: unknown = snapshot === undefined ? aggregate.initialState() : snapshot.data
  let version = snapshot?.version ?? 0
  for (const event of events) {
    assert(event.version === version + 1, `${stream.name} has a gap in its versions (I4)`)
    checkPath(aggregate, stream, event)
    state = evolveRecord(aggregate, state, event)
    version = event.version
  }
  return { state, version, newest }
}

/** @throws PenholdError `UnknownEvent` where today's code has no way to read the event */
export function checkPath(aggregate: Aggregate, stream: Stream, { type, typeVersion }: LogRecord): void {
  const problem = missingPath(aggregate, { type, version: typeVersion })
  if (problem !== undefined) throw unknownEvent(stream.name, problem)
}
