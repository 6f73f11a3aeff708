/**
 * Running a user's handlers: decide and evolve, and the checks on what they return. Pure but for the context's clock
 * and chance; the actor that is passed in is not touched.
 */
import {
  type Aggregate,
  type CommandContext,
  type EmittedEvent,
  type Emit,
  type Rejection,
  type StoredEventShape,
} from '../aggregate/aggregate.ts'
import { isPenholdError, type PenholdError } from '../aggregate/error.ts'
import { frozen } from '../aggregate/frozen.ts'
import { commandInWords, evolveInWords, queryInWords } from '../aggregate/own-names.ts'
import { hashPlain, NotPlain } from '../aggregate/plain.ts'
import { validate } from '../aggregate/schema.ts'
import { synchronous } from '../aggregate/synchronous.ts'
import { NoPath, upcast } from '../aggregate/upcaster.ts'
import { formatId, type IdSource } from '../log/identity.ts'
import type { LogRecord } from '../log/record.ts'
import { isInternal } from '../log/stream.ts'
import { handlerFailed, tooManyEvents, unknownCommand, unknownTold } from './error.ts'
import type { CommandMessage, QueryMessage } from './message.ts'

type Decide = (state: unknown, payload: unknown, context: CommandContext<unknown>) => unknown
type Evolve = (state: unknown, data: unknown) => unknown
type Query = (state: unknown, argument: unknown) => unknown

const REJECTION_CODE_MAX = 200

export interface DecisionLimits {
  /** Events of one command. */
  readonly eventsPerCommandMax: number
}

export type Decided =
  | { readonly kind: 'events'; readonly events: readonly EmittedEvent[]; readonly state: unknown }
  | { readonly kind: 'rejected'; readonly rejection: Rejection }

/** One for each aggregate type and worker, pointed at each command in turn: making one a command would cost more. */
export class DecisionContext implements CommandContext<unknown> {
  readonly emit: Emit<unknown>
  readonly reject: CommandContext<unknown>['reject']
  readonly newId: () => string
  readonly random: () => number
  now = 0
  #message: CommandMessage | undefined
  /** What the handler has made since it was entered: all of it is to be returned. */
  #events = 0
  #lastEvent: EmittedEvent | undefined
  #rejection: Rejection | undefined

