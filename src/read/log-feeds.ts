/** What projections read: `$all`, from the log of a running cluster. */
import type { Catalog } from '../log/catalog.ts'
import type { Clock } from '../log/clock.ts'
import { logCorrupt } from '../log/error.ts'
import type { LogRecord } from '../log/record.ts'
import type { Restoration } from '../log/restoration.ts'
import { toRecordedEvent, type RecordedEvent } from '../log/recorded-event.ts'
import { journalPath } from '../log/path.ts'
import { allPages } from './all-feed.ts'
import { AllReader, type AcceptedLoss, type AllPlace } from './all.ts'
import type { EventFeed, FeedEvent, Feeds, Page } from './event-feed.ts'
import type { Frontiers } from './frontiers.ts'

export interface LogFeedsOptions {
  readonly catalog: Catalog
  readonly frontiers: Frontiers
  /** Brings an event to today's shape. */
  readonly decode: (record: LogRecord) => RecordedEvent
  readonly clock: Clock
  readonly onLoss: (loss: AcceptedLoss) => void
}

const ALL = 'all'
const ANSWER_MS = 1_000

export class LogFeeds implements Feeds {
  readonly lanes: readonly string[] = [ALL]
  readonly #options: LogFeedsOptions

  constructor(options: LogFeedsOptions) {
    this.#options = options
  }

  feed(): EventFeed {
    const { frontiers } = this.#options
    return {
      // The reader asserts by itself that no event is missing, and knows which were accepted as lost.
      isWhole: false,
      pages: (after, signal) => this.#pages(after, signal),
      head: () => this.#inTime((signal) => frontiers.head(signal)),
    }
  }

  restorations(): Promise<readonly Restoration[]> {
    return this.#options.catalog.restorations()
  }

  async event({ place }: { readonly place: AllPlace }): Promise<FeedEvent> {
    const { catalog, frontiers, onLoss } = this.#options
    const { position, shard } = place
    const frontier = await this.#inTime((signal) => frontiers.beyond(position - 1, signal))
    const reader = new AllReader(catalog, { after: { position, shard: shard - 1 }, onLoss })
    for await (const [event] of reader.advance(frontier)) {
      if (event?.position === position && event.shard === shard) return this.#toFeedEvent(event)
      break
    }
    throw logCorrupt(journalPath(0), 0, `the event at position ${position} of shard ${shard} is not in the log`)
  }

  /** While a shard has no owner there is no answer. */
  async #inTime<Answer>(ask: (signal: AbortSignal) => Promise<Answer | undefined>): Promise<Answer> {
    const stop = new AbortController()
    const cancel = this.#options.clock.after(ANSWER_MS, () => stop.abort())
    const answer = await ask(stop.signal)
    cancel()
    if (answer === undefined)
      throw new Error(`the log's end is not known within ${ANSWER_MS} ms: some shard has no owner`)
    return answer
  }

  async *#pages(after: AllPlace, signal: AbortSignal): AsyncGenerator<Page> {
    yield { events: [], place: after }
    const { catalog, frontiers, onLoss } = this.#options
    for await (const { events, place } of allPages({ catalog, frontiers }, { after, isLive: true, signal, onLoss })) {
      // Version 0 says that a stream was created, which is between it and its owner.
      const counting = events.filter(({ version }) => version > 0)
      yield { events: counting.map((record) => this.#toFeedEvent(record)), place }
    }
  }

  #toFeedEvent(record: LogRecord): FeedEvent {
    const { shard, seq } = record
    try {
      return Object.assign(this.#options.decode(record), { shard, seq })
    } catch (error) {
      return unreadable(record, error)
    }
  }
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
