/**
 * The event store: streams by their names, without an actor's definition between. What is appended goes to the stream's
 * owner as a command does, and is decided there by comparing (actor/append.ts); what is read comes from there in pages
 * (actor/page.ts), one at a time, so that a reader that stops reading costs nothing.
 */
import type { Aggregate, EmittedEvent } from '../aggregate/aggregate.ts'
import { hashPlain, NotPlain, plainBytes } from '../aggregate/plain.ts'
import {
  APPEND,
  appendProblem,
  FIND,
  INFO,
  metadataProblem,
  READ,
  type ExpectedVersion,
  type NewEvent,
  type Persistence,
  type StreamInfo,
} from '../actor/append.ts'
import { badAddress, fromFailure, noSuchEvent, tooLarge } from '../actor/error.ts'
import { decodeFound } from '../actor/find.ts'
import type { Reply } from '../actor/message.ts'
import { decodePage, encodePageRequest, type Mark, type Page, type PageRequest } from '../actor/page.ts'
import { acceptedReply } from '../cluster/accepted-reply.ts'
import { badPayload, notSupported } from '../cluster/error.ts'
import { checkOptions, QUERY_OPTIONS } from '../cluster/options.ts'
import type { RefHost } from '../cluster/ref.ts'
import type { RequestOptions } from '../cluster/router.ts'
import { outgoing, type Unsent } from '../cluster/wire.ts'
import { isCount } from '../log/count.ts'
import { filterProblem, type EventFilter } from '../log/event-filter.ts'
import { isId, parseId } from '../log/identity.ts'
import { splitRecords } from '../log/recorded-event.ts'
import type { LogRecord } from '../log/record.ts'
import { streamProblem, streamType } from '../log/stream.ts'
import { PUBLISHED_KEY } from '../react/outbox.ts'
import { toRawEvent, toStoredEvent, typesOf, type RawEvent, type StoredEvent } from './stored-event.ts'

interface SendOptions {
  /** How long to wait for each reply. Default: `timeouts.askMs` of the config. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

interface WriteOptions extends SendOptions {
  /**
   * A UUID that stands for this append and no other: appended again with it, the first outcome is given. Default: a new
   * one.
   */
  readonly commandId?: string
}

export interface AppendOptions extends WriteOptions {
  /** The state that the stream must be in; in any other nothing is appended. Default `any`. */
  readonly expectedVersion?: ExpectedVersion
  /** Kept with every event; `correlationId` and `causationId` have a meaning, the rest is the caller's. */
  readonly metadata?: Readonly<Record<string, unknown>>
}

export interface CreateOptions extends WriteOptions {
  /** `simple` takes any events; `partitioned` those of many aggregates, and checks their versions. Default `simple`. */
  readonly persistence?: Persistence
  /** Kept with the stream; `info` gives it. */
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly events?: readonly NewEvent[]
}

export interface LoadOptions extends SendOptions {
  /** The lowest and the highest version that is read. Default: the first, and the newest there is when reading begins. */
  readonly from?: number
  readonly to?: number
  /**
   * The last that is read: the newest event whose position, or whose time, is no greater; or the one of this id. Default:
   * as `to` says.
   */
  readonly until?: StreamMoment
  /** So many events at most. */
  readonly limit?: number
  /** The newest first. */
  readonly backwards?: boolean
  /** What is not wanted is not sent. */
  readonly filter?: EventFilter
}

/** A moment in a stream's past, by what its events say. */
export type StreamMoment = { readonly position: number } | { readonly time: Date } | { readonly eventId: string }

/** What an append came to. Its events are durable. */
export interface Appended {
  /** The stream's version after it. */
  readonly version: number
  /** The position of the last event. */
  readonly position: number
  readonly events: readonly StoredEvent[]
}

/** The highest version that is read, and where it stands. */
interface End {
  readonly version: number | undefined
  readonly address?: Mark['address']
}

/** Some records of a stream. */
export interface RecordsPage {
  readonly records: readonly LogRecord[]
  /** Forwards: of all versions below this one it is known whether they are wanted. */
  readonly next: number
}

