/** The timers of a node: a wheel for each shard that it serves. */
import { reasonOf } from '../aggregate/error.ts'
import type { Cancel, Clock } from '../log/clock.ts'
import { deriveId } from '../log/identity.ts'
import { streamName } from '../log/stream.ts'
import { backOffMs } from '../read/back-off.ts'
import type { Consumer } from './consumer.ts'
import { afterForNew, type ShardEffects } from './effects.ts'
import type { ShardsHere } from './running-consumer.ts'
import type { Schedule } from './schedule.ts'
import { ScheduleRecord, type ToldTimetable } from './schedule-record.ts'
import { Slots } from './slots.ts'
import { timerCommandsConsumer, timersConsumer } from './timer-consumers.ts'
import type { DueTimer } from './timer-records.ts'
import { TimerWheel } from './timer-wheel.ts'
import type { Timetable } from './timetable.ts'
import { Waiting, type WaitingShards } from './waiting.ts'

export interface TimersOptions {
  readonly clock: Clock
  /** What another machine's clock says, in milliseconds since 1970; undefined where there is none. */
  readonly otherTime: () => number | undefined
  readonly effects: ShardEffects
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
  /** By shard, why its timers stand still, or some of them. */
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
  readonly #wheels = new Map<number, { readonly wheel: TimerWheel; readonly epoch: number }>()
  /** Of which it was told that they own timers and are not in the config. */
  readonly #told = new Set<string>()
  /** That it has started it says by this, and with these times, as often as it takes. */
  #start: { readonly id: string; readonly after: number; readonly otherTime?: number } = { id: '', after: 0 }
  /** Names of schedules of which it has said so. */
  readonly #started = new Set<string>()
  /** By name, how schedules are run that are run otherwise than the config of this node has it: as it was told. */
  readonly #superseded = new Map<string, string>()
  readonly #waiting: Waiting
  #stopSeeing: Cancel = () => undefined
  #isClosed = false

  constructor(options: TimersOptions) {
    this.#options = options
    this.#waiting = new Waiting('what runs timers', options)
    this.consumers = [timersConsumer((...placed) => this.#place(...placed)), timerCommandsConsumer(options)]
  }

  /** Tells the log which schedules there are, and now and then that they still are. */
  start(): void {
    const { schedules, newId } = this.#options
    if (schedules.length === 0) return
    this.#start = { id: newId(), ...this.#times() }
    void this.#define(0)
    this.#seeLater()
  }

  /**
   * Runs the timers of these shards, and of no others, each wheel in one epoch of its shard. Called now and then, it tells of
   * those that stand still.
   */
  run(shards: ShardsHere): void {
    for (const [shard, { wheel, epoch }] of this.#wheels) {
      if (shards.get(shard) === epoch) continue
      wheel.close()
      this.#wheels.delete(shard)
    }
    for (const [shard, epoch] of shards) {
      if (!this.#wheels.has(shard)) this.#wheels.set(shard, { wheel: this.#wheel(shard, epoch), epoch })
    }
    this.#waiting.look(this.#troubles)
  }

  /** Whether it sets none itself. Where nothing else may set one either, none is run (docs/timers.md). */
  get isIdle(): boolean {
    return this.#options.schedules.length === 0
  }

  get condition(): TimersCondition {
    const wheels = [...this.#wheels].map(([shard, { wheel }]) => [shard, wheel] as const)
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
    return new Map(
      wheels.flatMap(([shard, { wheel }]) => (wheel.trouble === undefined ? [] : [[shard, wheel.trouble]])),
    )
  }

  close(): void {
    this.#isClosed = true
    this.#stopSeeing()
    for (const { wheel } of this.#wheels.values()) wheel.close()
    this.#wheels.clear()
  }

  async #define(failures: number): Promise<void> {
    const { onWarning, clock } = this.#options
    if (this.#isClosed) return
    try {
      await this.#tell()
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
      void this.#tell()
        .catch(() => undefined)
        .finally(() => this.#seeLater())
    })
  }

  /** All schedules, also where one cannot be told. */
  async #tell(): Promise<void> {
    const told = await Promise.allSettled(this.#options.schedules.map((schedule) => this.#tellOne(schedule)))
    const failed = told.find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
  }

  /** That it has started, first; from then on that it still has it. */
  async #tellOne({ name, cron, timezone, missed }: Schedule): Promise<void> {
    const { effects, newId, onWarning } = this.#options
    const isFirst = !this.#started.has(name)
    const id = isFirst ? deriveId('start', this.#start.id, name) : newId()
    const { after, otherTime } = isFirst ? this.#start : this.#times()
    const payload: ToldTimetable = { cron, timezone, missed, ...(otherTime !== undefined && { otherTime }) }
    const command = { stream: streamName(ScheduleRecord.type, name), name: isFirst ? 'start' : 'keep', payload }
    const outcome = await effects.ask({ ...command, commandId: id, correlationId: id, causationId: id, after })
    this.#started.add(name)
    if (outcome.kind === 'accepted') return void this.#superseded.delete(name)
    const other = outcome.details as Timetable
    const how = `cron '${other.cron}', timezone '${other.timezone}', missed '${other.missed}'`
    if (this.#superseded.get(name) === how) return
    this.#superseded.set(name, how)
    onWarning(
      `the schedule '${name}' runs as a node has it that has started later: ${how}, and not as the config of this node has it; give all nodes the same`,
    )
  }

  #times(): { readonly after: number; readonly otherTime?: number } {
    const { clock, otherTime } = this.#options
    const time = otherTime()
    return { after: afterForNew(clock), ...(time !== undefined && { otherTime: time }) }
  }

  #wheel(shard: number, epoch: number): TimerWheel {
    const heldMax = Math.max(HELD_MIN, Math.floor(HELD_MAX / this.#options.shards))
    const onOwnerless = (type: string): void => this.#tellOwnerless(type)
    const effects = this.#options.effects.from(shard, epoch)
    return new TimerWheel({ ...this.#options, effects, shard, slots: this.#slots, heldMax, onOwnerless })
  }

  #tellOwnerless(type: string): void {
    if (this.#told.has(type) || this.#told.size >= TOLD_MAX) return
    this.#told.add(type)
    this.#options.onWarning(
      `timers of '${type}' are due, and the config of this node does not have it: they wait until a node has it that serves their shards`,
    )
  }

  async #place(shard: number, timers: readonly DueTimer[], signal: AbortSignal): Promise<void> {
    const running = this.#wheels.get(shard)
    if (running === undefined) throw new Error(`the timers of shard ${shard} are not run here yet`)
    await running.wheel.place(timers, signal)
  }
}
