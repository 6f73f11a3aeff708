/**
 * Refs: the addresses of aggregates, typed by their definition. A ref checks what its caller gives it, makes the
 * message, and turns the reply into a value or an error.
 */
import type {
  Aggregate,
  CommandName,
  EventsOf,
  PayloadOf,
  QueryArgumentOf,
  QueryName,
  QueryResultOf,
  RejectionsOf,
  StateOf,
} from '../aggregate/aggregate.ts'
import { PenholdError, Rejected } from '../aggregate/error.ts'
import { commandInWords, queryInWords } from '../aggregate/own-names.ts'
import { hashPlain, NotPlain, plainBytes } from '../aggregate/plain.ts'
import { validate } from '../aggregate/schema.ts'
import { metadataProblem } from '../actor/append.ts'
import { badAddress, fromFailure, tooLarge, unknownCommand } from '../actor/error.ts'
import type { Reply, StateAt, Unsettled } from '../actor/message.ts'
import { isId, parseId, type IdSource } from '../log/identity.ts'
import type { RecordedEvent } from '../log/recorded-event.ts'
import type { Slice } from '../log/slice.ts'
import { idProblem, streamName } from '../log/stream.ts'
import { acceptedReply, decodeEvent } from './accepted-reply.ts'
import { checkOptions, QUERY_OPTIONS } from './options.ts'
import { badPayload } from './error.ts'
import { ENTRY_BYTES_MAX } from './link.ts'
import type { Outcome, RequestOptions } from './router.ts'
import { outgoing, type Unsent } from './wire.ts'

export interface AskOptions {
  /**
   * A UUID that stands for this command and no other: asked again with it, the command takes effect at most once.
   * Derive it with `deriveId` where the caller may forget that it asked. Default: a new one. A rejection may be told again, or
   * decided anew: who wants another decision asks with another id. Who did not hear what became of it (`unknown`) and is
   * rejected at another node may see the first take effect yet; at the same node or client nothing overtakes anything.
   */
  readonly commandId?: string
  /** The command is refused with `ExpectedVersion` unless the aggregate is at this version. */
  readonly expectedVersion?: number
  /** Kept with every event of the command; `correlationId` and `causationId` have a meaning, the rest is the caller's. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** How long to wait for the reply. Default: `timeouts.askMs` of the config. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export type QueryOptions = Pick<AskOptions, 'timeoutMs' | 'signal'>

/** The reply to an accepted command. Its events are durable. */
export interface Accepted<Event extends { readonly type: string; readonly data: unknown }> {
  /** The aggregate's version after the command. */
  readonly version: number
  /** The position of the last event; 0 where there is none. */
  readonly position: number
  readonly events: readonly RecordedEvent<Event>[]
  /**
   * What synchronous reactors have not done because of the events by now: they go on with it later, as if they were
   * asynchronous. Left out where all is done that they were to do.
   */
  readonly unsettled?: readonly Unsettled[]
}

/** A moment in an aggregate's past. */
export type Moment = { readonly atVersion: number } | { readonly atEvent: string } | { readonly atTime: Date }

/** No argument fits it: what the compiler says of a query to an aggregate without any. */
export interface NoQueries<Type extends string> {
  readonly 'this aggregate has no queries': Type
}

type NameOfQuery<A extends Aggregate, K> = [QueryName<A>] extends [never] ? NoQueries<A['type']> : K

// Where there is no such name, the name is what the compiler should complain about, and not what follows it.
export type Arguments<P, O> = [P] extends [never]
  ? unknown[]
  : undefined extends P
    ? [payload?: P, options?: O]
    : [payload: P, options?: O]

/** The address of one aggregate. Cheap to make; valid for as long as its node. */
export interface Ref<A extends Aggregate> {
  /** `type/id`. */
  readonly stream: string
  /**
   * Sends a command and awaits its outcome. When it resolves, the events are durable, and synchronous reactors have done
   * what they were to do because of them, but for what `unsettled` says.
   * @throws Rejected where the aggregate refuses for a business reason
   * @throws PenholdError for everything else; `outcome` says whether the command may have taken effect
   */
  ask<K extends keyof A['commands'] & string>(
    name: K,
    ...args: Arguments<PayloadOf<A, K>, AskOptions>
  ): Promise<Accepted<EventsOf<A, K>>>
  /**
   * Sends a command without waiting. What fails after it was sent is told to the config's `onTellFailed`.
   * @throws PenholdError `BadPayload`, `TooLarge` or `UnknownCommand`, as nothing can be sent then
   */
  tell<K extends keyof A['commands'] & string>(name: K, ...args: Arguments<PayloadOf<A, K>, AskOptions>): void
  /** Asks a query of the aggregate's newest durable state; linearizable. */
  query<K extends keyof A['queries'] & string>(
    name: NameOfQuery<A, K>,
    ...args: Arguments<QueryArgumentOf<A, K>, QueryOptions>
  ): Promise<QueryResultOf<A, K>>
  /** The aggregate's durable state, now or at a moment of its past. @throws PenholdError `NoSuchEvent` */
  state(moment?: Moment, options?: QueryOptions): Promise<StateOf<A>>
}

/**
 * Whether an error is a rejection. Given the aggregate and the command that were asked, its code and details are typed as theirs;
 * that it is theirs, and not of another that was asked in the same `try`, it cannot see.
 */
export function isRejection(error: unknown): error is Rejected
export function isRejection<A extends Aggregate, K extends CommandName<A>>(
  error: unknown,
  aggregate: A,
  command: K,
): error is RejectionsOf<A, K> extends { readonly code: infer C extends string; readonly details: infer D }
  ? Rejected<C, D>
  : never
export function isRejection(error: unknown): boolean {
  return error instanceof Rejected
}

/** Where a ref's messages go. */
export interface Address {
  readonly stream: string
  readonly shard: number
}

/** What a ref needs of its node. */
export interface RefHost {
  readonly ids: IdSource
  readonly commandBytesMax: number
  shardOf(stream: string): number
  send(to: Address, message: Unsent, outcome: Outcome, options: RequestOptions): void
  /** Somebody here has read an event of this position: what is sent from here on may be its effect (I6). */
  observe(position: number): void
  onTellFailed(error: PenholdError, stream: string, name: string): void
}

/** @throws PenholdError `BadAddress` where the id cannot be one */
export function createRef<A extends Aggregate>(host: RefHost, aggregate: A, id: string): Ref<A> {
  const problem = idProblem(id)
  if (problem !== undefined) throw badAddress(problem)
  return new AggregateRef(host, aggregate, id) as unknown as Ref<A>
}

/** What is left of a message for payload and metadata beside the rest: names, of up to 64 KiB each, and numbers. */
const TOGETHER_BYTES_MAX = ENTRY_BYTES_MAX - 256 * 1024

class AggregateRef {
  readonly #address: Address
  readonly #host: RefHost
  readonly #aggregate: Aggregate

