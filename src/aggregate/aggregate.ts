/**
 * What a user defines: the state, the events that change it and the commands that decide on it, in one place.
 * Everything else (payload types, replies, rejections, queries) is inferred from this definition. Pure: nothing here
 * touches a file, a thread, the clock or chance.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { definitionError, describe } from './error.ts'
import { nearest } from './nearest.ts'

/** An event as a handler emits it, before it is recorded. */
export interface EmittedEvent<Type extends string = string, Data = unknown> {
  readonly type: Type
  readonly data: Data
}

/** A business refusal, made by `reject` in a command handler. */
export interface Rejection<Code extends string = string, Details = unknown> {
  readonly kind: 'rejection'
  readonly code: Code
  readonly details: Details
}

/** What a command handler may return. `undefined` and an empty list accept the command without an event. */
export type Decision = EmittedEvent | readonly EmittedEvent[] | Rejection | undefined

/** The data type of each event, taken from its evolve function: `undefined` where that takes none. */
export type EventData<E, K extends keyof E> = E[K] extends (state: never, data: infer D) => unknown
  ? Parameters<E[K]>['length'] extends 0 | 1
    ? undefined
    : D
  : never

/** One constructor for each event of the aggregate: `emit.MoneyDeposited({ amount })`. */
export type Emit<E> = {
  readonly [K in keyof E & string]: (
    ...data: undefined extends EventData<E, K> ? [data?: EventData<E, K>] : [data: EventData<E, K>]
  ) => EmittedEvent<K, EventData<E, K>>
}

/**
 * What a command handler gets beside state and payload. Time, ids and chance come from here and from nowhere else, so
 * that the handler stays a pure function and can be run again in a test.
 */
export interface CommandContext<E> {
  readonly emit: Emit<E>
  readonly reject: <const Code extends string, Details = undefined>(
    code: Code,
    details?: Details,
  ) => Rejection<Code, Details>
  /** The id of the aggregate that decides. */
  readonly id: string
  readonly commandId: string
  /** The caller's own metadata, with correlation and causation id where it gave them. */
  readonly metadata: Readonly<Record<string, unknown>>
  /** The time of the decision in milliseconds since 1970; also the time recorded with its events. */
  readonly now: number
  /** A new UUIDv7. */
  readonly newId: () => string
  /** A number from 0 up to, not including, 1. */
  readonly random: () => number
}

// Declared as methods, because method parameters are compared bivariantly: a handler that annotates its payload fits,
// and one that does not gets `unknown` and is stopped by the compiler at the first use. The condition is always true: it has the
// compiler put the state's type in before it looks at what a function returns, so that `phase: 'open'` stays a literal.
type EvolveShape<S, D> = [S] extends [S] ? { evolve(state: S, data: D): S }['evolve'] : never
type DecideShape<S, P, E> = { decide(state: S, payload: P, context: CommandContext<E>): Decision }['decide']
/** Takes nothing away from a handler that answers at once, and everything from one that answers with a promise. */
type Synchronous<F> = F extends (...parameters: any) => infer R
  ? 0 extends 1 & R
    ? unknown
    : [Extract<R, PromiseLike<unknown>>] extends [never]
      ? unknown
      : HandlersReturnNoPromise
  : unknown
/** What the compiler says of a handler that returns a promise. */
export interface HandlersReturnNoPromise {
  readonly 'a handler is synchronous: what needs waiting for belongs before the command': never
}
type SchemaOutput<X, K> = K extends keyof X
  ? X[K] extends StandardSchemaV1
    ? StandardSchemaV1.InferOutput<X[K]>
    : Unannotated
  : Unannotated
/** Like `unknown`, but taking a property out of it without an annotation is an error too. */
type Unannotated = {} | null | undefined

/** A chain of functions from the oldest stored shape of an event to today's: the last one returns today's data. */
export type UpcasterChain<D> = readonly [
  ...(readonly ((data: any, stored: StoredEventShape) => unknown)[]),
  (data: any, stored: StoredEventShape) => D,
]

type Upcasters<E> = { readonly [K in keyof E]?: UpcasterChain<EventData<E, K>> }

/** Under which name and version an event stands in the log. */
export interface StoredEventShape {
  readonly type: string
  readonly version: number
}

export interface AggregateDefinition<T extends string, S, E, C, Q, X, U> {
  /** Names the aggregate in streams (`type/id`) and in the log. Letters, digits, `-` and `_`; never change it. */
  readonly type: T
  readonly initialState: (() => S) & Synchronous<() => S>
  /** An evolve function for each event: the state after it. Pure: what it is given is frozen. */
  readonly events: { readonly [K in keyof E]: E[K] & EvolveShape<S, SchemaOutput<X, K>> & Synchronous<E[K]> }
  /** A decide function for each command. Pure and synchronous. */
  readonly commands: { readonly [K in keyof C]: C[K] & DecideShape<S, SchemaOutput<X, K>, E> }
  readonly queries?: {
    readonly [K in keyof Q]: Q[K] & { query(state: S, argument: unknown): unknown }['query'] & Synchronous<Q[K]>
  }
  /** A Standard Schema for any command or event, by its name: its type becomes the payload's, checked at run time. */
  readonly schemas?: X
  /**
   * How older stored data of an event becomes today's: one function a step. An event with n upcasters has version
   * n + 1, so no old version can be without a path. Append to the list; never remove from it.
   */
  readonly upcasters?: U
  /** Former names of events: `{ Deposited: 'MoneyDeposited' }`. The old name's data goes through the new one's upcasters. */
  readonly renamedEvents?: { readonly [former: string]: string }
  /** Raise it when the state's shape or an evolve function changes: older snapshots are then passed over. Default 1. */
  readonly stateVersion?: number
  /** A snapshot is written every so many events of a stream; `false` for never. Default 200. */
  readonly snapshotEvery?: number | false
}

