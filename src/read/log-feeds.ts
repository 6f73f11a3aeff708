/** What projections in the order of everything read: `$all`, from the log of a running cluster. */
import type { Catalog } from '../log/catalog.ts'
import type { Clock } from '../log/clock.ts'
import { logCorrupt } from '../log/error.ts'
import type { Restoration } from '../log/restoration.ts'
import { journalPath } from '../log/path.ts'
import { allPages } from './all-feed.ts'
import { AllReader, type AcceptedLoss, type AllPlace } from './all.ts'
import type { EventFeed, FeedEvent, Feeds, Page } from './event-feed.ts'
import { toFeedEvent, toFeedEvents, type Decode } from './feed-event.ts'
import type { Frontiers } from './frontiers.ts'

export interface LogFeedsOptions {
  readonly catalog: Catalog
  readonly frontiers: Frontiers
  /** Brings an event to today's shape. */
  readonly decode: Decode
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
    return {
      // The reader asserts by itself that no event is missing, and knows which were accepted as lost.
      isWhole: false,
      pages: (after, signal) => this.#pages(after, signal),
      head: () => this.#head(),
    }
  }

  async heads(): Promise<ReadonlyMap<string, number>> {
    return new Map([[ALL, await this.#head()]])
  }

  restorations(): Promise<readonly Restoration[]> {
    return this.#options.catalog.restorations()
  }

  async event({ place }: { readonly place: AllPlace }): Promise<FeedEvent> {
    const { catalog, frontiers, onLoss, decode } = this.#options
    const { position, shard } = place
    const frontier = await this.#inTime((signal) => frontiers.beyond(position - 1, signal))
    const reader = new AllReader(catalog, { after: { position, shard: shard - 1 }, onLoss })
    for await (const [event] of reader.advance(frontier)) {
      if (event?.position === position && event.shard === shard) return toFeedEvent(event, decode)
      break
    }
    throw noEventAt(place)
  }

  #head(): Promise<number> {
    return this.#inTime((signal) => this.#options.frontiers.head(signal))
  }

  /** While a shard has no owner there is no answer. */
  #inTime<Answer>(ask: (signal: AbortSignal) => Promise<Answer | undefined>): Promise<Answer> {
    return inTime(this.#options.clock, ANSWER_MS, ask)
  }

  async *#pages(after: AllPlace, signal: AbortSignal): AsyncGenerator<Page> {
    yield { events: [], place: after }
    const { catalog, frontiers, decode, onLoss } = this.#options
    for await (const { events, place } of allPages({ catalog, frontiers }, { after, isLive: true, signal, onLoss })) {
      yield { events: toFeedEvents(events, decode), place }
    }
  }
}

/** What is asked of workers while a shard has no owner is not answered. */
export async function inTime<Answer>(
  clock: Clock,
  ms: number,
  ask: (signal: AbortSignal) => Promise<Answer | undefined>,
): Promise<Answer> {
  const stop = new AbortController()
  const cancel = clock.after(ms, () => stop.abort())
  const answer = await ask(stop.signal).finally(cancel)
  if (answer === undefined) throw new Error(`the log's end is not known within ${ms} ms: some shard has no owner`)
  return answer
}

export function noEventAt({ position, shard }: AllPlace): Error {
  return logCorrupt(journalPath(0), 0, `the event at position ${position} of shard ${shard} is not in the log`)
}
