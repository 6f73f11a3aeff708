/** Runs the lanes of a consumer that are this process's to run. */
import { reasonOf } from '../aggregate/error.ts'
import { AttemptsAwaited, LEFT, type Attempted, type AwaitedEvent } from './attempts-awaited.ts'
import type { ConsumerCondition, ConsumerStatus } from './consumer-status.ts'
import { keyOf } from './consumer-record.ts'
import { ConsumerLane, type ConsumerLaneOptions } from './consumer-lane.ts'
import type { ShardEffects } from './effects.ts'
import { ParkedWarnings } from './parked-warnings.ts'
import { Waiting } from './waiting.ts'
import { worstState, type Trouble } from '../read/lane-status.ts'

export type RunningConsumerOptions = Omit<ConsumerLaneOptions, 'shard' | 'effects' | 'onParked'> & {
  readonly effects: ShardEffects
}

/** By shard, the epoch in which it is served here. */
export type ShardsHere = ReadonlyMap<number, number>

interface Running {
  readonly lane: ConsumerLane
  readonly epoch: number
}

/** Handlers have so long when their shard has left: whoever serves it now begins their events again. */
const LEAVING_MS = 250

export class RunningConsumer {
  readonly #options: RunningConsumerOptions
  readonly #lanes = new Map<number, Running>()
  /** Lanes that were let go of, and may have something under way. */
  readonly #ending = new Map<number, Promise<void>>()
  /** Those that were run last; undefined before any were. */
  #shards: ShardsHere | undefined
  /** By shard. */
  readonly #awaited = new Map<number, AttemptsAwaited>()
  readonly #waiting: Waiting
  readonly #parkedWarnings: ParkedWarnings
  #isClosed = false

  constructor(options: RunningConsumerOptions) {
    this.#options = options
    const who = `${options.consumer.kind} ${options.consumer.name}`
    this.#waiting = new Waiting(who, options)
    this.#parkedWarnings = new ParkedWarnings(who, options)
  }

  /**
   * Runs the lanes of these shards and no others, each in one epoch of its shard: what it knows of an earlier one may have
   * changed meanwhile. One that comes back begins once its former life here has ended. Called now and then, it tells of those
   * that wait.
   */
  run(shards: ShardsHere): void {
    if (this.#isClosed) return
    this.#shards = shards
    for (const [shard, { lane, epoch }] of this.#lanes) if (shards.get(shard) !== epoch) this.#end(shard, lane)
    for (const [shard, epoch] of shards) {
      if (this.#lanes.has(shard) || this.#ending.has(shard)) continue
      const onTried = (stream?: string): void => this.#awaited.get(shard)?.look(stream)
      const effects = this.#options.effects.from(shard, epoch)
      const onParked: ConsumerLaneOptions['onParked'] = (...parked) => this.#parkedWarnings.parked(...parked)
      const lane = new ConsumerLane({ ...this.#options, effects, shard, onTried, onParked })
      this.#lanes.set(shard, { lane, epoch })
    }
    const troubles = this.#troubles
    this.#waiting.look(messagesOf(troubles), eventsOf(troubles))
    this.#parkedWarnings.look()
  }

  /** What has become of the first attempt at an event that is wanted: as soon as that is known, or after `ms`. */
  async attempted(event: AwaitedEvent, ms: number): Promise<Attempted> {
    const { shard } = event
    const awaited = this.#awaited.get(shard) ?? new AttemptsAwaited(this.#options.clock)
    this.#awaited.set(shard, awaited)
    const most = Math.min(ms, this.#options.consumer.handlerTimeoutMs)
    return await awaited.attempted(event.stream, most, () => {
      const running = this.#lanes.get(shard)
      if (running !== undefined) return running.lane.attempted(event)
      const isComing = !this.#isClosed && this.#shards?.has(shard) !== false
      return isComing ? undefined : LEFT
    })
  }

  /** Whether a lane of the shard runs here. */
  has(shard: number): boolean {
    return this.#lanes.has(shard)
  }

  /** Resolves once its lanes here do what their records say, or that of one shard does, if it is here. */
  async look(shard?: number): Promise<void> {
    const lanes = shard === undefined ? this.#running : this.#running.filter((lane) => lane.shard === shard)
    await Promise.all(lanes.map((lane) => lane.look()))
  }

  /** Handlers that are under way have so long. */
  async close(ms: number): Promise<void> {
    this.#isClosed = true
    for (const [shard, { lane }] of this.#lanes) this.#end(shard, lane, ms)
    await Promise.all(this.#ending.values())
    this.#parkedWarnings.tellRest()
  }

  get key(): string {
    return keyOf(this.#options.consumer)
  }

  get condition(): ConsumerCondition {
    const lanes = this.#running
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
  get #troubles(): readonly ShardTrouble[] {
    const waiting = [...this.#lanes].filter(([, { lane }]) => lane.condition === 'waiting')
    return waiting.map(([shard, { lane }]) => [shard, lane.trouble!])
  }

  async status(): Promise<ConsumerStatus> {
    const lanes = await Promise.all(this.#running.map((lane) => lane.status()))
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

  get #running(): readonly ConsumerLane[] {
    return [...this.#lanes.values()].map(({ lane }) => lane)
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

type ShardTrouble = readonly [shard: number, trouble: Trouble]

function messagesOf(troubles: readonly ShardTrouble[]): ReadonlyMap<number, string> {
  return new Map(troubles.map(([shard, { message }]) => [shard, message]))
}

function eventsOf(troubles: readonly ShardTrouble[]): ReadonlyMap<number, string> {
  return new Map(
    troubles.flatMap(([shard, { event }]) =>
      event === undefined ? [] : [[shard, `${event.stream}/${event.version}`]],
    ),
  )
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
