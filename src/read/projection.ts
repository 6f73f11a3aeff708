/**
 * What a user defines of a projection: which events it takes, what each does to the read model, and where that is kept.
 * Pure: nothing here opens a store.
 */
import type { Aggregate, AnyEventOf, EmittedEvent } from '../aggregate/aggregate.ts'
import { definitionError, describe } from '../aggregate/error.ts'
import { checkChoice, checkHandlers, checkKeys, checkName, checkNumber, checkSource } from './definition-check.ts'
import type { FeedEvent } from './event-feed.ts'
import type { ReadModelStore } from './read-model.ts'

/** Whose events a projection takes: these aggregates', or everybody's. */
export type ProjectionSource = 'all' | readonly Aggregate[]

/** The events of a source, as a union of `{ type, data }`. */
export type SourceEvents<From> = From extends readonly (infer A)[] ? EventsOfEach<A> : EmittedEvent
type EventsOfEach<A> = A extends Aggregate ? AnyEventOf<A> : never

/**
 * For events of its name: how the read model changes. What it returns is waited for where it is a promise, as the store's
 * model may need, and is of no account else.
 */
export type ProjectionHandler<E extends EmittedEvent, Model> = (event: FeedEvent<E>, model: Model) => unknown

export type ProjectionHandlers<E extends EmittedEvent, Model> = {
  readonly [K in E['type']]?: ProjectionHandler<EventNamed<E, K>, Model>
}
/** Those of a union with this name, which is any where it may be any event. */
type EventNamed<E extends EmittedEvent, Name> = E extends EmittedEvent ? (Name extends E['type'] ? E : never) : never

export interface ProjectionSettings {
  /**
   * `all`: one row of all events, in the order of `$all`. `shard`: a row for each shard, which run beside each other, and
   * in which the order of one aggregate's events holds. Default `all`.
   */
  readonly order?: 'all' | 'shard'
  /** So many events are committed together, at most. Default 1000. */
  readonly batchMax?: number
  /**
   * What becomes of an event whose handler fails again and again. `halt`: its row stands still before it. `park`: it is
   * put aside, with all later events of its stream, and the others go on. Default `halt`.
   */
  readonly onFailure?: 'halt' | 'park'
  /** How often a handler that failed is tried again before that, after 100 ms, 200 ms … 10 s. Default 5. */
  readonly retries?: number
  /**
   * How long a handler may take that returns a promise. One that takes longer has failed at its event; its batch is undone,
   * and what it does later changes nothing. Default 10,000.
   */
  readonly handlerTimeoutMs?: number
}

export interface ProjectionDefinition<From extends ProjectionSource, Model> extends ProjectionSettings {
  /** Names the projection in its store: 1 to 64 letters, digits, `-` and `_`; never change it. */
  readonly name: string
  readonly from: From
  /**
   * A handler for each event that matters. It may be run again where its change was undone: it changes the model alone, and its
   * event is frozen.
   */
  readonly on: ProjectionHandlers<SourceEvents<From>, NoInfer<Model>>
  readonly store: ReadModelStore<Model>
}

/** A projection's definition with everything filled in, made by `defineProjection`. */
export interface Projection<Model = any> extends Required<ProjectionSettings> {
  readonly name: string
  readonly from: ProjectionSource
  readonly on: Readonly<Record<string, ProjectionHandler<any, Model>>>
  readonly store: ReadModelStore<Model>
}

const REQUIRED_KEYS = ['name', 'from', 'on', 'store']
const OPTIONAL_KEYS = ['order', 'batchMax', 'onFailure', 'retries', 'handlerTimeoutMs']
const BATCH_EVENTS_MAX = 100_000
const RETRIES_MAX = 1_000
const HANDLER_MS = 10_000
const HANDLER_MS_MAX = 86_400_000

/**
 * Defines a projection. The types of its events are inferred from `from`, that of its read model from `store`.
 * @throws PenholdError `BadDefinition` that says what is wrong
 */
export function defineProjection<const From extends ProjectionSource, Model>(
  definition: ProjectionDefinition<From, Model>,
): Projection<Model> {
  const name = checkName('projection', definition)
  const who = `projection '${name}'`
  checkKeys(who, definition, { required: REQUIRED_KEYS, optional: OPTIONAL_KEYS })
  checkSource(who, definition.from)
  checkHandlers(who, definition.from, definition.on)
  const { store, order = 'all', batchMax = 1_000, onFailure = 'halt', retries = 5 } = definition
  const { handlerTimeoutMs = HANDLER_MS } = definition
  if (typeof (store as Partial<ReadModelStore<Model>> | null)?.open !== 'function') {
    throw definitionError(
      `${who}: store is ${describe(store)}; give a store of read models, as sqliteStore({ … }) returns`,
    )
  }
  checkChoice(who, { order }, ['all', 'shard'])
  checkChoice(who, { onFailure }, ['halt', 'park'])
  checkNumber(who, { batchMax }, { min: 1, max: BATCH_EVENTS_MAX })
  checkNumber(who, { retries }, { min: 0, max: RETRIES_MAX })
  checkNumber(who, { handlerTimeoutMs }, { min: 1, max: HANDLER_MS_MAX })
  // Looked up by names that may be those of every object, such as `toString`.
  const on = Object.assign(Object.create(null) as object, definition.on) as Projection<Model>['on']
  const projection = { name, from: definition.from, on, store, order, batchMax, onFailure, retries, handlerTimeoutMs }
  projections.add(projection)
  return projection
}

const projections = new WeakSet<object>()

/** Whether it is what `defineProjection` has returned. */
export function isProjection(value: unknown): value is Projection {
  return typeof value === 'object' && value !== null && projections.has(value)
}

/** Finds the handler of an event; `undefined` where it is none of the projection's. */
export function handlersOf<Model>({
  from,
  on,
}: Projection<Model>): (event: FeedEvent) => ProjectionHandler<any, Model> | undefined {
  if (from === 'all') return ({ type }) => on[type]
  const types = new Set(from.map(({ type }) => type))
  // Aggregates may have events of the same name.
  return ({ type, stream }) => (types.has(stream.slice(0, stream.indexOf('/'))) ? on[type] : undefined)
}
