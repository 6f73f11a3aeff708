/** The event store of a node: streams by their names, as a client has them too, and everything in one order. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { badPayload } from '../cluster/error.ts'
import { checkOptions } from '../cluster/options.ts'
import type { RefHost } from '../cluster/ref.ts'
import { Catalog } from '../log/catalog.ts'
import type { Clock } from '../log/clock.ts'
import type { ClusterIdentity } from '../log/cluster-identity.ts'
import { compileFilter, filterProblem, type EventFilter } from '../log/event-filter.ts'
import type { LogRecord } from '../log/record.ts'
import type { Storage } from '../log/storage.ts'
import { hash64 } from '../log/stream.ts'
import type { TailSource } from '../log/tail.ts'
import { allPages } from '../read/all-feed.ts'
import type { AcceptedLoss } from '../read/all.ts'
import { Frontiers } from '../read/frontiers.ts'
import type { Feeds } from '../read/event-feed.ts'
import { LogFeeds } from '../read/log-feeds.ts'
import { OneByOne } from '../read/one-by-one.ts'
import { formatPlace, parsePlace } from '../read/place.ts'
import { EventStore } from './event-store.ts'
import { RawReadEvent } from './raw-read-event.ts'
import { toStoredEvent, typesOf, type StoredEvent } from './stored-event.ts'

/** An event among all others. */
export type ReadEvent = StoredEvent & {
  /** Where to read on behind it: give it as `after`. */
  readonly place: string
}

type Unplaced = StoredEvent & { place?: string }

export type { RawReadEvent }

export interface ReadOptions {
  /** The `place` of the event behind which to begin. Default: from the beginning. */
  readonly after?: string
  /** Of streams of these categories only: those of an aggregate have its type. */
  readonly categories?: readonly string[]
  readonly filter?: EventFilter
  /** Ends the reading. */
  readonly signal?: AbortSignal
}

/** For events as they stand in the log; the types of the filter are the names by which they were recorded. */
export interface RawReadOptions extends ReadOptions {
  readonly raw: true
}

/** The event store of a node. */
export interface NodeStore extends EventStore {
  /**
   * All events, in the one order that everybody sees, up to the end of the log: whatever was acknowledged before is in it.
   * They are read when they are taken.
   * @throws PenholdError `BadPlace`, `BadPayload`, `PlaceAhead`; `LogCorrupt`; `UnknownEvent` for one that the definitions
   * cannot read
   */
  readAll(options?: ReadOptions): AsyncGenerator<ReadEvent, void>
  readAll(options: RawReadOptions): AsyncGenerator<RawReadEvent, void>
  /** The same, and then what comes, as soon as it is durable, until the signal or the node ends it, or the caller stops. */
  subscribe(options?: ReadOptions): AsyncGenerator<ReadEvent, void>
  subscribe(options: RawReadOptions): AsyncGenerator<RawReadEvent, void>
}

export interface NodeStoreOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly identity: ClusterIdentity
  readonly aggregates: readonly Aggregate[]
  readonly workers: () => readonly TailSource[]
  readonly onWarning: (message: string) => void
}

const READ_OPTIONS = ['after', 'categories', 'filter', 'raw', 'signal']

export class RunningNodeStore extends EventStore implements NodeStore {
  readonly #options: NodeStoreOptions
  readonly #aggregates: ReadonlyMap<string, Aggregate>
  readonly #catalog: Catalog
  readonly #frontiers: Frontiers
  readonly #closing = new AbortController()

  constructor(host: RefHost, options: NodeStoreOptions) {
    super(host, options.aggregates)
    const { storage, clock, identity, aggregates, workers, onWarning } = options
    const { shards, clusterId } = identity
    this.#options = options
    this.#aggregates = new Map(aggregates.map((aggregate) => [aggregate.type, aggregate]))
    this.#catalog = new Catalog({ storage, clock, cluster: hash64(clusterId, 0), shards })
    this.#frontiers = new Frontiers({ catalog: this.#catalog, clock, shards, workers, onWarning })
  }

  readAll(options?: ReadOptions): AsyncGenerator<ReadEvent, void>
  readAll(options: RawReadOptions): AsyncGenerator<RawReadEvent, void>
  readAll(options: ReadOptions = {}): AsyncGenerator<ReadEvent, void> | AsyncGenerator<RawReadEvent, void> {
    return this.#read(options, false)
  }

