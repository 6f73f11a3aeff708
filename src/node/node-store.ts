/** The event store of a node: streams by their names, as a client has them too, and everything in one order. */
import type { Aggregate, EmittedEvent } from '../aggregate/aggregate.ts'
import type { RefHost } from '../cluster/ref.ts'
import { Catalog } from '../log/catalog.ts'
import type { Clock } from '../log/clock.ts'
import type { ClusterIdentity } from '../log/cluster-identity.ts'
import { parseId } from '../log/identity.ts'
import type { LogRecord } from '../log/record.ts'
import type { Storage } from '../log/storage.ts'
import { hash64, streamType } from '../log/stream.ts'
import type { TailSource } from '../log/tail.ts'
import { allPages } from '../read/all-feed.ts'
import type { AcceptedLoss } from '../read/all.ts'
import { noEvent } from '../read/error.ts'
import type { Feeds } from '../read/event-feed.ts'
import { Frontiers } from '../read/frontiers.ts'
import { LogFeeds } from '../read/log-feeds.ts'
import { OneByOne } from '../read/one-by-one.ts'
import { OwnTails } from '../read/own-tails.ts'
import { formatPlace } from '../read/place.ts'
import type { Projection, SourceEvents } from '../read/projection.ts'
import { ShardFeeds } from '../read/shard-feeds.ts'
import { StreamNews } from '../read/stream-news.ts'
import {
  beginningOf,
  checkCorrelation,
  CorrelationTree,
  gaveUp,
  type Correlation,
  type CorrelationOptions,
} from './correlation.ts'
import { EventStore } from './event-store.ts'
import { RawReadEvent } from './raw-read-event.ts'
import {
  checkReadOptions,
  rangeOf,
  wantedOf,
  type Range,
  type RawOption,
  type ReadAllOptions,
  type ReadOptions,
} from './read-options.ts'
import { toStoredEvent, type RawEvent, type StoredEvent } from './stored-event.ts'
import { checkFollowOptions, followStream, type FollowOptions } from './stream-subscription.ts'
import { RunningSubscription, type EventHandler, type Subscription } from './subscription.ts'

/** An event among all others. */
export type ReadEvent<E extends EmittedEvent = EmittedEvent> = StoredEvent<E> & {
  /** Where to read on behind it: give it as `after`. */
  readonly place: string
}

type Unplaced = StoredEvent & { place?: string }

/** The events of these aggregates, as a union. */
export type ReadEventOf<A extends Aggregate> = ReadEvent<SourceEvents<readonly A[]>>

/** The event store of a node. */
export interface NodeStore extends EventStore {
  /**
   * All events, in the one order that everybody sees, up to the end of the log: whatever was acknowledged before is in it.
   * They are read when they are taken.
   * @throws PenholdError `BadPlace`, `BadPayload`, `PlaceAhead`, `NoSuchEvent`; `LogCorrupt`; `UnknownEvent` for one that
   * the definitions cannot read
   */
  readAll(options: ReadAllOptions & RawOption): AsyncGenerator<RawReadEvent, void>
  readAll<A extends Aggregate = Aggregate>(options?: ReadAllOptions<A>): AsyncGenerator<ReadEventOf<A>, void>

  /**
   * Events that are there, and then what comes, as soon as it is durable, until the signal or the node ends it, or the
   * caller stops: of all streams, in the order of everything; or of one, by its versions. With a handler, it is called with
   * each, one after the other, and what is returned stops it.
   */
  subscribe(options: FollowOptions & RawOption): AsyncGenerator<RawEvent, void>
  subscribe<E extends EmittedEvent = EmittedEvent>(options: FollowOptions): AsyncGenerator<StoredEvent<E>, void>
  subscribe(options: ReadOptions & RawOption): AsyncGenerator<RawReadEvent, void>
  subscribe<A extends Aggregate = Aggregate>(options?: ReadOptions<A>): AsyncGenerator<ReadEventOf<A>, void>
  subscribe(options: FollowOptions & RawOption, onEvent: EventHandler<RawEvent>): Subscription<number>
  subscribe<E extends EmittedEvent = EmittedEvent>(
    options: FollowOptions,
    onEvent: EventHandler<StoredEvent<E>>,
  ): Subscription<number>
  subscribe(options: ReadOptions & RawOption, onEvent: EventHandler<RawReadEvent>): Subscription<string>
  subscribe<A extends Aggregate = Aggregate>(
    options: ReadOptions<A>,
    onEvent: EventHandler<ReadEventOf<A>>,
  ): Subscription<string>

