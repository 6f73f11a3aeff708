/** Recorded events as users see them. */
import type { EmittedEvent } from '../aggregate/aggregate.ts'
import { formatId } from './identity.ts'
import { Block, NOWHERE, recordOf, type LogRecord } from './record.ts'
import { copyOf, type Slice } from './slice.ts'

/** What is known about an event beside its data. The caller's own keys stand here too. */
export interface EventMetadata {
  readonly commandId: string
  /** Shared by everything that one outside request set in motion; the command's id where the caller gave none. */
  readonly correlationId: string
  /** What caused the event; the command's id where the caller gave nothing else. */
  readonly causationId: string
  readonly [key: string]: unknown
}

/** An event with its place in the log. */
export type RecordedEvent<E extends EmittedEvent = EmittedEvent> = E & {
  readonly id: string
  /** `type/id` of the aggregate. */
  readonly stream: string
  /** The event's number in its stream: 1, 2, 3 … */
  readonly version: number
  /** Its place in the order of all events. */
  readonly position: number
  readonly time: Date
  readonly metadata: EventMetadata
}

/** The records that stand one after the other in these bytes: of the own log, or checked to be some (`areEvents`). */
export function* splitRecords({ bytes, start, end }: Slice): Generator<LogRecord> {
  // Word for word a record must be aligned as it is in the log; frames do not see to that.
  const block = new Block(copyOf({ bytes, start, end }))
  for (let at = 0; at < end - start;) {
    const record = recordOf(block, at, NOWHERE)
    yield record
    at += record.length
  }
}

/** A record as an event of the given type and data, which the caller has brought to today's shape. */
export function toRecordedEvent(record: LogRecord, type: string, data: unknown): RecordedEvent {
  return {
    id: formatId(record.eventIdSlice),
    type,
    data,
    stream: record.stream,
    version: record.version,
    position: record.position,
    time: new Date(record.time),
    metadata: metadataOf(record),
  }
}

/** An event's metadata as it is seen. The caller may say what caused the command, but not which one it was. */
export function metadataOf(record: LogRecord): EventMetadata {
  const commandId = formatId(record.commandId)
  const { metadata } = record
  // Most callers say nothing, and to copy nothing takes its time as well.
  if (metadata === undefined) return { commandId, correlationId: commandId, causationId: commandId }
  return { correlationId: commandId, causationId: commandId, ...metadata, commandId }
}