  constructor(host: RefHost, aggregate: Aggregate, id: string) {
    this.#host = host
    this.#aggregate = aggregate
    const stream = streamName(aggregate.type, id)
    this.#address = { stream, shard: host.shardOf(stream) }
  }

  get stream(): string {
    return this.#address.stream
  }

  ask(name: string, payload?: unknown, options: AskOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const message = this.#command(name, payload, options)
      message.waitsForReactors = true
      this.#host.send(
        this.#address,
        message,
        { resolve: (reply) => this.#settle(name, reply, resolve, reject), reject },
        options,
      )
    })
  }

  tell(name: string, payload?: unknown, options: AskOptions = {}): void {
    const onFailed = (error: PenholdError): void => this.#host.onTellFailed(error, this.stream, name)
    const message = this.#command(name, payload, options)
    const resolve = (reply: Reply): void => {
      const error = this.#errorOf(name, reply)
      if (error !== undefined) onFailed(error)
    }
    this.#host.send(this.#address, message, { resolve, reject: onFailed }, options)
  }

  query(name: string, argument?: unknown, options: QueryOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!Object.hasOwn(this.#aggregate.queries as object, name)) throw unknownCommand(this.#aggregate, 'query', name)
      const what = queryInWords({ name, stream: this.stream })
      checkOptions(what, options, QUERY_OPTIONS)
      this.#hash(what, argument)
      const message = {
        kind: 'query',
        request: 0,
        epoch: 0,
        stream: this.stream,
        name,
        payload: outgoing(argument),
      } as const
      this.#host.send(
        this.#address,
        message,
        { resolve: (reply) => this.#settle(name, reply, resolve, reject), reject },
        options,
      )
    })
  }

  state(moment?: Moment, options: QueryOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      checkOptions(`the state of ${this.stream}`, options, QUERY_OPTIONS)
      const at = checkedMoment(moment)
      const message = { kind: 'state', request: 0, epoch: 0, stream: this.stream, at } as const
      this.#host.send(
        this.#address,
        message,
        { resolve: (reply) => this.#settle('state', reply, resolve, reject), reject },
        options,
      )
    })
  }

  #command(name: string, given: unknown, options: AskOptions): Unsent & { readonly kind: 'command' } {
    const { schemas, commands } = this.#aggregate
    if (!Object.hasOwn(commands as object, name)) throw unknownCommand(this.#aggregate, 'command', name)
    const what = commandInWords({ name, stream: this.stream, payload: given })
    checkOptions(what, options, ASK_OPTIONS)
    const payload = checkedPayload(what, schemas[name], given)
    const { commandId, expectedVersion, metadata } = options
    if (commandId !== undefined && !isId(commandId)) {
      throw badPayload(what, `the command id '${commandId}' is not a UUID; derive one from your key with deriveId`)
    }
    if (metadata !== undefined) {
      const problem = metadataProblem(metadata)
      if (problem !== undefined) throw badPayload(what, `its metadata ${problem}`)
      this.#hash(`the metadata of ${what}`, metadata)
    }
    const seed = hashPlain(name, 0)
    const hash = this.#hash(what, payload, seed)
    const encoded = { payload: outgoing(payload), metadata: outgoing(metadata) }
    this.#checkTogether(what, encoded)
    return {
      kind: 'command',
      request: 0,
      epoch: 0,
      stream: this.stream,
      name,
      payload: encoded.payload,
      commandId: commandId === undefined ? this.#host.ids.nextSlice() : parseId(commandId),
      // Of what the caller gave: a schema may add what differs each time, and a retry is the same command for all that.
      payloadHash: payload === given ? hash : (hashIfPlain(given, seed) ?? hash),
      isFresh: commandId === undefined,
      isAgain: false,
      expectedVersion: checkedVersion(what, expectedVersion),
      deadline: 0,
      after: 0,
      since: 0,
      sentIn: undefined,
      waitsForReactors: false,
      metadata: encoded.metadata,
    }
  }

  /** Each keeps within its limit already; where that is set high, both may be too much for one message. */
  #checkTogether(what: string, { payload, metadata }: Record<'payload' | 'metadata', Slice | undefined>): void {
    if (payload === undefined || metadata === undefined) return
    const bytes = payload.end - payload.start + metadata.end - metadata.start
    if (bytes > TOGETHER_BYTES_MAX) throw tooLarge(`${what} with its metadata, in bytes,`, bytes, TOGETHER_BYTES_MAX)
  }

  #hash(what: string, value: unknown, seed = 0): number {
    try {
      const hash = hashPlain(value, seed)
      const bytes = plainBytes(value)
      if (bytes > this.#host.commandBytesMax) throw tooLarge(`${what}, in bytes,`, bytes, this.#host.commandBytesMax)
      return hash
    } catch (error) {
      if (error instanceof NotPlain) throw badPayload(what, `it cannot be sent (payload${error.message})`)
      throw error
    }
  }

  #settle(name: string, reply: Reply, resolve: (value: unknown) => void, reject: (error: unknown) => void): void {
    const error = this.#errorOf(name, reply)
    if (error !== undefined) reject(error)
    else if (reply.kind === 'accepted') resolve(acceptedReply(reply, (record) => decodeEvent(record, this.#aggregate)))
    else resolve(reply.kind === 'answered' ? reply.value : undefined)
  }

  #errorOf(name: string, reply: Reply): PenholdError | undefined {
    if (reply.kind === 'rejected') return new Rejected(reply.code, reply.details, { stream: this.stream, name })
    return reply.kind === 'failed' ? fromFailure(reply.failure) : undefined
  }
}