const WRITE_OPTIONS = [...QUERY_OPTIONS, 'commandId']
const APPEND_OPTIONS = [...WRITE_OPTIONS, 'expectedVersion', 'metadata']
const CREATE_OPTIONS = [...WRITE_OPTIONS, 'persistence', 'metadata', 'events']
const LOAD_OPTIONS = [...QUERY_OPTIONS, 'from', 'to', 'until', 'limit', 'backwards', 'filter', 'raw']

/** Streams of a node or of a client, by name: `category/id`. Where the category is an aggregate's type, it is that one's. */
export class EventStore {
  readonly #host: RefHost
  readonly #aggregates: ReadonlyMap<string, Aggregate>

  constructor(host: RefHost, aggregates: readonly Aggregate[]) {
    this.#host = host
    this.#aggregates = new Map(aggregates.map((aggregate) => [aggregate.type, aggregate]))
  }

  /**
   * Creates a stream, with events or without. When it resolves, that is durable.
   * @throws PenholdError `ConcurrencyError` where the stream is there; as `append` for the rest
   */
  async create(name: string, options: CreateOptions = {}): Promise<Appended> {
    const what = `the creation of ${name}`
    checkOptions(what, options, CREATE_OPTIONS)
    checkName(name)
    const { persistence = 'simple', metadata = {}, events = [] } = options
    return this.appendTo(name, what, { payload: { events, create: { persistence, metadata } }, options })
  }

  /**
   * Appends events to a stream, all or none, and creates it where it is missing: partitioned where its events say whose
   * they are, otherwise simple. When it resolves, they are durable. What goes to an aggregate goes through its mailbox
   * and its definition: types it has, data that fits their schemas.
   *
   * @throws PenholdError `ConcurrencyError` where the stream, or an aggregate in it, is at another version than expected,
   * `BadAddress`, `BadPayload`, `TooLarge`, `CommandIdReused` with nothing appended; others as `ask` has
   */
  async append(name: string, events: readonly NewEvent[], options: AppendOptions = {}): Promise<Appended> {
    return this.#appendChecked(name, events, { what: `the append to ${name}`, options })
  }