  /**
   * Everything that was set in motion under a correlation id, by a command, or by an event, whosever id it is: reads all
   * events from there on.
   * @throws PenholdError `TooLarge` where it has more events than the limit; as `readAll` for the rest
   */
  correlation(id: string, options?: CorrelationOptions): Promise<Correlation>
}

export interface NodeStoreOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly identity: ClusterIdentity
  readonly aggregates: readonly Aggregate[]
  /** Of all nodes. */
  readonly workers: () => readonly TailSource[]
  /** Of this node. */
  readonly ownWorkers: () => readonly TailSource[]
  readonly onWarning: (message: string) => void
}

type AnyReadEvent = ReadEvent | RawReadEvent
type AnyStoredEvent = StoredEvent | RawEvent
/** What the overloads leave of both kinds of subscription. */
type AnyOptions = (ReadOptions | FollowOptions) & Partial<RawOption>

/** What `NodeStore` says by its overloads. */
export class RunningNodeStore extends EventStore {
  readonly #host: RefHost
  readonly #options: NodeStoreOptions
  readonly #aggregates: ReadonlyMap<string, Aggregate>
  readonly #catalog: Catalog
  readonly #frontiers: Frontiers
  readonly #news: StreamNews
  readonly #feeds: Readonly<Record<Projection['order'], Feeds>>
  readonly #closing = new AbortController()

  constructor(host: RefHost, options: NodeStoreOptions) {
    super(host, options.aggregates)
    this.#host = host
    const { storage, clock, identity, aggregates, workers, ownWorkers, onWarning } = options
    const { shards, clusterId } = identity
    this.#options = options
    this.#aggregates = new Map(aggregates.map((aggregate) => [aggregate.type, aggregate]))
    this.#catalog = new Catalog({ storage, clock, cluster: hash64(clusterId, 0), shards })
    const catalog = this.#catalog
    this.#frontiers = new Frontiers({ catalog, clock, shards, workers, onWarning })
    const { signal } = this.#closing
    const shardOf = (stream: string): number => host.shardOf(stream)
    this.#news = new StreamNews({ catalog, frontiers: this.#frontiers, shardOf, signal })
    const feeds = {
      catalog,
      clock,
      frontiers: this.#frontiers,
      decode: (record: LogRecord) => this.#decode(record),
      onLoss: (loss: AcceptedLoss) => this.#tellOfLoss('a projection', loss),
    }
    const tails = new OwnTails({ catalog, clock, workers: ownWorkers })
    this.#feeds = { all: new LogFeeds(feeds), shard: new ShardFeeds({ ...feeds, shards, tails }) }
  }

  readAll(options: ReadAllOptions & Partial<RawOption> = {}): AsyncGenerator<AnyReadEvent, void> {
    return this.#everything(options, false, options.signal)
  }

  subscribe(
    options: AnyOptions = {},
    onEvent?: EventHandler<never>,
  ): AsyncGenerator<AnyReadEvent | AnyStoredEvent, void> | Subscription<string> | Subscription<number> {
    if (onEvent === undefined) return this.#subscribe(options, options.signal)
    const stopping = new AbortController()
    const { signal = stopping.signal } = options
    const events = this.#subscribe(options, AbortSignal.any([signal, stopping.signal]))
    const source = { events, stopping, onEvent: onEvent as EventHandler<unknown> }
    if ('stream' in options) return new RunningSubscription({ ...source, afterOf: (event) => event.version })
    return new RunningSubscription({ ...source, afterOf: (event) => (event as AnyReadEvent).place })
  }

  async correlation(id: string, options: CorrelationOptions = {}): Promise<Correlation> {
    checkCorrelation(id, options)
    const { after = beginningOf(id) } = options
    const found = await this.#correlation(id, { ...options, ...(after !== undefined && { after }) })
    // A clock may have been far ahead that made the id.
    return found.size > 0 || options.after !== undefined || after === undefined ? found : this.#correlation(id, options)
  }

  /** What projections of this order read. */
  feeds(order: Projection['order']): Feeds {
    return this.#feeds[order]
  }