  constructor(aggregate: Aggregate, ids: IdSource) {
    this.emit = Object.fromEntries(
      Object.keys(aggregate.events).map((type) => [type, (data: unknown) => this.#emit(type, data)]),
    )
    this.reject = (code, details) => {
      const rejection = { kind: 'rejection', code, details: details! } as const
      this.#rejection = rejection
      return rejection
    }
    this.newId = () => ids.next()
    this.random = () => ids.fraction()
  }

  get id(): string {
    const stream = this.#message?.stream ?? '/'
    return stream.slice(stream.indexOf('/') + 1)
  }
  get commandId(): string {
    return this.#message === undefined ? '' : formatId(this.#message.commandId)
  }
  get metadata(): Readonly<Record<string, unknown>> {
    return this.#message?.metadata ?? {}
  }

  enter(message: CommandMessage, now: number): void {
    this.#message = message
    this.now = now
    this.#events = 0
    this.#lastEvent = undefined
    this.#rejection = undefined
  }

  /** What was made and is not among the events that were returned, in words; most often a `return` is missing. */
  forgotten(returned: readonly unknown[]): string | undefined {
    if (this.#rejection !== undefined) return `made the rejection '${this.#rejection.code}' and did not return it`
    if (this.#events <= returned.length) return undefined
    if (!returned.includes(this.#lastEvent)) return `made the event '${this.#lastEvent?.type}' and did not return it`
    return `made ${this.#events} events and returned ${returned.length} of them`
  }

  #emit(type: string, data: unknown): EmittedEvent {
    this.#events += 1
    this.#lastEvent = { type, data }
    return this.#lastEvent
  }
}

/**
 * Decides on a state. The state is not changed; the one after the events is returned with them.
 * @throws PenholdError `HandlerFailed`, `TooLarge` or `UnknownCommand`, all with outcome `none`
 */
export function decide(
  aggregate: Aggregate,
  state: unknown,
  command: {
    readonly message: CommandMessage
    readonly context: CommandContext<unknown> & Pick<DecisionContext, 'forgotten'>
    readonly limits: DecisionLimits
  },
): Decided {
  const { message, context, limits } = command
  const handlers = aggregate.commands as Readonly<Record<string, Decide>>
  if (!Object.hasOwn(handlers, message.name)) throw unknownCommand(aggregate, 'command', message.name)
  let returned: unknown
  try {
    returned = synchronous(handlers[message.name]!(state, message.payload, context))
  } catch (error) {
    throw failureOf(commandInWords(message), error)
  }
  if (isRejection(returned)) return { kind: 'rejected', rejection: checkedRejection(message, returned) }
  const events = returned === undefined ? [] : Array.isArray(returned) ? returned : [returned]
  const forgotten = context.forgotten(events)
  if (forgotten !== undefined) throw handlerFailed(commandInWords(message), new Error(`it ${forgotten}`))
  // What Penhold's own come to is bounded by themselves.
  if (events.length > limits.eventsPerCommandMax && !isInternal(message.stream)) {
    throw tooManyEvents(commandInWords(message), events.length, limits.eventsPerCommandMax)
  }
  let next = state
  const checked = (events as readonly unknown[]).map((event) => {
    const emitted = checkedEvent(aggregate, message, event)
    next = evolve(aggregate, next, emitted)
    return emitted
  })
  return { kind: 'events', events: checked, state: next }
}

/** The state after an event in today's shape. @throws PenholdError `HandlerFailed` */
export function evolve(aggregate: Aggregate, state: unknown, event: EmittedEvent): unknown {
  const evolves = aggregate.events as Readonly<Record<string, Evolve>>
  try {
    return frozen(synchronous(evolves[event.type]!(state, event.data)))
  } catch (error) {
    throw failureOf(`the evolve function ${evolveInWords(event)} of ${aggregate.type}`, error)
  }
}

/** The state before any event. @throws PenholdError `HandlerFailed` */
export function initialState(aggregate: Aggregate): unknown {
  try {
    return frozen(synchronous(aggregate.initialState()))
  } catch (error) {
    throw handlerFailed(`initialState of ${aggregate.type}`, error)
  }
}

/** The state after a recorded event. @throws PenholdError `HandlerFailed` */
export function evolveRecord(aggregate: Aggregate, state: unknown, record: LogRecord): unknown {
  return evolveStored(aggregate, state, { type: record.type, version: record.typeVersion }, record)
}

/** The same, where the caller has read the event's type already. */
export function evolveStored(
  aggregate: Aggregate,
  state: unknown,
  stored: StoredEventShape,
  record: LogRecord,
): unknown {
  // Outside of what follows: what cannot be read is no handler's fault.
  const { data } = record
  try {
    return evolve(aggregate, state, upcast(aggregate, stored, data))
  } catch (error) {
    throw failureOf(`reading event ${record.version} ('${stored.type}') of ${record.stream}`, error)
  }
}

/** The answer to a query, checked to be plain data. @throws PenholdError `HandlerFailed` or `UnknownCommand` */
export function answer(aggregate: Aggregate, state: unknown, message: QueryMessage): unknown {
  const queries = aggregate.queries as Readonly<Record<string, Query>>
  if (!Object.hasOwn(queries, message.name)) throw unknownCommand(aggregate, 'query', message.name)
  try {
    const value = synchronous(queries[message.name]!(state, message.payload))
    checkPlain('it returned what cannot be sent: value', value)
    return value
  } catch (error) {
    throw handlerFailed(queryInWords(message), error)
  }
}

/** Of users' code; but what it was told by newer code, and has no way to, is no fault of its. */
function failureOf(what: string, error: unknown): PenholdError {
  if (error instanceof NoPath) return unknownTold(error.message)
  return isPenholdError(error, 'UnknownCommand') ? error : handlerFailed(what, error)
}

function isRejection(returned: unknown): returned is Rejection {
  return typeof returned === 'object' && returned !== null && (returned as Rejection).kind === 'rejection'
}

function checkedRejection(message: CommandMessage, rejection: Rejection): Rejection {
  const code: unknown = rejection.code
  try {
    if (typeof code !== 'string' || code === '' || !code.isWellFormed() || code.length > REJECTION_CODE_MAX) {
      throw new Error(`a rejection's code is a text of 1 to ${REJECTION_CODE_MAX} characters`)
    }
    checkPlain('its details cannot be sent: details', rejection.details)
    return rejection
  } catch (error) {
    throw handlerFailed(`${commandInWords(message)}, in its rejection,`, error)
  }
}

function checkedEvent(aggregate: Aggregate, message: CommandMessage, event: unknown): EmittedEvent {
  const { type, data } = (event ?? {}) as Partial<EmittedEvent>
  if (type === undefined || !Object.hasOwn(aggregate.events as object, type)) {
    throw handlerFailed(
      commandInWords(message),
      new Error(`it returned ${describe(event)}; return events made by emit, or reject(…)`),
    )
  }
  const schema = aggregate.schemas[type]
  if (schema === undefined) return plainEvent(message, type, data)
  const validated = validate(schema, data)
  if (validated.kind === 'invalid')
    throw handlerFailed(commandInWords(message), new Error(`the event '${type}': ${validated.problem}`))
  return plainEvent(message, type, validated.value)
}

function plainEvent(message: CommandMessage, type: string, data: unknown): EmittedEvent {
  try {
    checkPlain(`the event '${type}' has data that cannot be stored: data`, data)
  } catch (error) {
    throw handlerFailed(commandInWords(message), error)
  }
  return { type, data: frozen(data) }
}

/** @throws Error that begins with `what` and goes on with the path to what is not plain */
export function checkPlain(what: string, value: unknown): void {
  try {
    hashPlain(value, 0)
  } catch (error) {
    throw error instanceof NotPlain ? new Error(`${what}${error.message}`) : error
  }
}

function describe(value: unknown): string {
  if (value instanceof Promise) return 'a promise (handlers are synchronous)'
  if (value === null) return 'null'
  return typeof value === 'object' ? 'an object that is no event of this aggregate' : `a ${typeof value}`
}