  /**
   * Appends events as `append` does, and marks them in the same step for outboxes of `from: 'published'`, which publish
   * these and no others: they are published if and only if they were appended.
   * @throws PenholdError as `append`
   */
  async publish<Event extends NewEvent = NewEvent>(
    name: string,
    events: readonly Event[],
    options: AppendOptions = {},
  ): Promise<Appended> {
    return this.#appendChecked(name, events, {
      what: `the publishing to ${name}`,
      options,
      mark: { [PUBLISHED_KEY]: true },
    })
  }

  /**
   * A stream's events, the oldest first. One page at a time is asked for, when the one before has been read: what others
   * append after the first page was read does not come. Of a stream that is not there nothing comes.
   *
   * @throws PenholdError `BadAddress`, `BadPayload`; while reading also `UnknownEvent` for an event of an aggregate's that
   * this code cannot read, `LogCorrupt`, `Timeout`, `ShardUnavailable` …
   */
  load(name: string, options: LoadOptions & { readonly raw: true }): AsyncGenerator<RawEvent, void, undefined>
  load<E extends EmittedEvent = EmittedEvent>(
    name: string,
    options?: LoadOptions & { readonly raw?: false },
  ): AsyncGenerator<StoredEvent<E>, void, undefined>
  load(
    name: string,
    options: LoadOptions & { readonly raw?: boolean } = {},
  ): AsyncGenerator<RawEvent | StoredEvent, void, undefined> {
    const what = `the reading of ${name}`
    checkName(name)
    checkOptions(what, options, LOAD_OPTIONS)
    const problem =
      rangeProblem(options) ?? untilProblem(options.until) ?? (options.filter && filterProblem(options.filter))
    if (problem !== undefined) throw badPayload(what, problem)
    const { raw = false, filter } = options
    const aggregate = raw ? undefined : this.#aggregates.get(streamType(name))
    const read: (record: LogRecord) => RawEvent | StoredEvent = raw
      ? toRawEvent
      : (record) => toStoredEvent(record, aggregate)
    const types = filter?.types && typesOf(aggregate, filter.types)
    const ranged = filter === undefined ? options : { ...options, filter: { ...filter, ...(types && { types }) } }
    return this.#load(name, ranged, read)
  }

  /** What a stream is; undefined where there is none. */
  async info(name: string, options: SendOptions = {}): Promise<StreamInfo | undefined> {
    checkName(name)
    checkOptions(`the question what ${name} is`, options, QUERY_OPTIONS)
    const reply = await this.#query(name, { name: INFO, payload: undefined }, options)
    return reply as StreamInfo | undefined
  }

  #appendChecked(
    name: string,
    events: readonly NewEvent[],
    { what, options, mark }: { readonly what: string; readonly options: AppendOptions; readonly mark?: object },
  ): Promise<Appended> {
    checkOptions(what, options, APPEND_OPTIONS)
    checkName(name)
    const { metadata, expectedVersion: expected } = options
    const problem = metadata === undefined ? undefined : metadataProblem(metadata)
    if (problem !== undefined) throw badPayload(what, `its metadata ${problem}`)
    const marked = mark === undefined ? metadata : { ...metadata, ...mark }
    return this.appendTo(name, what, { payload: { events, expected }, metadata: marked, options })
  }

  /** With a cause: where the append may have been sent before, however long ago (`RequestOptions`). */
  protected async appendTo(
    name: string,
    what: string,
    {
      payload,
      metadata,
      options,
    }: {
      readonly payload: object
      readonly metadata?: object | undefined
      readonly options: WriteOptions & Pick<RequestOptions, 'cause'>
    },
  ): Promise<Appended> {
    const problem = appendProblem(payload)
    if (problem !== undefined) throw badPayload(what, problem)
    const { commandId } = options
    if (commandId !== undefined && !(typeof commandId === 'string' && isId(commandId))) {
      throw badPayload(what, `the command id '${commandId}' is not a UUID; derive one from your key with deriveId`)
    }
    const aggregate = this.#aggregates.get(streamType(name))
    // While a deployment is under way its owner may be a node that does not know the aggregate.
    const sent = aggregate === undefined ? payload : { ...payload, isAggregates: true }
    const payloadHash = this.#hash(what, sent, metadata)
    const message = {
      kind: 'command',
      request: 0,
      epoch: 0,
      stream: name,
      name: APPEND,
      payload: outgoing(sent),
      commandId: commandId === undefined ? this.#host.ids.nextSlice() : parseId(commandId),
      payloadHash,
      isFresh: commandId === undefined,
      isAgain: false,
      expectedVersion: -1,
      deadline: 0,
      after: 0,
      since: 0,
      sentIn: undefined,
      waitsForReactors: false,
      metadata: outgoing(metadata),
    } as const
    const reply = await this.#send(message, options)
    if (reply.kind !== 'accepted') throw notSupported(name)
    return acceptedReply(reply, (record) => toStoredEvent(record, aggregate))
  }

  /** Of what is appended, and not of what is expected: an append that is tried again may expect something else. */
  #hash(what: string, payload: { readonly events?: unknown; readonly create?: unknown }, metadata: unknown): number {
    const { commandBytesMax } = this.#host
    try {
      hashPlain(metadata, 0)
      const { events, create } = payload
      const hash = hashPlain({ events, create }, hashPlain(APPEND, 0))
      const bytes = plainBytes(payload) + plainBytes(metadata)
      if (bytes > commandBytesMax) throw tooLarge(`${what}, in bytes,`, bytes, commandBytesMax)
      return hash
    } catch (error) {
      if (error instanceof NotPlain) throw badPayload(what, `it cannot be sent (append${error.message})`)
      throw error
    }
  }

  async *#load<Event>(
    name: string,
    options: LoadOptions,
    read: (record: LogRecord) => Event,
  ): AsyncGenerator<Event, void, undefined> {
    for await (const { records } of this.recordsOf(name, options)) for (const record of records) yield read(record)
  }

  /** What `load` reads, page by page, undecoded. */
  protected async *recordsOf(name: string, options: LoadOptions): AsyncGenerator<RecordsPage, void, undefined> {
    const { backwards: isBackwards = false, filter } = options
    let { from = 1, limit = Number.MAX_SAFE_INTEGER } = options
    const marks: Mark[] = []
    let upTo = await this.#endOf(name, options)
    while (limit > 0 && upTo !== undefined) {
      const range = { from, to: upTo.version, at: upTo.address }
      const page = await this.#page(name, { ...range, isBackwards, limit, filter }, options)
      marks.push(...page.marks)
      const records = [...splitRecords(page.records)]
      limit -= records.length
      // Before any is handed out; the page's others are read soon.
      for (const { position } of records) this.#host.observe(position)
      if (!isBackwards) from = page.next
      yield { records, next: page.next }
      upTo = marks.pop()
    }
  }

  /** Where reading ends, or begins backwards; undefined where there is nothing to read. @throws PenholdError `NoSuchEvent` */
  async #endOf(name: string, options: LoadOptions): Promise<End | undefined> {
    const { from = 1, to, until, limit, backwards, filter } = options
    // A stream is read from its end: what is above so many events need not be walked over.
    const isAll = limit === undefined || backwards === true || filter !== undefined
    const bound = isAll ? undefined : Math.min(from + limit - 1, Number.MAX_SAFE_INTEGER)
    const end = lesser(to, bound)
    if (until === undefined) return { version: end }
    const payload = 'time' in until ? { time: until.time.getTime() } : until
    const found = decodeFound(await this.#query(name, { name: FIND, payload }, options))
    if (found === 'strange') throw notSupported(name)
    if (found === undefined && 'eventId' in until) throw noSuchEvent(name, until)
    if (found === undefined || found.version < from) return undefined
    return end === undefined || found.version <= end ? found : { version: end }
  }

  async #page(name: string, request: PageRequest, options: SendOptions): Promise<Page> {
    const value = await this.#query(name, { name: READ, payload: encodePageRequest(request) }, options)
    const page = decodePage(value)
    if (page === undefined) throw notSupported(name)
    return page
  }

  async #query(
    stream: string,
    { name, payload }: { readonly name: string; readonly payload: unknown },
    options: SendOptions,
  ): Promise<unknown> {
    const message = { kind: 'query', request: 0, epoch: 0, stream, name, payload: outgoing(payload) } as const
    const reply = await this.#send(message, options)
    if (reply.kind !== 'answered') throw notSupported(stream)
    return reply.value
  }

  #send(message: Unsent, { timeoutMs, signal, cause }: RequestOptions): Promise<Reply> {
    const { stream } = message
    return new Promise((resolve, reject) => {
      const settle = (reply: Reply): void => {
        if (reply.kind === 'failed') reject(fromFailure(reply.failure))
        else resolve(reply)
      }
      const address = { stream, shard: this.#host.shardOf(stream) }
      this.#host.send(address, message, { resolve: settle, reject }, { timeoutMs, signal, cause })
    })
  }
}

