/** The timers of a node: a wheel for each shard that it serves. */
import { reasonOf } from '../aggregate/error.ts'
import type { Cancel, Clock } from '../log/clock.ts'
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
import { Waiting, type WaitingShards } from './waiting.ts'

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
  /** The same shards, and since when they do; undefined where all run. */
  readonly waiting: WaitingShards | undefined
  /**
   * By type: so many timers are due of aggregates or processes that the config of this node does not have. They wait in the
   * log, and fire once a node serves their shard whose config has it.
   */
  readonly ownerless: ReadonlyMap<string, number>
}

export const NO_TIMERS: TimersCondition = {
  held: 0,
  troubles: new Map(),
  waiting: undefined,
  ownerless: new Map(),
}

/** Whether its schedules were stopped by somebody who does not have them is looked for so often. */
const SEEN_MS = 60_000
const FIRES_AT_ONCE = 256
const HELD_MAX = 300_000
/** Types that are in no config any more; further ones are in the status alone. */
const TOLD_MAX = 100
/** Of a shard, at least. */
const HELD_MIN = 64

export class Timers {
  /** To be run at each node, by shard. */
  readonly consumers: readonly Consumer[]
  readonly #options: TimersOptions
  readonly #slots = new Slots(FIRES_AT_ONCE)
  readonly #wheels = new Map<number, TimerWheel>()
  /** Of which it was told that they own timers and are not in the config. */
  readonly #told = new Set<string>()
  readonly #waiting: Waiting
  #stopSeeing: Cancel = () => undefined
  #isClosed = false

  constructor(options: TimersOptions) {
    this.#options = options
    this.#waiting = new Waiting('what runs timers', options)
    this.consumers = [
      timersConsumer((...placed) => this.#place(...placed)),
      timerCommandsConsumer(options.schedules, options.onWarning),
    ]
  }

  /** Tells the log which schedules there are, and now and then that they still are. */
  start(): void {
    if (this.#options.schedules.length === 0) return
    void this.#define(0)
    this.#seeLater()
  }

  /** Runs the timers of these shards, and of no others. Called now and then, it tells of those that stand still. */
  run(shards: readonly number[]): void {
    for (const [shard, wheel] of this.#wheels) {
      if (shards.includes(shard)) continue
      wheel.close()
      this.#wheels.delete(shard)
    }
    for (const shard of shards) {
      if (!this.#wheels.has(shard)) this.#wheels.set(shard, this.#wheel(shard))
    }
    this.#waiting.look(this.#troubles)
  }

  /** Whether it sets none itself. Where nothing else may set one either, none is run (docs/timers.md). */
  get isIdle(): boolean {
    return this.#options.schedules.length === 0
  }

  get condition(): TimersCondition {
    const wheels = [...this.#wheels]
    const ownerless = new Map<string, number>()
    for (const [, wheel] of wheels) {
      for (const [type, count] of wheel.ownerless) ownerless.set(type, (ownerless.get(type) ?? 0) + count)
    }
    return {
      ownerless,
      held: wheels.reduce((sum, [, { held }]) => sum + held, 0),
      troubles: this.#troubles,
      waiting: this.#waiting.now,
    }
  }

  get #troubles(): ReadonlyMap<number, string> {
    const wheels = [...this.#wheels]
    return new Map(wheels.flatMap(([shard, { trouble }]) => (trouble === undefined ? [] : [[shard, trouble]])))
  }

  close(): void {
    this.#isClosed = true
    this.#stopSeeing()
    for (const wheel of this.#wheels.values()) wheel.close()
    this.#wheels.clear()
  }

  async #define(failures: number): Promise<void> {
    const { onWarning, clock } = this.#options
    if (this.#isClosed) return
    try {
      await this.#tell('define')
    } catch (error) {
      if (this.#isClosed) return
      if (failures === 0) onWarning(`the schedules could not be begun, and are tried again: ${reasonOf(error)}`)
      clock.after(backOffMs(failures + 1), () => void this.#define(failures + 1))
    }
  }

  #seeLater(): void {
    if (this.#isClosed) return
    this.#stopSeeing = this.#options.clock.after(SEEN_MS, () => {
      // What comes to nothing is said again the next time.
      void this.#tell('again')
        .catch(() => undefined)
        .finally(() => this.#seeLater())
    })
  }

  /** All schedules. */
  async #tell(command: 'define' | 'again'): Promise<void> {
    const { schedules, effects, newId, clock } = this.#options
    for (const { name, cron, timezone, missed } of schedules) {
      const id = newId()
      const stream = streamName(ScheduleRecord.type, name)
      const payload: Timetable = { cron, timezone, missed }
      const cause = { correlationId: id, causationId: id, after: afterForNew(clock) }
      await effects.ask({ stream, name: command, payload, commandId: id, ...cause })
    }
  }

  #wheel(shard: number): TimerWheel {
    const heldMax = Math.max(HELD_MIN, Math.floor(HELD_MAX / this.#options.shards))
    const onOwnerless = (type: string): void => this.#tellOwnerless(type)
    return new TimerWheel({ ...this.#options, shard, slots: this.#slots, heldMax, onOwnerless })
  }

  #tellOwnerless(type: string): void {
    if (this.#told.has(type) || this.#told.size >= TOLD_MAX) return
    this.#told.add(type)
    this.#options.onWarning(
      `timers of '${type}' are due, and the config of this node does not have it: they wait until a node has it that serves their shards`,
    )
  }

  async #place(shard: number, timers: readonly DueTimer[], signal: AbortSignal): Promise<void> {
    const wheel = this.#wheels.get(shard)
    if (wheel === undefined) throw new Error(`the timers of shard ${shard} are not run here yet`)
    await wheel.place(timers, signal)
  }
}
