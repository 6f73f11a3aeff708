/**
 * What a user defines of a reactor: which events it takes, and what each sets in motion. Pure: nothing here runs anything.
 */
import type { Aggregate, CommandName, EmittedEvent, PayloadOf } from '../aggregate/aggregate.ts'
import { definitionError, describe } from '../aggregate/error.ts'
import { isCount } from '../log/count.ts'
import { POSITION_MAX } from '../log/position.ts'
import { checkChoice, checkHandlers, checkKeys, checkName, checkNumber, checkSource } from '../read/definition-check.ts'
import type { FeedEvent } from '../read/event-feed.ts'
import type { ProjectionSource, SourceEvents } from '../read/projection.ts'
import type { StartAt } from './consumer.ts'
import type { When } from './timer.ts'

export interface SendOptions {
  /**
   * Names the command among those that are sent to its aggregate because of this event: one of the same key is the same command. Give
   * it where the handler sends one aggregate several, and not in the same order each time. Default: its number in that order.
   */
  readonly key?: string
  /** How long to wait for the reply. Default: `timeouts.askMs` of the config. */
  readonly timeoutMs?: number
}

/** No payload where the command takes none. */
type SendArguments<P> = undefined extends P ? [payload?: P, options?: SendOptions] : [payload: P, options?: SendOptions]

/** The reply to a command that was accepted. Its events are durable. */
export interface Sent {
  /** The aggregate's version after the command. */
  readonly version: number
  /** The position of the last event; 0 where there is none. */
  readonly position: number
}

/** What a handler gets beside the event. */
export interface ReactorContext extends ReactorTimerContext {
  /** A UUID, the same for this event and reactor whenever and wherever it is handled: for others who keep such keys. */
  readonly idempotencyKey: string
  /**
   * 1, 2, 3 …: the attempts at this event in a row, whatever those before came to. From 1 again where its shard comes to a
   * node, somebody retries it once it was parked, or resumes what was halted: 1 does not say that nothing was done before.
   */
  readonly attempt: number
  /** Aborted once the attempt has had its time, or the shard leaves this node: what is sent later has no effect. */
  readonly signal: AbortSignal
  /**
   * Sends a command and awaits its outcome. Its id derives from the event and the reactor, so that it takes effect once,
   * however often the event is handled: what is sent has to follow from the event. One that nobody waits for counts as told.
   * Where the event is handled again, what was rejected is decided anew.
   * @throws Rejected where the aggregate refuses for a business reason
   * @throws PenholdError for everything else, as `ref.ask`
   */
  readonly ask: <A extends Aggregate, K extends CommandName<A>>(
    aggregate: A,
    id: string,
    command: K,
    ...args: SendArguments<PayloadOf<A, K>>
  ) => Promise<Sent>
  /** The same, for who does not care whether it is rejected. The event is done with once it has its outcome. */
  readonly tell: <A extends Aggregate, K extends CommandName<A>>(
    aggregate: A,
    id: string,
    command: K,
    ...args: SendArguments<PayloadOf<A, K>>
  ) => void
}

export interface ReactorTimerContext {
  /**
   * Has a command sent at a time, or so long after the event: once in effect, late rather than never, also where this
   * reactor is not there any more, as long as the config has any reactor, process, outbox or schedule: else timers wait
   * until it has. `id` names the timer among those of this reactor: set again it is replaced. The event is
   * done with only once the timer is durable; handled again it sets the same one.
   * @throws PenholdError `BadTimer`
   */
  readonly schedule: <A extends Aggregate, K extends CommandName<A>>(
    id: string,
    when: When,
    aggregate: A,
    aggregateId: string,
    command: K,
    ...payload: undefined extends PayloadOf<A, K> ? [payload?: PayloadOf<A, K>] : [payload: PayloadOf<A, K>]
  ) => Promise<void>
  /** The timer, if there is one, is not to fire. What it has fired already is not undone. */
  readonly cancel: (id: string) => Promise<void>
}

/**
 * For events of its name: what they set in motion. What it returns is waited for where it is a promise. Where it throws, it is tried
 * again, unless that is a `NonRetryableError`.
 */
export type ReactorHandler<E extends EmittedEvent> = (event: FeedEvent<E>, context: ReactorContext) => unknown

export type ReactorHandlers<E extends EmittedEvent> = {
  readonly [K in E['type']]?: ReactorHandler<EventNamed<E, K>>
}
/** Those of a union with this name, which is any where it may be any event. */
type EventNamed<E extends EmittedEvent, Name> = E extends EmittedEvent ? (Name extends E['type'] ? E : never) : never