  /** Ends all reading. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#catalog.close()
  }

  #subscribe(
    options: AnyOptions,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<AnyReadEvent | AnyStoredEvent, void> {
    if ('stream' in options) return this.#follow(options, signal)
    return this.#everything(options, true, signal)
  }

  #follow(
    options: FollowOptions & Partial<RawOption>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<AnyStoredEvent, void> {
    checkFollowOptions(options)
    const { clock } = this.#options
    return followStream(options, {
      aggregate: this.#aggregates.get(streamType(options.stream)),
      news: this.#news,
      load: (name, what) => this.recordsOf(name, what),
      clock,
      signal: this.#endedBy(signal),
    })
  }

  async #correlation(id: string, options: CorrelationOptions): Promise<Correlation> {
    const tree = new CorrelationTree(id, options)
    const read = (record: LogRecord): ReadEvent | undefined =>
      record.version > 0 && tree.has(record) ? this.#readEvent(record) : undefined
    const signal = this.#endedBy(options.signal)
    const reading = { ...rangeOf(options), isLive: false, isTypeWanted: undefined, read, signal }
    for await (const event of this.#events(reading)) tree.add(event as ReadEvent)
    if (signal.aborted) throw gaveUp(id, signal.reason)
    return tree.tree
  }

  #everything(
    options: ReadAllOptions & Partial<RawOption>,
    isLive: boolean,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<AnyReadEvent, void> {
    checkReadOptions(options, { aggregates: this.#aggregates, isLive })
    const range = rangeOf(options)
    const { isWanted, isTypeWanted } = wantedOf(options, options.raw === true ? 'raw' : this.#aggregates)
    const types = options.filter?.types === undefined ? undefined : new Set(options.filter.types)
    const read = (record: LogRecord): AnyReadEvent | undefined => {
      if (!isWanted(record)) return undefined
      if (options.raw === true) return new RawReadEvent(record)
      const event = this.#readEvent(record)
      return types?.has(event.type) === false ? undefined : event
    }
    return this.#events({ ...range, isLive, isTypeWanted, read, signal: this.#endedBy(signal) })
  }

  #events({ read, ...reading }: Reading): AsyncGenerator<AnyReadEvent, void> {
    const observed = (record: LogRecord): AnyReadEvent | undefined => {
      const event = read(record)
      if (event !== undefined) this.#host.observe(event.position)
      return event
    }
    return new OneByOne({ pages: this.#pages(reading), read: observed, signal: reading.signal })
  }

  async *#pages(reading: Omit<Reading, 'read'>): AsyncGenerator<readonly LogRecord[], void> {
    const { untilEvent, isTypeWanted, signal } = reading
    const last = untilEvent === undefined ? undefined : parseId(untilEvent).bytes
    const log = { catalog: this.#catalog, frontiers: this.#frontiers }
    const onLoss = (loss: AcceptedLoss): void => this.#tellOfLoss('a reader of everything', loss)
    // The last event may be of another type.
    const isWanted = last === undefined ? isTypeWanted : undefined
    for await (const { events } of allPages(log, { ...reading, onLoss, isWanted })) {
      const at = last === undefined ? -1 : events.findIndex(({ eventId }) => Buffer.compare(last, eventId) === 0)
      yield at === -1 ? events : events.slice(0, at + 1)
      if (at >= 0) return
    }
    if (untilEvent !== undefined && !signal.aborted) throw noEvent(untilEvent)
  }

  #endedBy(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#closing.signal : AbortSignal.any([this.#closing.signal, signal])
  }

  #tellOfLoss(who: string, { shard, firstSeq, lastSeq }: AcceptedLoss): void {
    const lost = `events ${firstSeq} to ${lastSeq} of shard ${shard}`
    this.#options.onWarning(`${who} goes past ${lost}, which are lost, as was accepted`)
  }

  /** @throws PenholdError `UnknownEvent` */
  #readEvent(record: LogRecord): ReadEvent {
    const event: Unplaced = this.#decode(record)
    event.place = formatPlace(record)
    return event as ReadEvent
  }

  /** @throws PenholdError `UnknownEvent` */
  #decode(record: LogRecord): StoredEvent {
    return toStoredEvent(record, this.#aggregates.get(record.category))
  }
}

interface Reading extends Range {
  readonly isLive: boolean
  readonly isTypeWanted: ((eventType: string) => boolean) | undefined
  readonly read: (record: LogRecord) => AnyReadEvent | undefined
  readonly signal: AbortSignal
}
