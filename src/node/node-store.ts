/** The event store of a node: streams by their names and everything in one order, read from the log that the nodes share. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { nodeClosed } from '../cluster/error.ts'
import type { ReadingRun } from '../cluster/held-reading.ts'
import type { ReadingKind, ReadingRequest } from '../cluster/reading-frames.ts'
import type { RefHost } from '../cluster/ref.ts'
import { Catalog } from '../log/catalog.ts'
import type { Clock } from '../log/clock.ts'
import type { ClusterIdentity } from '../log/cluster-identity.ts'
import { parseId } from '../log/identity.ts'
import type { LogRecord } from '../log/record.ts'
import type { Storage } from '../log/storage.ts'
import { hash64, streamType } from '../log/stream.ts'
import type { TailSource } from '../log/tail.ts'
import { allPages, type Page } from '../read/all-feed.ts'
import type { AcceptedLoss } from '../read/all.ts'
import type { NewEvent } from '../actor/append.ts'
import type { Cause, LoadRange } from '../react/effects.ts'
import { noEvent } from '../read/error.ts'
import type { Feeds } from '../read/event-feed.ts'
import { Frontiers } from '../read/frontiers.ts'
import { KnownTails } from '../read/known-tails.ts'
import { LogFeeds } from '../read/log-feeds.ts'
import { behind } from '../read/place.ts'
import type { Projection } from '../read/projection.ts'
import { Room } from '../read/room.ts'
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
import { rangeOf, wantedOf, type RawOption } from './read-options.ts'
import { decodeAllRequest, decodeStreamRequest, type AllRequest, type StreamRequest } from './reading-request.ts'
import { RunningReadingStore, type AnyStoredEvent, type ReadEvent, type ReadingStore } from './reading-store.ts'
import type { Appended } from './event-store.ts'
import type { StoredEvent } from './stored-event.ts'
import { followPages, followStream, type FollowOptions, type FollowPorts } from './stream-subscription.ts'

/** The event store of a node. */
export interface NodeStore extends ReadingStore {
  /**
   * Everything that was set in motion under a correlation id, by a command, or by an event, whosever id it is: reads all
   * events from there on, and says from where.
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

/** What `NodeStore` says by its overloads. */
export class RunningNodeStore extends RunningReadingStore {
  readonly #options: NodeStoreOptions
  readonly #catalog: Catalog
  readonly #frontiers: Frontiers
  readonly #news: StreamNews
  readonly #feeds: { readonly all: Feeds; readonly shard: ShardFeeds }

  constructor(host: RefHost, options: NodeStoreOptions) {
    super(host, options.aggregates)
    const { storage, clock, identity, workers, ownWorkers, onWarning } = options
    const { shards, clusterId } = identity
    this.#options = options
    this.#catalog = new Catalog({ storage, clock, cluster: hash64(clusterId, 0), shards })
    const catalog = this.#catalog
    this.#frontiers = new Frontiers({ catalog, clock, shards, workers, onWarning })
    const signal = this.endedBy(undefined)
    const shardOf = (stream: string): number => host.shardOf(stream)
    this.#news = new StreamNews({ catalog, tails: this.#frontiers.tails, shardOf, signal })
    const feeds = {
      catalog,
      clock,
      frontiers: this.#frontiers,
      decode: (record: LogRecord) => this.decode(record),
      load: (stream: string, from: number) => this.#recordsFrom(stream, from),
      onLoss: (loss: AcceptedLoss) => this.#tellOfLoss('a projection', loss),
      room: new Room(),
    }
    const tails = new KnownTails({ catalog, clock, workers: ownWorkers })
    this.#feeds = { all: new LogFeeds(feeds), shard: new ShardFeeds({ ...feeds, shards, tails }) }
  }

