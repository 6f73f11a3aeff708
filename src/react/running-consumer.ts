/** Runs the lanes of a consumer that are this process's to run. */
import { reasonOf } from '../aggregate/error.ts'
import { AttemptsAwaited, LEFT, type Attempted, type AwaitedEvent } from './attempts-awaited.ts'
import type { ConsumerCondition, ConsumerStatus } from './consumer-status.ts'
import { keyOf } from './consumer-record.ts'
import { ConsumerLane, type ConsumerLaneOptions } from './consumer-lane.ts'
import { Waiting } from './waiting.ts'
import { worstState } from '../read/lane-status.ts'

export type RunningConsumerOptions = Omit<ConsumerLaneOptions, 'shard'>

/** Handlers have so long when their shard has left: whoever serves it now begins their events again. */
const LEAVING_MS = 250

export class RunningConsumer {
  readonly #options: RunningConsumerOptions
  readonly #lanes = new Map<number, ConsumerLane>()
  /** Lanes that were let go of, and may have something under way. */
  readonly #ending = new Map<number, Promise<void>>()
  /** Those that were run last; undefined before any were. */
  #shards: readonly number[] | undefined
  /** By shard. */
  readonly #awaited = new Map<number, AttemptsAwaited>()
  readonly #waiting: Waiting
  #isClosed = false

  constructor(options: RunningConsumerOptions) {
    this.#options = options
    this.#waiting = new Waiting(`${options.consumer.kind} ${options.consumer.name}`, options)
  }

  /**
   * Runs the lanes of these shards and no others. One that comes back begins once its former life here has ended. Called now and
   * then, it tells of those that wait.
   */
  run(shards: readonly number[]): void {
    if (this.#isClosed) return
    this.#shards = shards
    for (const [shard, lane] of this.#lanes) if (!shards.includes(shard)) this.#end(shard, lane)
    for (const shard of shards) {
      if (this.#lanes.has(shard) || this.#ending.has(shard)) continue
      const onTried = (stream?: string): void => this.#awaited.get(shard)?.look(stream)
      this.#lanes.set(shard, new ConsumerLane({ ...this.#options, shard, onTried }))
    }
    this.#waiting.look(this.#troubles)
  }

  /** What has become of the first attempt at an event that is wanted: as soon as that is known, or after `ms`. */
  async attempted(event: AwaitedEvent, ms: number): Promise<Attempted> {
    const { shard } = event
    const awaited = this.#awaited.get(shard) ?? new AttemptsAwaited(this.#options.clock)
    this.#awaited.set(shard, awaited)
    const most = Math.min(ms, this.#options.consumer.handlerTimeoutMs)
    return await awaited.attempted(event.stream, most, () => {
      const lane = this.#lanes.get(shard)
      if (lane !== undefined) return lane.attempted(event)
      const isComing = !this.#isClosed && this.#shards?.includes(shard) !== false
      return isComing ? undefined : LEFT
    })
  }

  /** Whether a lane of the shard runs here. */
  has(shard: number): boolean {
    return this.#lanes.has(shard)
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

  get key(): string {
    return keyOf(this.#options.consumer)
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
      waiting: this.#waiting.now,
    }
  }

  /** By shard, of lanes that wait and go on by themselves. */
  get #troubles(): ReadonlyMap<number, string> {
    const waiting = [...this.#lanes].filter(([, lane]) => lane.condition === 'waiting')
    return new Map(waiting.map(([shard, { trouble }]) => [shard, trouble!.message]))
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
      waiting: this.#waiting.now,
    }
  }

  #end(shard: number, lane: ConsumerLane, ms: number = LEAVING_MS): void {
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