export function checkName(name: string): void {
  const problem = streamProblem(name)
  if (problem !== undefined) throw badAddress(problem)
}

function untilProblem(until: unknown): string | undefined {
  if (until === undefined) return undefined
  const [[key, value] = ['', undefined], ...others] = Object.entries(until ?? {}) as readonly [string, unknown][]
  const isMoment =
    (key === 'position' && isCount(value)) ||
    // What was before 1970 is in no log.
    (key === 'time' && value instanceof Date && isCount(value.getTime())) ||
    (key === 'eventId' && typeof value === 'string' && isId(value))
  return others.length === 0 && isMoment ? undefined : 'until is none of { position }, { time }, { eventId }'
}

function lesser(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b)
}

/** What is wrong with what is to be read; undefined where nothing is. */
function rangeProblem({
  from = 1,
  to,
  limit,
  backwards,
  raw,
}: LoadOptions & { readonly raw?: boolean }): string | undefined {
  for (const [key, value] of Object.entries({ from, to, limit })) {
    if (value !== undefined && !isCount(value)) return `${key} is ${String(value)}; give a whole number`
  }
  if (to !== undefined && to < from)
    return `it goes from ${from} to ${to}; with backwards, too, from is the lower version`
  for (const [key, value] of Object.entries({ backwards, raw })) {
    if (value !== undefined && typeof value !== 'boolean') return `${key} is ${String(value)}; give true or false`
  }
  return undefined
}