  async correlation(id: string, options: CorrelationOptions = {}): Promise<Correlation> {
    checkCorrelation(id, options)
    const { after = beginningOf(id) } = options
    const found = await this.#correlation(id, { ...options, ...(after !== undefined && { after }) })
    // A clock may have been further ahead that made the id: then there may be some of it here, and the rest before.
    const isAll = found.hasOrigin || options.after !== undefined || after === undefined
    return (isAll ? found : await this.#correlation(id, options)).tree
  }

  /** What projections of this order read. */
  feeds(order: Projection['order']): Feeds {
    return this.#feeds[order]
  }

  /** What consumers read: by shard, internal streams too. */
  get consumerFeeds(): Feeds {
    return this.#feeds.shard.withInternal
  }

  /** For consumers: as `append`, to an internal stream. With the same command id it takes effect once, however late. */
  async appendInternal(
    stream: string,
    events: readonly NewEvent[],
    { commandId, correlationId, causationId, after }: Cause & { readonly commandId: string },
  ): Promise<Appended> {
    const metadata = { correlationId, causationId }
    const options = { commandId, cause: after }
    return await this.appendTo(stream, `the append to ${stream}`, { payload: { events }, metadata, options })
  }

  /** For consumers: as `load`, of internal streams too. */
  async *loadInternal(stream: string, { signal, ...range }: LoadRange): AsyncGenerator<StoredEvent, void> {
    const ended = this.endedBy(signal)
    for await (const { records } of this.recordsOf(stream, { ...range, signal: ended })) {
      for (const record of records) if (record.version > 0) yield this.decode(record)
    }
  }

  /**
   * Reads for a client, which checks nothing and decodes everything.
   * @throws PenholdError `BadPayload` where that is nothing to read; while reading, what reading throws here
   */
  openReading(kind: ReadingKind, request: ReadingRequest, signal: AbortSignal): AsyncGenerator<ReadingRun, void> {
    const ended = this.endedBy(signal)
    if (kind === 'stream') return this.#streamRuns(decodeStreamRequest(request), ended)
    return this.#allRuns(decodeAllRequest(request), ended)
  }

  override async close(): Promise<void> {
    await super.close()
    await this.#catalog.close()
  }

  protected override async *allRecords(
    request: AllRequest,
    signal: AbortSignal,
  ): AsyncGenerator<readonly LogRecord[], void> {
    const { isTypeWanted } = wantedOf(request)
    for await (const { events } of this.#pages({ ...request, isTypeWanted, signal })) yield events
  }

  protected override follow(
    options: FollowOptions & Partial<RawOption>,
    signal: AbortSignal,
  ): AsyncGenerator<AnyStoredEvent, void> {
    const aggregate = this.aggregates.get(streamType(options.stream))
    return followStream(options, { ...this.#followPorts(signal), aggregate })
  }

  #followPorts(signal: AbortSignal): FollowPorts {
    const { clock } = this.#options
    return {
      news: this.#news,
      load: (name, what) => this.recordsOf(name, what),
      versionOf: async (name, what) => (await this.info(name, what))?.version ?? 0,
      restorations: () => this.#catalog.restorations(),
      clock,
      signal,
    }
  }

  async *#streamRuns(request: StreamRequest, signal: AbortSignal): AsyncGenerator<ReadingRun, void> {
    for await (const { records, version, isLevel } of followPages(request, this.#followPorts(signal))) {
      yield { records, place: { position: version, shard: 0 }, isLevel }
    }
    if (this.isClosed) throw nodeClosed('none')
  }

  async *#allRuns(request: AllRequest, signal: AbortSignal): AsyncGenerator<ReadingRun, void> {
    const { isWanted, isTypeWanted } = wantedOf(request)
    let { until } = request
    if (!request.isLive) {
      const head = await this.#frontiers.head(signal)
      // Where the client goes on at another node, it comes to the same end.
      if (head !== undefined && (until === undefined || until.position > head)) until = behind(head)
      yield { records: [], until }
    }
    for await (const { events, place, isLast } of this.#pages({ ...request, until, isTypeWanted, signal })) {
      const isLevel = events.length === 0
      // Only where an event stands, so that a log that was restored meanwhile is known by it.
      yield { records: events.filter(isWanted), place: isLevel ? undefined : place, isLevel, isLast }
    }
    if (this.isClosed) throw nodeClosed('none')
  }

  async #correlation(id: string, options: CorrelationOptions): Promise<CorrelationTree> {
    const tree = new CorrelationTree(id, options)
    // What internal streams have of it links others, and is not shown.
    const read = (record: LogRecord): ReadEvent | undefined =>
      record.version > 0 && tree.has(record) && !record.isInternal ? this.readEvent(record) : undefined
    const signal = this.endedBy(options.signal)
    const request = { ...rangeOf(options), streams: undefined, filter: undefined, isLive: false }
    for await (const event of this.oneByOne(this.allRecords(request, signal), signal, read)) tree.add(event)
    if (signal.aborted) throw gaveUp(id, signal.reason)
    return tree
  }

  async *#pages(reading: Reading): AsyncGenerator<Page & { readonly isLast: boolean }, void> {
    const { untilEvent, isTypeWanted, signal } = reading
    const last = untilEvent === undefined ? undefined : parseId(untilEvent).bytes
    const log = { catalog: this.#catalog, frontiers: this.#frontiers }
    const onLoss = (loss: AcceptedLoss): void => this.#tellOfLoss('a reader of everything', loss)
    // The last event may be of another type.
    const isWanted = last === undefined ? isTypeWanted : undefined
    for await (const page of allPages(log, { ...reading, onLoss, isWanted })) {
      const { events } = page
      const at = last === undefined ? -1 : events.findIndex(({ eventId }) => Buffer.compare(last, eventId) === 0)
      yield at === -1 ? { ...page, isLast: false } : { ...page, events: events.slice(0, at + 1), isLast: true }
      if (at >= 0) return
    }
    if (untilEvent !== undefined && !signal.aborted) throw noEvent(untilEvent)
  }

  async *#recordsFrom(stream: string, from: number): AsyncGenerator<readonly LogRecord[], void> {
    for await (const { records } of this.recordsOf(stream, { from, signal: this.endedBy(undefined) })) yield records
  }

  #tellOfLoss(who: string, { shard, firstSeq, lastSeq }: AcceptedLoss): void {
    const lost = `events ${firstSeq} to ${lastSeq} of shard ${shard}`
    this.#options.onWarning(`${who} goes past ${lost}, which are lost, as was accepted`)
  }
}

interface Reading extends Pick<AllRequest, 'after' | 'mayBeAhead' | 'until' | 'untilEvent' | 'isLive'> {
  readonly isTypeWanted: ((eventType: string) => boolean) | undefined
  readonly signal: AbortSignal
}