/** An aggregate's definition with its types, made by `defineAggregate`. */
export interface Aggregate<T extends string = string, S = any, E = any, C = any, Q = any, X = any> {
  readonly type: T
  readonly initialState: () => S
  readonly events: E
  readonly commands: C
  readonly queries: Q
  readonly schemas: X
  readonly upcasters: Readonly<Record<string, readonly ((data: unknown, stored: StoredEventShape) => unknown)[]>>
  readonly renamedEvents: Readonly<Record<string, string>>
  readonly stateVersion: number
  readonly snapshotEvery: number | false
}

export type StateOf<A> = A extends Aggregate<string, infer S> ? S : never
export type CommandName<A extends Aggregate> = keyof A['commands'] & string
export type QueryName<A extends Aggregate> = keyof A['queries'] & string
export type EventName<A extends Aggregate> = keyof A['events'] & string

/** What a caller passes with a command: the schema's input where there is one, else the handler's own parameter. */
export type PayloadOf<A extends Aggregate, K extends CommandName<A>> = K extends keyof A['schemas']
  ? StandardSchemaV1.InferInput<A['schemas'][K]>
  : ParameterOrNone<A['commands'][K]>

export type QueryArgumentOf<A extends Aggregate, K extends QueryName<A>> = ParameterOrNone<A['queries'][K]>
export type QueryResultOf<A extends Aggregate, K extends QueryName<A>> = A['queries'][K] extends (
  ...parameters: any
) => infer R
  ? R
  : never

/** The second parameter of a handler; a handler that declares none, or uses none, takes `undefined`. */
type ParameterOrNone<F> = F extends (state: any, parameter: infer P, ...rest: any) => unknown
  ? [Unannotated] extends [P]
    ? undefined
    : P
  : never

type Returned<F> = F extends (...parameters: any) => infer R ? R : never
type Items<R> = R extends readonly (infer I)[] ? I : R

/** The events that a command's handler can emit, as a union. */
export type EventsOf<A extends Aggregate, K extends CommandName<A>> = Extract<
  Items<Returned<A['commands'][K]>>,
  EmittedEvent
>
/** The rejections that a command's handler can return, as a union of `{ code, details }`. */
export type RejectionsOf<A extends Aggregate, K extends CommandName<A>> = Extract<Returned<A['commands'][K]>, Rejection>
/** Every event of the aggregate, as a union of `{ type, data }`. */
export type AnyEventOf<A extends Aggregate> = {
  [K in EventName<A>]: EmittedEvent<K, EventData<A['events'], K>>
}[EventName<A>]

const REQUIRED_KEYS = ['type', 'initialState', 'events', 'commands']
const OPTIONAL_KEYS = ['queries', 'schemas', 'upcasters', 'renamedEvents', 'stateVersion', 'snapshotEvery']

const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/

/**
 * Defines an aggregate. The types of payloads, events, rejections, replies and queries are inferred from the handlers.
 *
 * @throws PenholdError `BadDefinition` where a name is unusable, or a schema, upcaster or renaming names nothing.
 */
export function defineAggregate<
  const T extends string,
  S,
  E,
  C,
  Q = {},
  X extends { readonly [name: string]: StandardSchemaV1 } = {},
  U extends Upcasters<E> = {},
>(definition: AggregateDefinition<T, S, E, C, Q, X, U>): Aggregate<T, S, E, C, Q, X> {
  checkKeys(definition)
  checkShape(definition)
  checkNames(definition)
  const snapshotEvery = definition.snapshotEvery ?? 200
  const stateVersion = definition.stateVersion ?? 1
  if (snapshotEvery !== false && !(Number.isInteger(snapshotEvery) && snapshotEvery > 0)) {
    throw definitionError(
      `${definition.type}: snapshotEvery is ${describe(snapshotEvery)}; give a whole number above 0, or false`,
    )
  }
  if (!(Number.isInteger(stateVersion) && stateVersion > 0 && stateVersion < 65_536)) {
    throw definitionError(
      `${definition.type}: stateVersion is ${describe(stateVersion)}; give a whole number from 1 to 65535`,
    )
  }
  const aggregate: Aggregate<T, S, E, C, Q, X> = {
    type: definition.type,
    initialState: definition.initialState,
    events: definition.events,
    commands: definition.commands,
    queries: (definition.queries ?? {}) as Q,
    // Looked up by names that may be those of every object, such as `toString`.
    schemas: withoutPrototype(definition.schemas) as X,
    upcasters: withoutPrototype(definition.upcasters) as Aggregate['upcasters'],
    renamedEvents: definition.renamedEvents ?? {},
    stateVersion,
    snapshotEvery,
  }
  return Object.assign(aggregate, { [DEFINED]: true })
}

