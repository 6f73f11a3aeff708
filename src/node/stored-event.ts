/** Events as a stream's readers see them. */
import type { Aggregate, EmittedEvent } from '../aggregate/aggregate.ts'
import { missingPath } from '../aggregate/upcaster.ts'
import { AGGREGATE_KEY, isPartitionVersion, type PartitionVersion } from '../actor/append.ts'
import { unknownEvent } from '../actor/error.ts'
import { decodeEvent, storedShape } from '../cluster/accepted-reply.ts'
import { formatId } from '../log/identity.ts'
import type { LogRecord } from '../log/record.ts'
import type { RecordedEvent } from '../log/recorded-event.ts'

/** An event of a stream; in a partitioned one with the aggregate that it is of. */
export type StoredEvent<E extends EmittedEvent = EmittedEvent> = RecordedEvent<E> & {
  readonly aggregate?: PartitionVersion
}

/** An event as it stands in the log. */
export interface RawEvent {
  readonly id: string
  readonly stream: string
  readonly version: number
  readonly position: number
  readonly time: Date
  /** The name it was recorded by. */
  readonly type: string
  /** The version of its data's shape. */
  readonly typeVersion: number
  readonly commandId: string
  /** MessagePack; no bytes where there is none. */
  readonly data: Uint8Array
  readonly metadata: Uint8Array
}

/** @throws PenholdError `UnknownEvent` where the aggregate has no path for it */
export function toStoredEvent(record: LogRecord, aggregate: Aggregate | undefined): StoredEvent {
  const stored = storedShape(record)
  const problem = aggregate && missingPath(aggregate, stored)
  if (problem !== undefined) throw unknownEvent(record.stream, problem)
  const event = decodeEvent(record, aggregate, stored)
  if (!(AGGREGATE_KEY in event.metadata)) return event
  const { [AGGREGATE_KEY]: owner, ...metadata } = event.metadata
  return isPartitionVersion(owner) ? { ...event, metadata, aggregate: owner } : event
}

export function toRawEvent(record: LogRecord): RawEvent {
  return {
    id: formatId(record.eventIdSlice),
    stream: record.stream,
    version: record.version,
    position: record.position,
    time: new Date(record.time),
    type: record.type,
    typeVersion: record.typeVersion,
    commandId: formatId(record.commandId),
    data: record.dataBytes,
    metadata: record.metadataBytes,
  }
}

/** Under which names events of these types may stand in the log: their own, and former ones. */
export function typesOf(aggregate: Aggregate | undefined, types: readonly string[]): readonly string[] {
  const former = Object.entries(aggregate?.renamedEvents ?? {}).filter(([, name]) => types.includes(name))
  return [...types, ...former.map(([name]) => name)]
}
