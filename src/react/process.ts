/**
 * What a user defines of a process: which events it is told, which process each belongs to, what it remembers of them, and
 * what it then does. Pure: handlers are given what has happened, and say which commands to send and which timers to set;
 * all of that is recorded with what has happened, in the process' own stream (process-aggregate.ts), and done from there
 * (process-consumers.ts).
 */
import type {
  Aggregate,
  CommandName,
  EmittedEvent,
  PayloadOf,
  Rejection,
  RejectionsOf,
} from '../aggregate/aggregate.ts'
import type { RecordedEvent } from '../log/recorded-event.ts'
import type { SourceEvents } from '../read/projection.ts'
import type { StartAt } from './consumer.ts'
import { checkProcess } from './process-check.ts'

type Aggregates = readonly Aggregate[]

/** The names of events, timers and commands (`payment/take`) that handlers of a process may have. */
export type TriggerName<From extends Aggregates, To extends Aggregates, Timer extends string> =
  SourceEvents<From>['type'] | Timer | CommandKey<To[number]>

/** What a handler of this name is given. */
export type Trigger<
  From extends Aggregates,
  To extends Aggregates,
  Timer extends string,
  Name,
> = Name extends SourceEvents<From>['type']
  ? RecordedEvent<EventNamed<SourceEvents<From>, Name>>
  : Name extends Timer
    ? FiredTimer<Name>
    : OutcomeNamed<To[number], Name>

type EventNamed<E extends EmittedEvent, Name> = E extends EmittedEvent ? (Name extends E['type'] ? E : never) : never
type CommandKey<A> = A extends Aggregate<infer Type> ? `${Type}/${CommandName<A>}` : never
type OutcomeNamed<A, Key> = A extends Aggregate
  ? {
      [Name in CommandName<A>]: Key extends `${A['type']}/${Name}` ? CommandOutcome<RejectionsOf<A, Name>> : never
    }[CommandName<A>]
  : never

/** A timer whose time has come. */
export interface FiredTimer<Id extends string = string> {
  readonly id: Id
  /** When it was to fire, in milliseconds since 1970. It fires then or later. */
  readonly at: number
}

/** A command that a process has sent. */
export interface SentByProcess {
  /** The how-manieth of this process: 1, 2, 3 … */
  readonly n: number
  /** `type/id` of the aggregate. */
  readonly stream: string
  readonly name: string
}

/**
 * What became of a command. `rejected`: it had no effect, and never will; no copy of it counts any more. `failed`: the same, for a
 * reason that is no decision of its aggregate's. Details that are too large to be recorded are left out: `detailsLeftOut` says why then.
 */
export type CommandOutcome<R = Rejection> = SentByProcess &
  (
    | { readonly kind: 'accepted'; readonly version: number; readonly position: number }
    | (R extends Rejection<infer Code, infer Details>
        ? { readonly kind: 'rejected'; readonly code: Code } & RejectionDetails<Details>
        : never)
    | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  )

/** What a rejection says beside its code. */
type RejectionDetails<Details> =
  | { readonly details: Details; readonly detailsLeftOut?: undefined }
  | { readonly details?: undefined; readonly detailsLeftOut: string }

/** When a timer fires: so many milliseconds after the decision, or at a time (a date, or milliseconds since 1970). */
export type TimerTime = { readonly inMs: number } | { readonly at: Date | number }

/**
 * What a handler gets beside the state and what has happened. What it asks for is recorded together with that, or not at
 * all. Time, ids and chance come from here and from nowhere else.
 */
export interface ProcessContext<To extends Aggregates = Aggregates, Timer extends string = string> {
  /** What the process is known by: what `correlate` gave. */
  readonly key: string
  /** The time of the decision in milliseconds since 1970. */
  readonly now: number
  /** A new UUIDv7. */
  readonly newId: () => string
  /** A number from 0 up to, not including, 1. */
  readonly random: () => number
  /**
   * Sends a command. A process' commands are sent one after the other, each once the outcome of the one before is known and
   * recorded, and take effect once.
   * @throws Error where it could not be sent: the aggregate is none of `to`, it has no such command, or its schema refuses it
   */
  readonly send: <A extends To[number], Name extends CommandName<A>>(
    aggregate: A,
    id: string,
    name: Name,
    ...payload: undefined extends PayloadOf<A, Name> ? [payload?: PayloadOf<A, Name>] : [payload: PayloadOf<A, Name>]
  ) => undefined
  /** Sets a timer. One of this name that is pending is replaced. */
  readonly schedule: (timer: Timer, when: TimerTime) => undefined
  /** A timer that is pending fires no more. */
  readonly cancel: (timer: Timer) => undefined
  /** It is over: its timers are cancelled, and it is told nothing more. What it has sent goes on. */
  readonly complete: () => undefined
}

/** `undefined` where the event belongs to no process. */
export type Correlate<From extends Aggregates> = {
  readonly [Name in SourceEvents<From>['type']]?: (
    event: RecordedEvent<EventNamed<SourceEvents<From>, Name>>,
  ) => string | undefined
}

