/** What projections by shard read: a row of each shard, at the node that serves it. */
import type { Catalog } from '../log/catalog.ts'
import type { Clock } from '../log/clock.ts'
import type { Restoration } from '../log/restoration.ts'
import type { AcceptedLoss, AllPlace } from './all.ts'
import type { EventFeed, FeedEvent, Feeds, Page } from './event-feed.ts'
import { streamEvents, toPages, type Decode, type LoadStream } from './feed-event.ts'
import type { Frontiers } from './frontiers.ts'
import type { KnownTails } from './known-tails.ts'
import { inTime } from './log-feeds.ts'
import { Room } from './room.ts'
import { ShardRow } from './shard-row.ts'
import { SharedJournals } from './shared-journals.ts'

export interface ShardFeedsOptions {
  readonly catalog: Catalog
  readonly clock: Clock
  readonly shards: number
  /** Of all nodes, for how far others' shards are. */
  readonly frontiers: Frontiers
  /** Of this node, so that no other is waited for. */
  readonly tails: KnownTails
  /** Brings an event to today's shape. */
  readonly decode: Decode
  readonly load: LoadStream
  readonly onLoss: (loss: AcceptedLoss) => void
  /** So much of what the readings of journals have read is kept, together. Default 16 MiB. */
  readonly keptBytes?: number
  /** Default: one of their own. */
  readonly room?: Room
}

const KEPT_BYTES = 16 * 1024 * 1024
const ANSWER_MS = 1_000

export class ShardFeeds implements Feeds {
  readonly lanes: readonly string[]
  readonly room: Room
  readonly #options: ShardFeedsOptions
  readonly #journals: SharedJournals

  constructor(options: ShardFeedsOptions) {
    this.#options = options
    this.room = options.room ?? new Room()
    this.#journals = new SharedJournals({ keptBytes: KEPT_BYTES, ...options })
    this.lanes = Array.from({ length: options.shards }, (_, shard) => String(shard))
  }

  /** The same rows, with the events of internal streams, for those who know what these are. */
  get withInternal(): Feeds {
    return {
      lanes: this.lanes,
      room: this.room,
      feed: (lane) => this.#feed(Number(lane), true),
      heads: () => this.heads(),
      restorations: () => this.restorations(),
      stream: (name, from) => this.stream(name, from),
    }
  }

  feed(lane: string): EventFeed {
    return this.#feed(Number(lane), false)
  }

  #feed(shard: number, hasInternal: boolean): EventFeed {
    return {
      pages: (after, signal) => this.#pages(shard, hasInternal, { after, signal }),
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

  stream(name: string, from: number): AsyncGenerator<readonly FeedEvent[], void> {
    const { load, decode } = this.#options
    return streamEvents(load(name, from), decode)
  }

  async *#pages(
    shard: number,
    hasInternal: boolean,
    { after, signal }: { readonly after: AllPlace; readonly signal: AbortSignal },
  ): AsyncGenerator<Page> {
    yield { events: [], place: after, bytes: 0 }
    const { decode } = this.#options
    for await (const read of this.#row(shard, after).pages(signal)) yield* toPages(read, { decode, hasInternal })
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
