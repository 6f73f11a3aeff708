/** Travelling in time: a stream's state at a version, at an event, or at a moment. Reads the log beside the mailbox. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { formatId } from '../log/identity.ts'
import type { StreamTail } from '../log/history.ts'
import type { Log } from '../log/log.ts'
import { NOWHERE, RecordKind, type LogRecord } from '../log/record.ts'
import type { Stream } from '../log/stream.ts'
import { noSuchEvent } from './error.ts'
import type { StateAt } from './message.ts'

/**
 * What leads to the durable state at a moment of the stream's past; to the newest where `at` names none.
 * @throws PenholdError `NoSuchEvent` where the stream was never there
 */
export async function readPast(
  log: Log,
  stream: Stream,
  { aggregate, at }: { readonly aggregate: Aggregate; readonly at: StateAt },
): Promise<StreamTail> {
  const events: LogRecord[] = []
  let snapshot: LogRecord | undefined
  let isReached = false
  for await (const record of log.back(stream)) {
    isReached ||= isAt(record, at)
    if (!isReached) continue
    if (record.kind === RecordKind.event) {
      events.push(record)
    } else if (record.typeVersion === aggregate.stateVersion) {
      snapshot = record
      break
    }
  }
  if (!isReached && !isBeginning(at)) throw noSuchEvent(stream.name, at)
  return { snapshot, events: events.reverse(), newest: NOWHERE }
}

/**
 * Whether the record, met on the way back, is the newest that belongs to the moment. A snapshot stands right behind the
 * last event it holds and has that one's version and time.
 */
function isAt(record: LogRecord, at: StateAt): boolean {
  if ('atVersion' in at) return record.version === at.atVersion
  if ('atEvent' in at) return formatId(record.eventIdSlice) === at.atEvent.toLowerCase()
  if ('atTime' in at) return record.time <= at.atTime
  return true
}

/** Whether a stream that has nothing of this moment was in its initial state then. */
function isBeginning(at: StateAt): boolean {
  if ('atVersion' in at) return at.atVersion === 0
  return !('atEvent' in at)
}