/** Undefined where a schema alone can make something plain of it. */
function hashIfPlain(value: unknown, seed: number): number | undefined {
  try {
    return hashPlain(value, seed)
  } catch (error) {
    if (error instanceof NotPlain) return undefined
    throw error
  }
}

/** The payload as its schema makes it. @throws PenholdError `BadPayload` where the schema refuses it */
export function checkedPayload(what: string, schema: Aggregate['schemas'][string], given: unknown): unknown {
  if (schema === undefined) return given
  const validated = validate(schema, given)
  if (validated.kind === 'invalid') throw badPayload(what, validated.problem)
  return validated.value
}

/** -1 stands for none on the way. */
function checkedVersion(what: string, version: number | undefined): number {
  if (version === undefined) return -1
  if (Number.isInteger(version) && version >= 0) return version
  throw badPayload(what, `expectedVersion is ${version}, which is no version`)
}

const ASK_OPTIONS: readonly string[] = [...QUERY_OPTIONS, 'commandId', 'expectedVersion', 'metadata']

const MOMENTS = 'give atVersion (from 0), atEvent (an event id) or atTime (a Date)'

function checkedMoment(moment: Moment | undefined): StateAt {
  if (moment === undefined) return {}
  if (typeof moment !== 'object' || moment === null) throw badPayload('the moment', MOMENTS)
  const given = Object.entries(moment).filter(([, value]) => value !== undefined)
  if (given.length > 1) {
    throw badPayload(
      'the moment',
      `it is given ${given.length} times (${given.map(([key]) => key).join(', ')}); give one`,
    )
  }
  if ('atVersion' in moment && Number.isInteger(moment.atVersion) && moment.atVersion >= 0) return moment
  if ('atEvent' in moment && isId(moment.atEvent)) return moment
  if ('atTime' in moment && moment.atTime instanceof Date && !Number.isNaN(moment.atTime.getTime())) {
    return { atTime: moment.atTime.getTime() }
  }
  throw badPayload('the moment', MOMENTS)
}
