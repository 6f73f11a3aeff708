/** The timers of a node: a wheel for each shard that it serves. */
import type { Clock } from '../log/clock.ts'
import type { Consumer } from './consumer.ts'
import type { Effects } from './effects.ts'
import { Slots } from './slots.ts'
import { timerCommandsConsumer, timersConsumer } from './timer-consumers.ts'
import type { DueTimer } from './timer-records.ts'
import { TimerWheel } from './timer-wheel.ts'

export interface TimersOptions {
  readonly clock: Clock
  readonly effects: Effects
  /** Of the cluster. */
  readonly shards: number
  /** A new UUID. */
  readonly newId: () => string
  readonly onWarning: (message: string) => void
}

/** How the timers of a node are. */
export interface TimersCondition {
  /** So many are held in memory: those of the next minute or two. */
  readonly held: number
  /** By shard, why its timers stand still. */
  readonly troubles: ReadonlyMap<number, string>
}

const FIRES_AT_ONCE = 256
const HELD_MAX = 300_000
/** Of a shard, at least. */
const HELD_MIN = 64

export class Timers {
  /** To be run at each node, by shard. */
  readonly consumers: readonly Consumer[]
  readonly #options: TimersOptions
  readonly #slots = new Slots(FIRES_AT_ONCE)
  readonly #wheels = new Map<number, TimerWheel>()

  constructor(options: TimersOptions) {
    this.#options = options
    this.consumers = [timersConsumer((...placed) => this.#place(...placed)), timerCommandsConsumer()]
  }

  /** Runs the timers of these shards, and of no others. */
  run(shards: readonly number[]): void {
    for (const [shard, wheel] of this.#wheels) {
      if (shards.includes(shard)) continue
      wheel.close()
      this.#wheels.delete(shard)
    }
    for (const shard of shards) {
      if (!this.#wheels.has(shard)) this.#wheels.set(shard, this.#wheel(shard))
    }
  }

  get condition(): TimersCondition {
    const wheels = [...this.#wheels]
    return {
      held: wheels.reduce((sum, [, { held }]) => sum + held, 0),
      troubles: new Map(wheels.flatMap(([shard, { trouble }]) => (trouble === undefined ? [] : [[shard, trouble]]))),
    }
  }

  close(): void {
    this.run([])
  }

  #wheel(shard: number): TimerWheel {
    const heldMax = Math.max(HELD_MIN, Math.floor(HELD_MAX / this.#options.shards))
    return new TimerWheel({ ...this.#options, shard, slots: this.#slots, heldMax })
  }

  async #place(shard: number, timers: readonly DueTimer[], signal: AbortSignal): Promise<void> {
    const wheel = this.#wheels.get(shard)
    if (wheel === undefined) throw new Error(`the timers of shard ${shard} are not run here yet`)
    await wheel.place(timers, signal)
  }
}