export interface ReactorSettings {
  /**
   * `synchronous`: the reply to a command waits until what its events set in motion was tried once, for as long as there is
   * time; what has failed, or was not tried, the reply says, and it is tried as in the other mode. Default `asynchronous`.
   */
  readonly mode?: 'asynchronous' | 'synchronous'
  /**
   * What becomes of an event whose handler fails again and again. `park`: it is put aside, with all later events of its
   * stream, and the others go on. `halt`: its shard stands still before it. Default `park`.
   */
  readonly onFailure?: 'park' | 'halt'
  /** How often a handler that failed is tried again before that, after 100 ms, 200 ms … 10 s. Default 5. */
  readonly retries?: number
  /** So many events of a shard are under way at once, each of another stream. Default 16. */
  readonly concurrency?: number
  /** How long a handler may take that returns a promise. One that takes longer has failed. Default 30,000. */
  readonly handlerTimeoutMs?: number
}

export interface ReactorDefinition<From extends ProjectionSource> extends ReactorSettings {
  /** Names the reactor in the log: 1 to 64 letters, digits, `-` and `_`; never change it. */
  readonly name: string
  readonly from: From
  /**
   * Which events are the first that it reacts to, once it is there: `now` for those that come, `beginning` for all, or a
   * position for those behind it. It is asked for once: from then on the log knows how far it is.
   */
  readonly startAt: StartAt
  /** A handler for each event that matters. */
  readonly on: ReactorHandlers<SourceEvents<From>>
}

/** A reactor's definition with everything filled in, made by `defineReactor`. */
export interface Reactor extends Required<ReactorSettings> {
  readonly name: string
  readonly from: ProjectionSource
  readonly startAt: StartAt
  readonly on: Readonly<Record<string, ReactorHandler<any>>>
}

const REQUIRED_KEYS = ['name', 'from', 'startAt', 'on']
const OPTIONAL_KEYS = ['mode', 'onFailure', 'retries', 'concurrency', 'handlerTimeoutMs']
const RETRIES_MAX = 1_000
const CONCURRENCY_MAX = 1_000
const HANDLER_MS = 30_000
const HANDLER_MS_MAX = 86_400_000

/**
 * Defines a reactor. The types of its events are inferred from `from`.
 * @throws PenholdError `BadDefinition` that says what is wrong
 */
export function defineReactor<const From extends ProjectionSource>(definition: ReactorDefinition<From>): Reactor {
  const name = checkName('reactor', definition)
  const who = `reactor '${name}'`
  checkKeys(who, definition, { required: REQUIRED_KEYS, optional: OPTIONAL_KEYS })
  checkSource(who, definition.from)
  checkHandlers(who, definition.from, definition.on)
  checkStart(who, definition.startAt)
  const { mode = 'asynchronous', onFailure = 'park', retries = 5 } = definition
  const { concurrency = 16, handlerTimeoutMs = HANDLER_MS } = definition
  checkChoice(who, { mode }, ['asynchronous', 'synchronous'])
  checkChoice(who, { onFailure }, ['park', 'halt'])
  checkNumber(who, { retries }, { min: 0, max: RETRIES_MAX })
  checkNumber(who, { concurrency }, { min: 1, max: CONCURRENCY_MAX })
  checkNumber(who, { handlerTimeoutMs }, { min: 1, max: HANDLER_MS_MAX })
  // Looked up by names that may be those of every object, such as `toString`.
  const on = Object.assign(Object.create(null) as object, definition.on) as Reactor['on']
  const { from, startAt } = definition
  const reactor: Reactor = { name, from, startAt, on, mode, onFailure, retries, concurrency, handlerTimeoutMs }
  reactors.add(reactor)
  return reactor
}

const reactors = new WeakSet<object>()

/** Whether it is what `defineReactor` has returned. */
export function isReactor(value: unknown): value is Reactor {
  return typeof value === 'object' && value !== null && reactors.has(value)
}

/** @throws PenholdError `BadDefinition` */
export function checkStart(who: string, startAt: unknown): void {
  if (startAt === 'now' || startAt === 'beginning' || (isCount(startAt) && startAt <= POSITION_MAX)) return
  throw definitionError(`${who}: startAt is ${describe(startAt)}; give 'now', 'beginning' or a position`)
}
