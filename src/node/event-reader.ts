/** Reading everything: `$all` of a node's cluster, as users see it. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { Catalog } from '../log/catalog.ts'
import type { Clock } from '../log/clock.ts'
import type { ClusterIdentity } from '../log/cluster-identity.ts'
import type { LogRecord } from '../log/record.ts'
import type { RecordedEvent } from '../log/recorded-event.ts'
import type { Storage } from '../log/storage.ts'
import { hash64, streamType } from '../log/stream.ts'
import type { TailSource } from '../log/tail.ts'
import { allPages } from '../read/all-feed.ts'
import { EventDecoder } from '../read/decoder.ts'
import { Frontiers } from '../read/frontiers.ts'
import { formatPlace, parsePlace } from '../read/place.ts'

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

/** The events of all aggregates. */
export interface EventStore {
  /**
   * All events, in the one order that everybody sees, up to the end of the log: whatever was acknowledged before is in it.
   * They are read when they are taken.
   * @throws PenholdError `BadPlace`, `PlaceAhead`; `LogCorrupt`; `BadDefinition` for an event that the definitions cannot read
   */
  readAll(options?: ReadOptions): AsyncGenerator<ReadEvent, void>
  /** The same, and then what comes, as soon as it is durable, until the signal or the node ends it, or the caller stops. */
  subscribe(options?: ReadOptions): AsyncGenerator<ReadEvent, void>
}

export interface EventReaderOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly identity: ClusterIdentity
  readonly aggregates: readonly Aggregate[]
  readonly workers: () => readonly TailSource[]
}

export class EventReader implements EventStore {
  readonly #catalog: Catalog
  readonly #frontiers: Frontiers
  readonly #decoder: EventDecoder
  readonly #closing = new AbortController()

  constructor({ storage, clock, identity, aggregates, workers }: EventReaderOptions) {
    const { shards, clusterId } = identity
    this.#catalog = new Catalog({ storage, clock, cluster: hash64(clusterId, 0), shards })
    this.#frontiers = new Frontiers({ catalog: this.#catalog, clock, shards, workers })
    this.#decoder = new EventDecoder(aggregates)
  }

  readAll(options: ReadOptions = {}): AsyncGenerator<ReadEvent, void> {
    return this.#read(options, false)
  }

  subscribe(options: ReadOptions = {}): AsyncGenerator<ReadEvent, void> {
    return this.#read(options, true)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#catalog.close()
  }

  async *#read(options: ReadOptions, isLive: boolean): AsyncGenerator<ReadEvent, void> {
    const { signal } = this.#closing
    const ended = options.signal === undefined ? signal : AbortSignal.any([signal, options.signal])
    const log = { catalog: this.#catalog, frontiers: this.#frontiers }
    const isWanted = filterOf(options)
    const types = options.types === undefined ? undefined : new Set(options.types)
    for await (const { events } of allPages(log, { after: parsePlace(options.after), isLive, signal: ended })) {
      for (const record of events) {
        if (!isWanted(record)) continue
        const event = this.#decoder.decode(record)
        if (types?.has(event.type) !== false) yield Object.assign(event, { place: formatPlace(record) })
        if (ended.aborted) return
      }
    }
  }
}

function filterOf({ aggregates }: ReadOptions): (record: LogRecord) => boolean {
  if (aggregates === undefined) return () => true
  const wanted = new Set(aggregates)
  return ({ stream }) => wanted.has(streamType(stream))
}
