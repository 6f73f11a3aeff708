/**
 * What consumes events at a node: each lane runs where its shard is served. Should two run a lane for a moment, the shard's
 * record lets one of them go on.
 */
import { definitionError, reasonOf } from '../aggregate/error.ts'
import { suggestion } from '../aggregate/nearest.ts'
import { nodeClosed } from '../cluster/error.ts'
import { every, type Cancel, type Clock } from '../log/clock.ts'
import type { IdSource } from '../log/identity.ts'
import type { Unsettled } from '../actor/message.ts'
import type { Consumer } from '../react/consumer.ts'
import { keyOf } from '../react/consumer-record.ts'
import {
  ConsumerOperations,
  LISTED_MAX,
  type ParkedEvent,
  type RetriedStream,
  type WaitingEvent,
} from '../react/consumer-operations.ts'
import type { ConsumerCondition, ConsumerStatus } from '../react/consumer-status.ts'
import type { ShardEffects } from '../react/effects.ts'
import { RunningConsumer, type ShardsHere } from '../react/running-consumer.ts'
import type { Wanted } from '../react/synchronous-reactors.ts'
import { NO_TIMERS, type Timers, type TimersCondition } from '../react/timers.ts'
import { Room } from '../read/room.ts'
import type { Feeds } from '../read/event-feed.ts'

/** What is done by hand with a reactor of the config, at any node: it is the same at all. */
export interface ReactorRef {
  /** How its shards are that are served here. */
  status(): Promise<ConsumerStatus>
  /**
   * No handler begins any more, here once it resolves, and elsewhere as soon as they have read it, until `resume`, at whatever
   * node and whenever it is started. What is under way goes on.
   */
  pause(): Promise<void>
  /** Goes on, and tries again what has halted. */
  resume(): Promise<void>
  /**
   * Streams with parked events, and the first of each, the oldest first; up to 1,000 where no limit is given. The rest is told
   * `from` the position of the last one that has a reason, which is told again: one behind an event that was skipped stands where
   * that stood.
   */
  parked(options?: { readonly limit?: number; readonly from?: number }): Promise<readonly ParkedEvent[]>
  /** All that waits of a stream, in order. @throws PenholdError `ReactorState` where nothing does */
  waiting(stream: string, options?: { readonly limit?: number }): Promise<readonly WaitingEvent[]>
  /**
   * Has a stream's parked events tried again, in order, until none is left or one fails again; resolves then.
   * @throws PenholdError `ReactorState` where nothing of it is parked, or the reactor is paused; `Timeout` where that takes more
   * than a minute
   */
  retryParked(stream: string): Promise<RetriedStream>
  /**
   * Gives up what the first of a stream's parked events would have set in motion, for good. Those behind it stay parked
   * until they are retried. Where it is a command of a process, that is told what became of it: it has failed, with the code `Skipped`, or had
   * its effect before.
   * @throws PenholdError `ReactorState` where it is not the first
   */
  skipParked(event: { readonly stream: string; readonly version: number; readonly reason: string }): Promise<void>
}

export interface ConsumersOptions {
  /** Of users. */
  readonly consumers: readonly Consumer[]
  /** Keys (`keyOf`) of those that another process runs: here they can be asked, and operated. */
  readonly apart: ReadonlySet<string>
  /** Key of the one consumer that this process runs, and no timers; undefined where it runs all but those. */
  readonly only?: string | undefined
  /** Run where anything may set one. */
  readonly timers?: Timers
  /** By shard, with the events of internal streams. */
  readonly feeds: Feeds
  readonly effects: ShardEffects
  readonly ids: IdSource
  readonly clock: Clock
  readonly shards: number
  readonly shardOf: (stream: string) => number
  readonly shardsHere: () => ShardsHere
  readonly onWarning: (message: string) => void
}

const LOOK_MS = 250
/** A start at `now` is tried again after so long, where some shard has no owner. */
const BEGIN_MS = 1_000

export class Consumers {
  readonly #options: ConsumersOptions
  /** Of users, and Penhold's own. */
  readonly #known: readonly Consumer[]
  /** One for each known one, in their order; none where none is needed. */
  readonly #running: readonly RunningConsumer[]
  #stopLooking: Cancel = () => undefined
  #isStarted = false
  #isClosed = false

  constructor(options: ConsumersOptions) {
    this.#options = options
    const { consumers, timers } = options
    const isIdle = consumers.length === 0 && timers?.isIdle !== false
    this.#known = isIdle ? [] : [...consumers, ...(timers?.consumers ?? [])]
    const windows = new Room()
    this.#running = this.#known.map((consumer) => new RunningConsumer({ ...options, consumer, windows }))
  }

