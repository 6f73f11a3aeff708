/**
 * What consumes events at a node: each lane runs where its shard is served. Should two run a lane for a moment, the shard's
 * record lets one of them go on.
 */
import type { IdSource } from '../log/identity.ts'
import { every, type Cancel, type Clock } from '../log/clock.ts'
import type { Consumer } from '../react/consumer.ts'
import type { ConsumerCondition, ConsumerStatus } from '../react/consumer-status.ts'
import type { Effects } from '../react/effects.ts'
import { RunningConsumer } from '../react/running-consumer.ts'
import type { Timers } from '../react/timers.ts'
import type { Feeds } from '../read/event-feed.ts'

export interface ConsumersOptions {
  /** Of users. */
  readonly consumers: readonly Consumer[]
  /** Run where anything may set one. */
  readonly timers: Timers
  /** By shard, with the events of internal streams. */
  readonly feeds: Feeds
  readonly effects: Effects
  readonly ids: IdSource
  readonly clock: Clock
  readonly shardsHere: () => readonly number[]
  readonly onWarning: (message: string) => void
}

const LOOK_MS = 250

export class Consumers {
  readonly #options: ConsumersOptions
  readonly #running: readonly RunningConsumer[]
  #stopLooking: Cancel = () => undefined

  constructor(options: ConsumersOptions) {
    this.#options = options
    const { consumers, timers } = options
    const all = consumers.length === 0 ? [] : [...consumers, ...timers.consumers]
    this.#running = all.map((consumer) => new RunningConsumer({ ...options, consumer }))
  }

  start(): void {
    if (this.#running.length === 0) return
    this.#look()
    this.#stopLooking = every(this.#options.clock, LOOK_MS, () => this.#look())
  }

  async status(): Promise<readonly ConsumerStatus[]> {
    return await Promise.all(this.#running.map((running) => running.status()))
  }

  get conditions(): readonly ConsumerCondition[] {
    return this.#running.map(({ condition }) => condition)
  }

  /** Handlers that are under way have so long. */
  async close(ms: number): Promise<void> {
    this.#stopLooking()
    await Promise.all(this.#running.map((running) => running.close(ms)))
    this.#options.timers.close()
  }

  #look(): void {
    const shards = this.#options.shardsHere()
    this.#options.timers.run(shards)
    for (const running of this.#running) running.run(shards)
  }
}
