/** Runs the lanes of a consumer that are this process's to run. */
import { reasonOf } from '../aggregate/error.ts'
import type { ConsumerCondition, ConsumerStatus } from './consumer-status.ts'
import { ConsumerLane, type ConsumerLaneOptions } from './consumer-lane.ts'
import { worstState } from '../read/lane-status.ts'

export type RunningConsumerOptions = Omit<ConsumerLaneOptions, 'shard'>

export class RunningConsumer {
  readonly #options: RunningConsumerOptions
  readonly #lanes = new Map<number, ConsumerLane>()
  /** Lanes that were let go of, and may have something under way. */
  readonly #ending = new Map<number, Promise<void>>()
  #isClosed = false

  constructor(options: RunningConsumerOptions) {
    this.#options = options
  }

  /** Runs the lanes of these shards and no others. One that comes back begins once its former life here has ended. */
  run(shards: readonly number[]): void {
    if (this.#isClosed) return
    for (const [shard, lane] of this.#lanes) if (!shards.includes(shard)) this.#end(shard, lane)
    for (const shard of shards) {
      if (this.#lanes.has(shard) || this.#ending.has(shard)) continue
      this.#lanes.set(shard, new ConsumerLane({ ...this.#options, shard }))
    }
  }

  /** Resolves once its lanes here do what their records say. */
  async look(): Promise<void> {
    await Promise.all([...this.#lanes.values()].map((lane) => lane.look()))
  }

  /** Handlers that are under way have so long. */
  async close(ms: number): Promise<void> {
    this.#isClosed = true
    for (const [shard, lane] of this.#lanes) this.#end(shard, lane, ms)
    await Promise.all(this.#ending.values())
  }

  get condition(): ConsumerCondition {
    const lanes = [...this.#lanes.values()]
    const { kind, name } = this.#options.consumer
    return {
      kind,
      name,
      state: worstState(lanes.map(({ condition }) => condition)),
      halted: lanes.filter(({ condition }) => condition === 'halted').length,
      parkedStreams: sum(lanes.map(({ parkedStreams }) => parkedStreams)),
    }
  }

  async status(): Promise<ConsumerStatus> {
    const lanes = await Promise.all([...this.#lanes.values()].map((lane) => lane.status()))
    const { kind, name } = this.#options.consumer
    const state = worstState(lanes.map((lane) => lane.state))
    return {
      kind,
      name,
      state,
      lanes,
      events: sum(lanes.map(({ events }) => events)),
      parkedStreams: sum(lanes.map(({ parkedStreams }) => parkedStreams)),
      trouble: lanes.find((lane) => lane.state === state && lane.trouble !== undefined)?.trouble?.message,
    }
  }

  #end(shard: number, lane: ConsumerLane, ms: number = this.#options.consumer.handlerTimeoutMs): void {
    this.#lanes.delete(shard)
    const ended = lane
      .close(ms)
      .catch((error: unknown) => this.#options.onWarning(`shard ${shard} could not be let go of: ${reasonOf(error)}`))
      .finally(() => this.#ending.delete(shard))
    this.#ending.set(shard, ended)
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
