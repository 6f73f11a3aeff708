/**
 * Reading that goes over more than one stream, and on to what comes: the calls, as a node and a client have them alike.
 * Where the records come from is what the two differ in.
 */
import type { Aggregate, EmittedEvent } from '../aggregate/aggregate.ts'
import { describe } from '../aggregate/error.ts'
import { badPayload } from '../cluster/error.ts'
import type { RefHost } from '../cluster/ref.ts'
import type { LogRecord } from '../log/record.ts'
import { OneByOne } from '../read/one-by-one.ts'
import { formatPlace } from '../read/place.ts'
import type { SourceEvents } from '../read/projection.ts'
import { EventStore } from './event-store.ts'
import { RawReadEvent } from './raw-read-event.ts'
import {
  checkReadOptions,
  rangeOf,
  wantedOf,
  wishOf,
  type LogPlace,
  type RawOption,
  type ReadAllOptions,
  type ReadOptions,
} from './read-options.ts'
import type { AllRequest } from './reading-request.ts'
import { toStoredEvent, type RawEvent, type StoredEvent } from './stored-event.ts'
import { checkFollowOptions, type FollowOptions } from './stream-subscription.ts'
import { RunningSubscription, type EventHandler, type Subscription } from './subscription.ts'

/** An event among all others. */
export type ReadEvent<E extends EmittedEvent = EmittedEvent> = StoredEvent<E> & {
  /** Where to read on behind it: give it as `after`. */
  readonly place: string
}

/** What the subscription's `after` is before there was an event. */
interface Behind<After extends LogPlace> {
  readonly after?: After
}

type Unplaced = StoredEvent & { place?: string }

/** Events that are read when they are taken: one by one, or page by page. */
export interface EventReading<Event> extends AsyncGenerator<Event, void> {
  /**
   * The same events, those that were not taken yet, in arrays of 1 to 1,024: for whoever takes in many, as to wait for each
   * event is a sixth to a quarter of the work. What cannot be read ends it behind the page with all that comes before. To
   * stop it ends the reading.
   */
  pages(): AsyncGenerator<readonly Event[], void>
}

/** The events of these aggregates, as a union. */
export type ReadEventOf<A extends Aggregate> = ReadEvent<SourceEvents<readonly A[]>>

/** Streams by name, and everything in one order: the event store of a client, and most of a node's. */
export interface ReadingStore extends EventStore {
  /**
   * All events, in the one order that everybody sees, up to the end of the log: whatever was acknowledged before is in it.
   * They are read when they are taken.
   * @throws PenholdError at once, for options that are none: `BadPlace`, `BadPayload`, `BadDefinition`; while reading
   * `PlaceAhead`, `NoSuchEvent`; `LogCorrupt`; `UnknownEvent` for one that the definitions cannot read
   */
  readAll(options: ReadAllOptions & RawOption): EventReading<RawReadEvent>
  readAll<A extends Aggregate = Aggregate>(options?: ReadAllOptions<A>): EventReading<ReadEventOf<A>>

  /**
   * Events that are there, and then what comes, as soon as it is durable, until the signal or the node ends it, or the
   * caller stops: of all streams, in the order of everything; or of one, by its versions. With a handler, it is called with
   * each, one after the other, and what is returned stops it.
   * @throws PenholdError as `readAll` does; `BadAddress`
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
  subscribe<After extends LogPlace = string>(
    options: ReadOptions & RawOption & Behind<After>,
    onEvent: EventHandler<RawReadEvent>,
  ): Subscription<After | string>
  subscribe<A extends Aggregate = Aggregate, After extends LogPlace = string>(
    options: ReadOptions<A> & Behind<After>,
    onEvent: EventHandler<ReadEventOf<A>>,
  ): Subscription<After | string>
}

export type AnyReadEvent = ReadEvent | RawReadEvent
export type AnyStoredEvent = StoredEvent | RawEvent
/** What the overloads leave of both kinds of subscription. */
type AnyOptions = (ReadOptions | FollowOptions) & Partial<RawOption>

/** What `ReadingStore` says by its overloads. */
export abstract class RunningReadingStore extends EventStore {
  protected readonly aggregates: ReadonlyMap<string, Aggregate>
  readonly #host: RefHost
  readonly #closing = new AbortController()

