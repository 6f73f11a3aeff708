/** The reply to what was accepted: its events travel as the records' own bytes. */
import type { Aggregate, StoredEventShape } from '../aggregate/aggregate.ts'
import { upcast } from '../aggregate/upcaster.ts'
import type { Reply, Unsettled } from '../actor/message.ts'
import { splitRecords, toRecordedEvent, type RecordedEvent } from '../log/recorded-event.ts'
import type { LogRecord } from '../log/record.ts'
import type { Slice } from '../log/slice.ts'

/** What an accepted reply says. */
export interface AcceptedReply {
  readonly version: number
  readonly position: number
  readonly events: readonly RecordedEvent[]
  readonly unsettled?: readonly Unsettled[]
}

/** The reply as its caller sees it. Its events are decoded when they are asked for: most callers never look at them. */
export function acceptedReply(
  reply: Reply & { readonly kind: 'accepted' },
  decode: (record: LogRecord) => RecordedEvent,
): AcceptedReply {
  return new LazyReply(reply, decode)
}

class LazyReply implements AcceptedReply {
  readonly version: number
  readonly position: number
  declare readonly unsettled?: readonly Unsettled[]
  readonly #records: Slice
  readonly #decode: (record: LogRecord) => RecordedEvent
  #events: readonly RecordedEvent[] | undefined

  constructor(reply: Reply & { readonly kind: 'accepted' }, decode: (record: LogRecord) => RecordedEvent) {
    this.version = reply.version
    this.position = reply.position
    if (reply.unsettled !== undefined) this.unsettled = reply.unsettled
    this.#records = reply.records
    this.#decode = decode
  }

  toJSON(): object {
    const { version, position, events, unsettled } = this
    return { version, position, events, ...(unsettled && { unsettled }) }
  }

  /** So that printing a reply shows its events. */
  [Symbol.for('nodejs.util.inspect.custom')](): object {
    return this.toJSON()
  }

  get events(): readonly RecordedEvent[] {
    this.#events ??= [...splitRecords(this.#records)].map(this.#decode)
    return this.#events
  }
}

/**
 * An event in today's shape; as it stands, where no aggregate says what that is. The aggregate has a path for it.
 * @param stored what the record says of its event, where the caller has read that
 */
export function decodeEvent(
  record: LogRecord,
  aggregate: Aggregate | undefined,
  stored: StoredEventShape = storedShape(record),
): RecordedEvent {
  if (aggregate === undefined) return toRecordedEvent(record, stored.type, record.data)
  const { type, data } = upcast(aggregate, stored, record.data)
  return toRecordedEvent(record, type, data)
}

export function storedShape(record: LogRecord): StoredEventShape {
  return { type: record.type, version: record.typeVersion }
}
