/** The timers of a node: a wheel for each shard that it serves. */
import { reasonOf } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import { streamName } from '../log/stream.ts'
import { backOffMs } from '../read/back-off.ts'
import type { Consumer } from './consumer.ts'
import { afterForNew, type Effects } from './effects.ts'
import type { Schedule } from './schedule.ts'
import { ScheduleRecord } from './schedule-record.ts'
import { Slots } from './slots.ts'
import { timerCommandsConsumer, timersConsumer } from './timer-consumers.ts'
import type { DueTimer } from './timer-records.ts'
import { TimerWheel } from './timer-wheel.ts'
import type { Timetable } from './timetable.ts'

export interface TimersOptions {
  readonly clock: Clock
  readonly effects: Effects
  /** Of the cluster. */
  readonly shards: number
  readonly schedules: readonly Schedule[]
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
  #isClosed = false

  constructor(options: TimersOptions) {
    this.#options = options
    this.consumers = [
      timersConsumer((...placed) => this.#place(...placed)),
      timerCommandsConsumer(options.schedules, options.onWarning),
    ]
  }

  /** Tells the log which schedules there are. */
  start(): void {
    if (this.#options.schedules.length > 0) void this.#define(0)
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

  /** Whether it sets none itself. */
  get isIdle(): boolean {
    return this.#options.schedules.length === 0
  }

  get condition(): TimersCondition {
    const wheels = [...this.#wheels]
    return {
      held: wheels.reduce((sum, [, { held }]) => sum + held, 0),
      troubles: new Map(wheels.flatMap(([shard, { trouble }]) => (trouble === undefined ? [] : [[shard, trouble]]))),
    }
  }

  close(): void {
    this.#isClosed = true
    this.run([])
  }

  async #define(failures: number): Promise<void> {
    const { schedules, effects, newId, onWarning, clock } = this.#options
    if (this.#isClosed) return
    try {
      for (const { name, cron, timezone, missed } of schedules) {
        const id = newId()
        const stream = streamName(ScheduleRecord.type, name)
        const payload: Timetable = { cron, timezone, missed }
        const cause = { correlationId: id, causationId: id, after: afterForNew(clock) }
        await effects.ask({ stream, name: 'define', payload, commandId: id, ...cause })
      }
    } catch (error) {
      if (this.#isClosed) return
      if (failures === 0) onWarning(`the schedules could not be begun, and are tried again: ${reasonOf(error)}`)
      clock.after(backOffMs(failures + 1), () => void this.#define(failures + 1))
    }
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
