/** Events of the log as projections get them. */
import { frozen } from '../aggregate/frozen.ts'
import type { LogRecord } from '../log/record.ts'
import { toRecordedEvent, type RecordedEvent } from '../log/recorded-event.ts'
import type { AllPlace } from './all.ts'
import type { FeedEvent, Page } from './event-feed.ts'

/** Brings an event to today's shape, or throws. */
export type Decode = (record: LogRecord) => RecordedEvent

/** What a stream has from a version on, page by page, from its owner. */
export type LoadStream = (stream: string, from: number) => AsyncIterable<readonly LogRecord[]>

export async function* streamEvents(
  records: AsyncIterable<readonly LogRecord[]>,
  decode: Decode,
): AsyncGenerator<readonly FeedEvent[], void> {
  for await (const page of records) {
    yield page.filter(isEvent).map((record) => toFeedEvent(record, decode))
  }
}

/** Version 0 says that a stream was created, which is between it and its owner. */
function isEvent({ version }: LogRecord): boolean {
  return version > 0
}

/** Whether an event is one for everybody. */
function isForAll(record: LogRecord): boolean {
  return isEvent(record) && !record.isInternal
}

function toFeedEvent(record: LogRecord, decode: Decode): FeedEvent {
  try {
    return placed(decode(record), record)
  } catch (error) {
    return unreadable(record, error)
  }
}

/** The same event, which is nobody else's yet: to copy it would take as long as half of its decoding. */
function placed(event: RecordedEvent & { shard?: number; seq?: number }, { shard, seq }: LogRecord): FeedEvent {
  event.shard = shard
  event.seq = seq
  return event as FeedEvent
}

/** So many bytes a page has, but for its last event: few enough to be decoded at once. */
const PAGE_BYTES = 256 * 1024

/**
 * Records that come one after the other, up to a place, as pages: each is decoded when it is asked for. Those of internal
 * streams are passed over, unless they are wanted as well.
 */
export function* toPages(
  { events: records, place }: { readonly events: readonly LogRecord[]; readonly place: AllPlace },
  { decode, hasInternal = false }: { readonly decode: Decode; readonly hasInternal?: boolean },
): Generator<Page> {
  const isWanted = hasInternal ? isEvent : isForAll
  let events: FeedEvent[] = []
  let bytes = 0
  for (const record of records) {
    if (bytes >= PAGE_BYTES) {
      const { position, shard } = events.at(-1)!
      yield { events, place: { position, shard }, bytes }
      events = []
      bytes = 0
    }
    if (!isWanted(record)) continue
    events.push(toFeedEvent(record, decode))
    bytes += record.length
  }
  yield { events, place, bytes }
}

/** An event whose data cannot be brought to today's shape: that is its own trouble, and that of who looks at it. */
function unreadable(record: LogRecord, error: unknown): FeedEvent {
  const event = placed(toRecordedEvent(record, record.type, undefined), record)
  return Object.defineProperty(event, 'data', {
    get() {
      throw error
    },
  })
}

/**
 * The same event, for a handler that may be given it again, and is not to find what it has made of it. A Date cannot be frozen, so each time it has
 * another. One that cannot be read stays so.
 */
export function unchanging(event: FeedEvent): FeedEvent {
  if (Object.getOwnPropertyDescriptor(event, 'data')?.get !== undefined) return event
  frozen(event.data)
  frozen(event.metadata)
  return Object.freeze({ ...event, time: new Date(event.time) })
}
