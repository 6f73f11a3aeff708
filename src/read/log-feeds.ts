/** What projections in the order of everything read: `$all`, from the log of a running cluster. */
import type { Catalog } from '../log/catalog.ts'
import type { Clock } from '../log/clock.ts'
import type { Restoration } from '../log/restoration.ts'
import { allPages } from './all-feed.ts'
import type { AcceptedLoss, AllPlace } from './all.ts'
import type { EventFeed, FeedEvent, Feeds, Page } from './event-feed.ts'
import { streamEvents, toPages, type Decode, type LoadStream } from './feed-event.ts'
import type { Frontiers } from './frontiers.ts'
import { Room } from './room.ts'

export interface LogFeedsOptions {
  readonly catalog: Catalog
  readonly frontiers: Frontiers
  /** Brings an event to today's shape. */
  readonly decode: Decode
  readonly load: LoadStream
  readonly clock: Clock
  readonly onLoss: (loss: AcceptedLoss) => void
  /** Default: one of their own. */
  readonly room?: Room
}

const ALL = 'all'
const ANSWER_MS = 1_000

export class LogFeeds implements Feeds {
  readonly lanes: readonly string[] = [ALL]
  readonly room: Room
  readonly #options: LogFeedsOptions

  constructor(options: LogFeedsOptions) {
    this.#options = options
    this.room = options.room ?? new Room()
  }

  feed(): EventFeed {
    return {
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

  stream(name: string, from: number): AsyncGenerator<readonly FeedEvent[], void> {
    const { load, decode } = this.#options
    return streamEvents(load(name, from), decode)
  }

  #head(): Promise<number> {
    return this.#inTime((signal) => this.#options.frontiers.head(signal))
  }

  /** While a shard has no owner there is no answer. */
  #inTime<Answer>(ask: (signal: AbortSignal) => Promise<Answer | undefined>): Promise<Answer> {
    return inTime(this.#options.clock, ANSWER_MS, ask)
  }

  async *#pages(after: AllPlace, signal: AbortSignal): AsyncGenerator<Page> {
    yield { events: [], place: after, bytes: 0 }
    const { catalog, frontiers, onLoss } = this.#options
    for await (const read of allPages({ catalog, frontiers }, { after, isLive: true, signal, onLoss })) {
      yield* toPages(read, this.#options)
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