  /**
   * Resolves once those that start at `now` have their places: what is acknowledged later is theirs. Where some shard has no
   * owner it resolves too, and they are given as soon as they can be.
   */
  async start(): Promise<void> {
    if (this.#running.length === 0) return
    this.#isStarted = true
    this.#timers?.start()
    this.#look()
    this.#stopLooking = every(this.#options.clock, LOOK_MS, () => this.#look())
    // Also of those that another process will run: what is there from now on is theirs.
    const { consumers, only } = this.#options
    const starting = consumers.filter(
      (consumer) => consumer.startAt === 'now' && (only ?? keyOf(consumer)) === keyOf(consumer),
    )
    await Promise.all(starting.map((consumer) => this.#begin(consumer)))
  }

  /** Also what runs a process, or timers. @throws PenholdError `BadDefinition` where the config has none of that name */
  reactor(name: string): ReactorRef {
    return this.#named(({ kind }) => kind !== 'outbox', { kind: 'reactor', name, list: 'reactors' })
  }

  /** @throws PenholdError `BadDefinition` where it is none of the config's outboxes */
  outbox(name: string): ReactorRef {
    return this.#named(({ kind }) => kind === 'outbox', { kind: 'outbox', name, list: 'outboxes' })
  }

  #named(
    isOf: (consumer: Consumer) => boolean,
    { kind, name, list }: { readonly kind: string; readonly name: string; readonly list: string },
  ): ReactorRef {
    const known = this.#known.filter(isOf)
    const consumer = known.find((each) => each.name === name)
    if (consumer !== undefined) return this.#ref(consumer)
    const names = known.map((each) => each.name)
    const others = suggestion(name, names)
    throw definitionError(`the config has no ${kind} '${name}', ${others}; add it to its ${list}`)
  }

  /**
   * Whatever kind it is of: by its name, or as `kind:name` where several have that. `others`, in words, may be meant and are none.
   * @throws PenholdError `BadDefinition`
   */
  named(name: string, others: ReadonlyMap<string, string>): ReactorRef {
    const found = this.#known.filter((consumer) => consumer.name === name || keyOf(consumer) === name)
    const [first, second] = found
    if (first === undefined) {
      const other = others.get(name.slice(name.indexOf(':') + 1))
      if (other !== undefined) throw definitionError(`'${name}' ${other}`)
      const names = this.#known.map((consumer) => consumer.name)
      const known = suggestion(name, [...names, ...others.keys()])
      throw definitionError(`the config has nothing of the name '${name}' that reacts to events; ${known}`)
    }
    if (second !== undefined) throw definitionError(`give ${found.map(keyOf).join(' or ')}: both are called ${name}`)
    return this.#ref(first)
  }

  async status(): Promise<readonly ConsumerStatus[]> {
    return await Promise.all(this.#running.map((running) => running.status()))
  }

  get conditions(): readonly ConsumerCondition[] {
    return this.#running.map(({ condition }) => condition)
  }

  /** What is to be told of events that a reactor wants, as soon as it has tried them once, or after `ms`: nothing where all is done. */
  async unsettled({ reactor, event }: Wanted, ms: number): Promise<readonly Unsettled[]> {
    const running = this.#running.find(({ key }) => key === keyOf({ kind: 'reactor', name: reactor }))!
    // One that has just come here has its lanes at the next look, for which nobody need wait.
    if (this.#isStarted && !this.#isClosed && !running.has(event.shard)) this.#look()
    const attempted = await running.attempted(event, ms)
    if (attempted.kind === 'done') return []
    return [{ reactor, state: attempted.kind, reason: attempted.reason }]
  }

  /** Of the shards that are served here. */
  get wheels(): TimersCondition {
    return this.#timers?.condition ?? NO_TIMERS
  }

  /** Handlers that are under way have so long. */
  async close(ms: number): Promise<void> {
    this.#isClosed = true
    this.#stopLooking()
    await Promise.all(this.#running.map((running) => running.close(ms)))
    this.#timers?.close()
  }

  #look(): void {
    const { shardsHere, apart, only } = this.#options
    const shards = shardsHere()
    this.#timers?.run(shards)
    for (const running of this.#running) {
      if (only === undefined ? !apart.has(running.key) : running.key === only) running.run(shards)
    }
  }

  get #timers(): Timers | undefined {
    return this.#options.only === undefined ? this.#options.timers : undefined
  }

  /** Also where others serve: a shard that comes here later has had its start by then. */
  async #begin(consumer: Consumer): Promise<void> {
    try {
      await this.#operations(consumer).begin()
    } catch (error) {
      if (this.#isClosed) return
      const { onWarning, clock } = this.#options
      onWarning(
        `where ${consumer.name} starts could not be recorded for all shards, and is tried again: ${reasonOf(error)}`,
      )
      clock.after(BEGIN_MS, () => void this.#begin(consumer))
    }
  }

  #operations(consumer: Consumer): ConsumerOperations {
    return new ConsumerOperations({ ...this.#options, consumer })
  }

  #ref(consumer: Consumer): ReactorRef {
    const running = this.#running[this.#known.indexOf(consumer)]!
    const operations = this.#operations(consumer)
    const open = async <Result>(work: () => Promise<Result>): Promise<Result> => {
      if (this.#isClosed) throw nodeClosed('none')
      return await work()
    }
    return {
      status: () => open(() => running.status()),
      pause: () => open(() => operations.pause().then(() => running.look())),
      resume: () => open(() => operations.resume().then(() => running.look())),
      parked: ({ limit = LISTED_MAX, from } = {}) => open(() => operations.parked(limit, from)),
      waiting: (stream, { limit = LISTED_MAX } = {}) => open(() => operations.waiting(stream, limit)),
      retryParked: (stream) =>
        open(() => operations.retry(stream, () => void running.look(this.#options.shardOf(stream)))),
      skipParked: (event) => open(() => operations.skip(event)),
    }
  }
}