type Evolves<From extends Aggregates, To extends Aggregates, Timer extends string, S> = {
  readonly [Name in TriggerName<From, To, Timer>]?: (state: S, trigger: Trigger<From, To, Timer, Name>) => S
}

type Handlers<From extends Aggregates, To extends Aggregates, Timer extends string, S> = {
  readonly [Name in TriggerName<From, To, Timer>]?: (
    state: S,
    trigger: Trigger<From, To, Timer, Name>,
    context: ProcessContext<To, Timer>,
  ) => undefined
}

export interface ProcessSettings {
  /** Raise it when the state's shape or a function of `evolve` changes: older snapshots are then passed over. Default 1. */
  readonly stateVersion?: number
  /** A snapshot is written every so many facts of a process; `false` for never. Default 200. */
  readonly snapshotEvery?: number | false
  /**
   * How often what fails is tried again, after 100 ms, 200 ms … 10 s: an event that cannot be told, before it is parked; a
   * command that fails, before its handler hears of that, or, where there is none, it is parked. Default 10.
   */
  readonly retries?: number
}

export interface ProcessDefinition<
  Type extends string,
  From extends Aggregates,
  To extends Aggregates,
  Timer extends string,
  S,
> extends ProcessSettings {
  /** Names the process in streams (`type/key`) and in the log, as an aggregate's does. Never change it. */
  readonly type: Type
  /** Whose events it is told. */
  readonly from: From
  /** Whom it sends commands. */
  readonly to?: To
  /** The names of its timers. */
  readonly timers?: readonly Timer[]
  /** With which events it begins when it is there for the first time: those from now on, all, or those behind a position. */
  readonly startAt: StartAt
  /** For each event that it is told: the key of the process that it belongs to. Pure. */
  readonly correlate: Correlate<From>
  readonly initialState: () => S
  /**
   * The state after an event, a timer (by its name) or the outcome of a command (by `type/command`). Pure. It is run again
   * over all that was recorded; what is not here leaves the state as it is.
   */
  readonly evolve?: [S] extends [S] ? Evolves<From, To, NoInfer<Timer>, S> : never // as EvolveShape of aggregate.ts
  /** What is to be done, decided on the state after `evolve`. Pure, and run once: what it asks for is recorded. */
  readonly on: Handlers<From, To, NoInfer<Timer>, NoInfer<S>>
}

/** What is known of a process. */
export interface ProcessState<S = unknown> {
  readonly state: S
  readonly isCompleted: boolean
  /** Commands whose outcome is not known yet, in the order in which they are sent. */
  readonly sends: readonly SentByProcess[]
  readonly timers: readonly PendingTimer[]
  /** How many commands it has sent, and how often it has set a timer. */
  readonly sent: number
  readonly timersSet: number
}

export interface PendingTimer extends FiredTimer {
  /** Tells it from one that it has replaced. */
  readonly token: string
}

type Run = (...given: readonly any[]) => unknown
type Runs = Readonly<Record<string, Run | undefined>>

/** A process' definition with everything filled in, made by `defineProcess`. */
export interface Process<
  Type extends string = string,
  From extends Aggregates = Aggregates,
  To extends Aggregates = Aggregates,
  Timer extends string = string,
  S = any,
> extends Required<ProcessSettings> {
  readonly type: Type
  readonly from: From
  readonly to: To
  readonly timers: readonly Timer[]
  readonly startAt: StartAt
  readonly correlate: Runs
  readonly initialState: () => S
  readonly evolve: Runs
  readonly on: Runs
}

export type AnyProcess = Process<string, any, any, any>

const RETRIES = 10
const SNAPSHOT_EVERY = 200

/**
 * Defines a process. The types of what its handlers are given are inferred from `from`, `to` and `timers`, that of its state
 * from `initialState`.
 * @throws PenholdError `BadDefinition` that says what is wrong
 */
export function defineProcess<
  const Type extends string,
  const From extends Aggregates,
  S,
  const To extends Aggregates = readonly [],
  const Timer extends string = never,
>(definition: ProcessDefinition<Type, From, To, Timer, S>): Process<Type, From, To, Timer, S> {
  checkProcess(definition)
  const { type, from, to, timers = [], startAt, initialState } = definition
  const process: Process<Type, From, To, Timer, S> = {
    type,
    from,
    to: to ?? ([] as Aggregates as To),
    timers,
    startAt,
    initialState,
    correlate: withoutPrototype(definition.correlate),
    evolve: withoutPrototype(definition.evolve),
    on: withoutPrototype(definition.on),
    stateVersion: definition.stateVersion ?? 1,
    snapshotEvery: definition.snapshotEvery ?? SNAPSHOT_EVERY,
    retries: definition.retries ?? RETRIES,
  }
  processes.add(process)
  return process
}

const processes = new WeakSet<object>()

/** Whether it is what `defineProcess` has returned. */
export function isProcess(value: unknown): value is AnyProcess {
  return typeof value === 'object' && value !== null && processes.has(value)
}

/** Looked up by names that may be those of every object, such as `toString`. */
function withoutPrototype(runs: object | undefined): Runs {
  return Object.assign(Object.create(null) as object, runs) as Runs
}
