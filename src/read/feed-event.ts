/** Events of the log as projections get them. */
import type { LogRecord } from '../log/record.ts'
import { toRecordedEvent, type RecordedEvent } from '../log/recorded-event.ts'
import type { FeedEvent } from './event-feed.ts'

/** Brings an event to today's shape, or throws. */
export type Decode = (record: LogRecord) => RecordedEvent

export function toFeedEvent(record: LogRecord, decode: Decode): FeedEvent {
  const { shard, seq } = record
  try {
    return Object.assign(decode(record), { shard, seq })
  } catch (error) {
    return unreadable(record, error)
  }
}

/** Version 0 says that a stream was created, which is between it and its owner. */
export function toFeedEvents(records: readonly LogRecord[], decode: Decode): readonly FeedEvent[] {
  return records.filter(({ version }) => version > 0).map((record) => toFeedEvent(record, decode))
}

/** An event whose data cannot be brought to today's shape: that is its own trouble, and that of who looks at it. */
function unreadable(record: LogRecord, error: unknown): FeedEvent {
  const { shard, seq } = record
  const event = Object.assign(toRecordedEvent(record, record.type, undefined), { shard, seq })
  return Object.defineProperty(event, 'data', {
    get() {
      throw error
    },
  })
}