function withoutPrototype(entries: object | undefined): object {
  return Object.assign(Object.create(null) as object, entries)
}

/** Marks what `defineAggregate` returned, and copies of it; the same in every copy of Penhold that a program may have loaded. */
const DEFINED = Symbol.for('penhold.aggregate')

/** Whether a value was made by `defineAggregate`. */
export function isAggregate(value: unknown): value is Aggregate {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, DEFINED)
}

/** A part that is misspelt would be missing, and nobody would know. */
function checkKeys(definition: object): void {
  const given: unknown = definition
  if (!isObject(given)) throw definitionError(`an aggregate's definition is an object, not ${describe(given)}`)
  const type = typeof given['type'] === 'string' ? given['type'] : describe(given['type'])
  const known = [...REQUIRED_KEYS, ...OPTIONAL_KEYS]
  const unknown = Object.keys(given).find((key) => !known.includes(key))
  if (unknown !== undefined) {
    throw definitionError(`${type}: an aggregate has no '${unknown}'; the nearest is '${nearest(unknown, known)}'`)
  }
  const missing = REQUIRED_KEYS.find((key) => given[key] === undefined)
  if (missing !== undefined) throw definitionError(`${type}: an aggregate needs '${missing}'`)
  const { initialState } = given
  if (typeof initialState !== 'function') {
    throw definitionError(`${type}: initialState is a ${typeof initialState}; give a function that returns it`)
  }
}

type AnyDefinition = AggregateDefinition<string, unknown, any, any, any, any, any>

/** For programs without a compiler: what is not there, or no function, would fail at the first command only. */
function checkShape(definition: AnyDefinition): void {
  const given: Readonly<Record<string, unknown>> = { ...definition }
  const { type } = given
  if (typeof type !== 'string') throw definitionError(`an aggregate's type is a text, not ${describe(type)}`)
  for (const part of ['events', 'commands', 'queries'] as const) {
    const handlers = part === 'queries' && given[part] === undefined ? {} : given[part]
    if (!isObject(handlers))
      throw definitionError(`${type}: ${part} is an object of functions, not ${describe(handlers)}`)
    const wrong = Object.keys(handlers).find((name) => typeof handlers[name] !== 'function')
    if (wrong !== undefined) throw definitionError(`${type}: '${wrong}' of ${part} is no function`)
  }
  for (const part of ['schemas', 'upcasters', 'renamedEvents'] as const) {
    const named = given[part] === undefined ? {} : given[part]
    if (!isObject(named)) throw definitionError(`${type}: ${part} is an object, not ${describe(named)}`)
    const wrong = Object.keys(named).find((name) => !IS_ENTRY[part](named[name]))
    if (wrong !== undefined) throw definitionError(`${type}: '${wrong}' of ${part} is ${describe(named[wrong])}`)
  }
}

const IS_ENTRY: Readonly<Record<'schemas' | 'upcasters' | 'renamedEvents', (value: unknown) => boolean>> = {
  schemas: (value) => typeof (value as Partial<StandardSchemaV1> | null)?.['~standard']?.validate === 'function',
  upcasters: (value) => Array.isArray(value) && value.every((step) => typeof step === 'function'),
  renamedEvents: (value) => typeof value === 'string',
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function checkNames(definition: AnyDefinition): void {
  const { type, events, commands, queries = {}, schemas = {}, upcasters = {}, renamedEvents = {} } = definition
  for (const name of [type, ...Object.keys({ ...events, ...commands, ...queries, ...renamedEvents })]) {
    if (!NAME.test(name)) {
      throw definitionError(
        `${type}: '${name}' cannot be a name; use 1 to 64 letters, digits, '-' and '_', a letter first`,
      )
    }
    // Looked up in an object of a user's, it would be found where there is none.
    if (name in Object.prototype)
      throw definitionError(`${type}: '${name}' means something to JavaScript; take another name`)
  }
  const known = (name: string, ...maps: object[]): boolean => maps.some((map) => Object.hasOwn(map, name))
  for (const name of Object.keys(schemas)) {
    if (!known(name, events, commands)) {
      throw definitionError(`${type}: the schema '${name}' belongs to no command and no event`)
    }
  }
  for (const name of Object.keys(upcasters)) {
    if (!known(name, events)) throw definitionError(`${type}: the upcasters of '${name}' belong to no event`)
  }
  for (const [former, name] of Object.entries(renamedEvents)) {
    if (known(former, events)) throw definitionError(`${type}: '${former}' is an event and a former name at once`)
    if (!known(name, events)) throw definitionError(`${type}: '${former}' was renamed to '${name}', which is no event`)
  }
}
