/** Reading everything: `$all` of a node's cluster, as users see it. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { definitionError } from '../aggregate/error.ts'
import { nearest } from '../aggregate/nearest.ts'
import { Catalog } from '../log/catalog.ts'
import type { Clock } from '../log/clock.ts'
import type { ClusterIdentity } from '../log/cluster-identity.ts'
import type { LogRecord } from '../log/record.ts'
import type { RecordedEvent } from '../log/recorded-event.ts'
import type { Storage } from '../log/storage.ts'
import { hash64, streamType } from '../log/stream.ts'
import type { TailSource } from '../log/tail.ts'
import type { AcceptedLoss } from '../read/all.ts'
import { allPages } from '../read/all-feed.ts'
import { EventDecoder } from '../read/decoder.ts'
import { Frontiers } from '../read/frontiers.ts'
import { formatPlace, parsePlace } from '../read/place.ts'
import { RawEvent } from '../read/raw-event.ts'

/** An event among all others. */
export type ReadEvent = RecordedEvent & {
  /** Where to read on behind it: give it as `after`. */
  readonly place: string
}

export interface ReadOptions {
  /** The `place` of the event behind which to begin. Default: from the beginning. */
  readonly after?: string
  /** Of aggregates of these types only. */
  readonly aggregates?: readonly string[]
  /** Of these types only, by the names that they have today. */
  readonly types?: readonly string[]
  /** Ends the reading. */
  readonly signal?: AbortSignal
}

/** For `raw`: events as they stand in the log; `types` are the names that they had when they were written. */
export interface RawReadOptions extends ReadOptions {
  readonly raw: true
}

/** The events of all aggregates. */
export interface EventStore {
  /**
   * All events, in the one order that everybody sees, up to the end of the log: whatever was acknowledged before is in it.
   * They are read when they are taken.
   * @throws PenholdError `BadPlace`, `PlaceAhead`; `LogCorrupt`; `BadDefinition` for an event that the definitions cannot read
   */
  readAll(options?: ReadOptions): AsyncGenerator<ReadEvent, void>
  readAll(options: RawReadOptions): AsyncGenerator<RawEvent, void>
  /** The same, and then what comes, as soon as it is durable, until the signal or the node ends it, or the caller stops. */
  subscribe(options?: ReadOptions): AsyncGenerator<ReadEvent, void>
  subscribe(options: RawReadOptions): AsyncGenerator<RawEvent, void>
}

export interface EventReaderOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly identity: ClusterIdentity
  readonly aggregates: readonly Aggregate[]
  readonly workers: () => readonly TailSource[]
  readonly onWarning: (message: string) => void
}

export class EventReader implements EventStore {
  readonly #catalog: Catalog
  readonly #frontiers: Frontiers
  readonly #decoder: EventDecoder
  readonly #onWarning: (message: string) => void
  readonly #closing = new AbortController()

  constructor({ storage, clock, identity, aggregates, workers, onWarning }: EventReaderOptions) {
    this.#onWarning = onWarning
    const { shards, clusterId } = identity
    this.#catalog = new Catalog({ storage, clock, cluster: hash64(clusterId, 0), shards })
    this.#frontiers = new Frontiers({ catalog: this.#catalog, clock, shards, workers })
    this.#decoder = new EventDecoder(aggregates)
  }

  readAll(options?: ReadOptions): AsyncGenerator<ReadEvent, void>
  readAll(options: RawReadOptions): AsyncGenerator<RawEvent, void>
  readAll(
    options: ReadOptions | RawReadOptions = {},
  ): AsyncGenerator<ReadEvent, void> | AsyncGenerator<RawEvent, void> {
    return this.#read(options, false)
  }

  subscribe(options?: ReadOptions): AsyncGenerator<ReadEvent, void>
  subscribe(options: RawReadOptions): AsyncGenerator<RawEvent, void>
  subscribe(
    options: ReadOptions | RawReadOptions = {},
  ): AsyncGenerator<ReadEvent, void> | AsyncGenerator<RawEvent, void> {
    return this.#read(options, true)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#catalog.close()
  }

  #read(
    options: ReadOptions | RawReadOptions,
    isLive: boolean,
  ): AsyncGenerator<ReadEvent, void> | AsyncGenerator<RawEvent, void> {
    checkOptions(options)
    const types = options.types === undefined ? undefined : new Set(options.types)
    if ('raw' in options && options.raw) {
      const isType = ({ type }: LogRecord): boolean => types?.has(type) !== false
      return this.#events(options, isLive, (record) => (isType(record) ? new RawEvent(record) : undefined))
    }
    return this.#events(options, isLive, (record) => {
      const event = this.#decoder.decode(record)
      return types?.has(event.type) === false ? undefined : Object.assign(event, { place: formatPlace(record) })
    })
  }

  async *#events<Event>(
    options: ReadOptions,
    isLive: boolean,
    toEvent: (record: LogRecord) => Event | undefined,
  ): AsyncGenerator<Event, void> {
    const { signal } = this.#closing
    const ended = options.signal === undefined ? signal : AbortSignal.any([signal, options.signal])
    const log = { catalog: this.#catalog, frontiers: this.#frontiers }
    const isWanted = filterOf(options)
    const onLoss = ({ shard, firstSeq, lastSeq }: AcceptedLoss): void =>
      this.#onWarning(
        `a reader of everything goes past events ${firstSeq} to ${lastSeq} of shard ${shard}, which are lost, as was accepted`,
      )
    for await (const { events } of allPages(log, { after: parsePlace(options.after), isLive, signal: ended, onLoss })) {
      for (const record of events) {
        const event = isWanted(record) ? toEvent(record) : undefined
        if (event !== undefined) yield event
        if (ended.aborted) return
      }
    }
  }
}

const OPTIONS = ['after', 'aggregates', 'types', 'signal', 'raw']

/** One that is misspelt would have no effect, and nobody would know. */
function checkOptions(options: ReadOptions): void {
  const unknown = Object.keys(options).find((key) => !OPTIONS.includes(key))
  if (unknown === undefined) return
  throw definitionError(`readers have no option '${unknown}'; the nearest is '${nearest(unknown, OPTIONS)}'`)
}

function filterOf({ aggregates }: ReadOptions): (record: LogRecord) => boolean {
  if (aggregates === undefined) return () => true
  const wanted = new Set(aggregates)
  return ({ stream }) => wanted.has(streamType(stream))
}