  constructor(host: RefHost, aggregates: readonly Aggregate[]) {
    super(host, aggregates)
    this.#host = host
    this.aggregates = new Map(aggregates.map((aggregate) => [aggregate.type, aggregate]))
  }

  readAll(options: ReadAllOptions & Partial<RawOption> = {}): EventReading<AnyReadEvent> {
    return this.#everything(options, false)
  }

  subscribe(
    options: AnyOptions = {},
    onEvent?: EventHandler<never>,
  ): AsyncGenerator<AnyReadEvent | AnyStoredEvent, void> | Subscription<LogPlace> | Subscription<number> {
    if (onEvent === undefined) return this.#subscribe(options)
    if (typeof onEvent !== 'function') {
      throw badPayload('subscribing', `what is called with each event is ${describe(onEvent)}; give a function`)
    }
    const stopping = new AbortController()
    const events = this.#subscribe(options, stopping.signal)
    const source = { events, stopping, onEvent: onEvent as EventHandler<unknown> }
    if ('stream' in options) {
      return new RunningSubscription({ ...source, after: options.after, afterOf: ({ version }) => version })
    }
    const afterOf = (event: AnyReadEvent | AnyStoredEvent): LogPlace => (event as AnyReadEvent).place
    return new RunningSubscription({ ...source, after: options.after, afterOf })
  }

  /** Ends all reading. */
  async close(): Promise<void> {
    this.#closing.abort()
  }

  /** What is asked for, page by page, and maybe more. Ends where the signal says so. */
  protected abstract allRecords(request: AllRequest, signal: AbortSignal): AsyncGenerator<readonly LogRecord[], void>

  /** The options were checked. Ends where the signal says so. */
  protected abstract follow(
    options: FollowOptions & Partial<RawOption>,
    signal: AbortSignal,
  ): AsyncGenerator<AnyStoredEvent, void>

  protected get isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  protected endedBy(...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
    const given = signals.filter((signal) => signal !== undefined)
    return given.length === 0 ? this.#closing.signal : AbortSignal.any([this.#closing.signal, ...given])
  }

  /** One by one: what is read of the records, but for those that are left out. */
  protected oneByOne<Event extends { readonly position: number }>(
    pages: AsyncGenerator<readonly LogRecord[]>,
    signal: AbortSignal,
    read: (record: LogRecord) => Event | undefined,
  ): EventReading<Event> {
    const observed = (record: LogRecord): Event | undefined => {
      const event = read(record)
      if (event !== undefined) this.#host.observe(event.position)
      return event
    }
    return new OneByOne({ pages, read: observed, signal })
  }

  /** @throws PenholdError `UnknownEvent` */
  protected readEvent(record: LogRecord): ReadEvent {
    const event: Unplaced = this.decode(record)
    event.place = formatPlace(record)
    return event as ReadEvent
  }

  /** @throws PenholdError `UnknownEvent` */
  protected decode(record: LogRecord): StoredEvent {
    return toStoredEvent(record, this.aggregates.get(record.category))
  }

  #subscribe(options: AnyOptions, stopping?: AbortSignal): AsyncGenerator<AnyReadEvent | AnyStoredEvent, void> {
    if (typeof options !== 'object' || options === null || !('stream' in options)) {
      return this.#everything(options, true, stopping)
    }
    checkFollowOptions(options)
    return this.follow(options, this.endedBy(options.signal, stopping))
  }

  #everything(
    options: ReadAllOptions & Partial<RawOption>,
    isLive: boolean,
    stopping?: AbortSignal,
  ): EventReading<AnyReadEvent> {
    checkReadOptions(options, { aggregates: this.aggregates, isLive })
    const range = rangeOf(options)
    const wish = wishOf(options, options.raw === true ? 'raw' : this.aggregates)
    const { isWanted } = wantedOf(wish)
    const types = options.filter?.types === undefined ? undefined : new Set(options.filter.types)
    const read = (record: LogRecord): AnyReadEvent | undefined => {
      if (!isWanted(record)) return undefined
      if (options.raw === true) return new RawReadEvent(record)
      const event = this.readEvent(record)
      return types?.has(event.type) === false ? undefined : event
    }
    const ended = this.endedBy(options.signal, stopping)
    return this.oneByOne(this.allRecords({ ...range, ...wish, isLive }, ended), ended, read)
  }
}