  subscribe(options?: ReadOptions): AsyncGenerator<ReadEvent, void>
  subscribe(options: RawReadOptions): AsyncGenerator<RawReadEvent, void>
  subscribe(options: ReadOptions = {}): AsyncGenerator<ReadEvent, void> | AsyncGenerator<RawReadEvent, void> {
    return this.#read(options, true)
  }

  /** What projections read. */
  feeds(): Feeds {
    return new LogFeeds({
      catalog: this.#catalog,
      frontiers: this.#frontiers,
      clock: this.#options.clock,
      decode: (record) => this.#decode(record),
      onLoss: (loss) => this.#tellOfLoss('a projection', loss),
    })
  }

  /** Ends all reading. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#catalog.close()
  }

  #read(options: ReadOptions, isLive: boolean): AsyncGenerator<ReadEvent, void> | AsyncGenerator<RawReadEvent, void> {
    checkOptions('reading everything', options, READ_OPTIONS)
    const problem = options.filter === undefined ? undefined : filterProblem(options.filter)
    if (problem !== undefined) throw badPayload('reading everything', problem)
    const isRaw = 'raw' in options && options.raw === true
    if (isRaw) return this.#events(options, isLive, this.#rawReader(options))
    return this.#events(options, isLive, this.#reader(options))
  }

  #events<Event>(
    options: ReadOptions,
    isLive: boolean,
    read: (record: LogRecord) => Event | undefined,
  ): AsyncGenerator<Event, void> {
    const { signal } = this.#closing
    const ended = options.signal === undefined ? signal : AbortSignal.any([signal, options.signal])
    const isOf = isOfCategories(options.categories)
    return new OneByOne({
      pages: this.#pages(options, isLive, ended),
      // That a stream was created is between it and its owner.
      read: (record) => (record.version > 0 && isOf(record) ? read(record) : undefined),
      signal: ended,
    })
  }

  async *#pages({ after }: ReadOptions, isLive: boolean, signal: AbortSignal): AsyncGenerator<readonly LogRecord[]> {
    const log = { catalog: this.#catalog, frontiers: this.#frontiers }
    const onLoss = (loss: AcceptedLoss): void => this.#tellOfLoss('a reader of everything', loss)
    for await (const { events } of allPages(log, { after: parsePlace(after), isLive, signal, onLoss })) yield events
  }

  #tellOfLoss(who: string, { shard, firstSeq, lastSeq }: AcceptedLoss): void {
    const lost = `events ${firstSeq} to ${lastSeq} of shard ${shard}`
    this.#options.onWarning(`${who} goes past ${lost}, which are lost, as was accepted`)
  }

  /** @throws PenholdError `UnknownEvent` */
  #decode(record: LogRecord): StoredEvent {
    return toStoredEvent(record, this.#aggregates.get(record.category))
  }

  #rawReader({ filter }: ReadOptions): (record: LogRecord) => RawReadEvent | undefined {
    const isWanted = compileFilter(filter)
    return (record) => (isWanted(record) ? new RawReadEvent(record) : undefined)
  }

  #reader({ filter }: ReadOptions): (record: LogRecord) => ReadEvent | undefined {
    const isWanted = compileFilter(this.#withFormerNames(filter))
    const types = filter?.types === undefined ? undefined : new Set(filter.types)
    return (record) => {
      if (!isWanted(record)) return undefined
      const event: Unplaced = this.#decode(record)
      if (types?.has(event.type) === false) return undefined
      event.place = formatPlace(record)
      return event as ReadEvent
    }
  }

  /** What stands in the log under a former name has to be decoded before it is known what it is. */
  #withFormerNames(filter: EventFilter | undefined): EventFilter | undefined {
    if (filter?.types === undefined) return filter
    const { types } = filter
    const former = [...this.#aggregates.values()].flatMap((aggregate) => typesOf(aggregate, types))
    return { ...filter, types: [...new Set([...types, ...former])] }
  }
}

function isOfCategories(categories: readonly string[] | undefined): (record: LogRecord) => boolean {
  if (categories === undefined) return () => true
  const wanted = new Set(categories)
  return ({ category }) => wanted.has(category)
}
