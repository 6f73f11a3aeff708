/** What projections by shard read: a row of each shard, at the node that serves it. */
import type { Catalog } from '../log/catalog.ts'
import type { Clock } from '../log/clock.ts'
import type { Restoration } from '../log/restoration.ts'
import type { AcceptedLoss, AllPlace } from './all.ts'
import type { EventFeed, FeedEvent, Feeds, Page } from './event-feed.ts'
import { toFeedEvent, toFeedEvents, type Decode } from './feed-event.ts'
import type { Frontiers } from './frontiers.ts'
import { inTime, noEventAt } from './log-feeds.ts'
import type { OwnTails } from './own-tails.ts'
import { ShardRow } from './shard-row.ts'
import { SharedJournals } from './shared-journals.ts'

export interface ShardFeedsOptions {
  readonly catalog: Catalog
  readonly clock: Clock
  readonly shards: number
  /** Of all nodes, for how far others' shards are. */
  readonly frontiers: Frontiers
  readonly tails: OwnTails
  /** Brings an event to today's shape. */
  readonly decode: Decode
  readonly onLoss: (loss: AcceptedLoss) => void
  /** So much of what each reading of a journal has read is kept. Default 4 MiB. */
  readonly keptBytes?: number
}

const KEPT_BYTES = 4 * 1024 * 1024
const ANSWER_MS = 1_000
/** To read one event a part of a segment may have to be read. */
const EVENT_MS = 10_000

export class ShardFeeds implements Feeds {
  readonly lanes: readonly string[]
  readonly #options: ShardFeedsOptions
  readonly #journals: SharedJournals

  constructor(options: ShardFeedsOptions) {
    this.#options = options
    this.#journals = new SharedJournals({ keptBytes: KEPT_BYTES, ...options })
    this.lanes = Array.from({ length: options.shards }, (_, shard) => String(shard))
  }

  feed(lane: string): EventFeed {
    const shard = Number(lane)
    return {
      // The row asserts by itself that no event is missing, and knows which were accepted as lost.
      isWhole: false,
      pages: (after, signal) => this.#pages(shard, after, signal),
      head: async () => (await this.#newest([shard])).get(shard)!,
    }
  }

  async heads(): Promise<ReadonlyMap<string, number>> {
    const newest = await this.#newest(this.lanes.map(Number))
    return new Map([...newest].map(([shard, position]) => [String(shard), position]))
  }

  restorations(): Promise<readonly Restoration[]> {
    return this.#options.catalog.restorations()
  }

  async event({ place }: { readonly place: AllPlace }): Promise<FeedEvent> {
    const { clock, decode } = this.#options
    const { position, shard } = place
    return await inTime(clock, EVENT_MS, async (signal) => {
      for await (const { events } of this.#row(shard, { position: position - 1, shard }).pages(signal)) {
        const [event] = events
        if (event?.position !== position) throw noEventAt(place)
        return toFeedEvent(event, decode)
      }
    })
  }

  async *#pages(shard: number, after: AllPlace, signal: AbortSignal): AsyncGenerator<Page> {
    yield { events: [], place: after }
    for await (const { events, place } of this.#row(shard, after).pages(signal)) {
      yield { events: toFeedEvents(events, this.#options.decode), place }
    }
  }

  #row(shard: number, after: AllPlace): ShardRow {
    return new ShardRow(shard, after, { ...this.#options, journals: this.#journals })
  }

  /** Of each shard the greatest position that a place in its row can have by now. */
  #newest(shards: readonly number[]): Promise<ReadonlyMap<number, number>> {
    const { clock, frontiers } = this.#options
    return inTime(clock, ANSWER_MS, (signal) => frontiers.newest(shards, signal))
  }
}
