/**
 * A projection as it runs in one process: the live generation of its read model, and one that is rebuilt beside it. It
 * owns which generation is which; what each of them does is its projector's.
 *
 * A generation above the live one is a rebuild that is not finished; the greatest below is the one to go back to. That it
 * is paused is kept beside them, so that it holds wherever the projection runs next.
 */
import { pause, every, type Cancel, type Clock } from '../log/clock.ts'
import { BEGINNING, type AllPlace } from './all.ts'
import { Bell } from './bell.ts'
import { projectionBehind, projectionState, reasonOf, waitAborted, waitsInVain } from './error.ts'
import type { Feeds } from './event-feed.ts'
import type { Retried } from './parking.ts'
import { previousOf, unfinishedOf } from './generations.ts'
import { lanesNotAt, positionOf } from './lanes-not-at.ts'
import { isLevel } from './level.ts'
import { comparePlaces } from './place.ts'
import type { Projection } from './projection.ts'
import {
  generationStatus,
  rebuildStatus,
  type ProjectionCondition,
  type ProjectionStatus,
} from './projection-status.ts'
import { Projector } from './projector.ts'
import type { Generations, ParkedEvent, ReadModel } from './read-model.ts'
import { refuseLost, refuseUnknown } from './refused-place.ts'
import { Turns } from './turns.ts'

export interface RunningProjectionOptions<Model> {
  readonly projection: Projection<Model>
  readonly feeds: Feeds
  readonly clock: Clock
  readonly onWarning: (message: string) => void
}

export interface ProjectionQueryOptions {
  /** Wait until the read model has all up to here: a position that a command's reply named, or an event's place. */
  readonly after?: number | AllPlace
  /** How long to wait, at most. Default 10 s. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** Which generation's parked events are meant. */
export interface Which {
  /** Default `live`. */
  readonly generation?: 'live' | 'rebuild'
}

const QUERY_MS = 10_000
/** Lanes that run elsewhere are looked at so often. */
const POLL_MS = 50
/** What others have swapped is noticed within this. */
const REFRESH_MS = 1_000
/** The live generation stands still so long for a swap, at most. */
const SWAP_MS = 1_000
/** A query that waits so long looks whether the log has what it waits for. */
const CHECKED_MS = 1_000
const RETRY_MS = 1_000
const LISTED = 100

export class RunningProjection<Model> {
  readonly #options: RunningProjectionOptions<Model>
  readonly #readModel: ReadModel<Model>
  /** What changes which generation is which, one after the other. */
  readonly #turns = new Turns()
  readonly #changes = new Bell()
  #generations: Generations
  #live: Projector<Model>
  #rebuild: Projector<Model> | undefined
  /** The rebuilt generation goes live with parked events. */
  #isParkedAccepted = false
  #lanes: readonly string[] = []
  #isClosed = false
  readonly #stopRefreshing: Cancel
  /** Why it is not known whether others have swapped generations. */
  #trouble: string | undefined

  private constructor(options: RunningProjectionOptions<Model>, readModel: ReadModel<Model>, generations: Generations) {
    this.#options = options
    this.#readModel = readModel
    this.#generations = generations
    this.#live = this.#projector(generations.live)
    if (generations.isPaused) void this.#live.hold('paused')
    this.#stopRefreshing = every(options.clock, REFRESH_MS, () => void this.#refresh())
  }

  /** Opens its read model. Nothing runs until `run` says which lanes. */
  static async open<Model>(options: RunningProjectionOptions<Model>): Promise<RunningProjection<Model>> {
    const { store, name } = options.projection
    const readModel = await store.open(name)
    return new RunningProjection(options, readModel, await readModel.generations())
  }

  /** Runs these lanes here, and no others. Resolves once nothing is under way in those that it has let go of. */
  async run(lanes: readonly string[]): Promise<void> {
    const isMore = lanes.some((lane) => !this.#lanes.includes(lane))
    this.#lanes = lanes
    await this.#turns.take(async () => {
      if (isMore) await this.#makeSure()
      await Promise.all([this.#live.run(lanes), this.#rebuild?.run(lanes)])
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#stopRefreshing()
    this.#changes.ring()
    await this.#turns.take(async () => await Promise.all([this.#live.close(), this.#rebuild?.close()]))
    await this.#readModel.close()
  }

  /**
   * Asks the live generation.
   * @throws PenholdError `ProjectionBehind` where it does not come to `after` in time; `ProjectionHalted`, at once, where it
   * will not come there before somebody has mended it; `PlaceAhead` where the log has not come there, or has lost it; `Aborted`
   */
  async query<Answer>(
    ask: (model: Model) => Answer | Promise<Answer>,
    { after, timeoutMs = QUERY_MS, signal }: ProjectionQueryOptions = {},
  ): Promise<Answer> {
    if (signal?.aborted === true) throw waitAborted(this.#name, signal.reason)
    if (after !== undefined) await refuseLost(this.#options.feeds, positionOf(after))
    const generation = after === undefined ? this.#live.generation : await this.#reached(after, { timeoutMs, signal })
    return await this.#readModel.query(generation, ask)
  }

  /**
   * Resolves once the batch under way here is done; where other lanes run they stand still a second later. Nothing is
   * committed until `resume`, but for what is done by hand, whoever runs it then.
   */
  async pause(): Promise<void> {
    await this.#setPaused(true)
  }

  /** Goes on, and tries again what has halted here. */
  async resume(): Promise<void> {
    try {
      await this.#setPaused(false)
    } finally {
      this.#live.retry()
      this.#rebuild?.retry()
    }
  }

  /**
   * Begins a new generation beside the live one, which goes on, and swaps them once the new one has caught up. The one
   * before is kept to go back to; older ones are dropped. Resolves to the new one's number as soon as it is begun.
   */
  async rebuild(): Promise<number> {
    return await this.#turns.take(async () => {
      const generations = await this.#look()
      const unfinished = unfinishedOf(generations)
      if (unfinished !== undefined) {
        throw projectionState(
          `generation ${unfinished} of ${this.#name} is being rebuilt, or its rebuild was interrupted; resume or abort it first`,
        )
      }
      const generation = await this.#readModel.begin()
      await this.#beginRebuild(generation)
      return generation
    })
  }

  /** Goes on with a rebuild that was interrupted, or that others have begun and run in their lanes. */
  async resumeRebuild(): Promise<number> {
    return await this.#turns.take(async () => {
      const unfinished = unfinishedOf(await this.#look())
      if (unfinished === undefined) throw projectionState(`no rebuild of ${this.#name} is unfinished`)
      if (this.#rebuild === undefined) await this.#beginRebuild(unfinished)
      return unfinished
    })
  }

  /** Lets a rebuilt generation that has parked events go live, once it has caught up. Said to who runs its lanes. */
  promote(): void {
    if (this.#rebuild === undefined) throw projectionState(`no rebuild of ${this.#name} runs here`)
    this.#isParkedAccepted = true
    this.#changes.ring()
  }

  /** Drops what was rebuilt, running or interrupted. The live generation is not touched. */
  async abortRebuild(): Promise<void> {
    await this.#turns.take(async () => {
      const { live, all } = await this.#look()
      await this.#endRebuild()
      for (const generation of all) if (generation > live) await this.#readModel.drop(generation)
      await this.#look()
    })
  }

  /**
   * Queries see the generation before the live one again, from now on; it goes on from where it stood. The one that was
   * live is kept, as an unfinished rebuild: to be resumed, which makes it live again, or aborted.
   */
  async rollBack(): Promise<number> {
    return await this.#turns.take(async () => {
      const generations = await this.#look()
      const previous = previousOf(generations)
      if (previous === undefined) throw projectionState(`${this.#name} has no generation to go back to`)
      if (unfinishedOf(generations) !== undefined) {
        throw projectionState(`a rebuild of ${this.#name} is unfinished; resume or abort it first`)
      }
      const live = this.#live
      await live.hold('swapping')
      try {
        await this.#readModel.promote(previous)
        await this.#follow(await this.#readModel.generations())
      } finally {
        live.release('swapping')
      }
      return previous
    })
  }

  /** Resolves once this generation, or the one under way, is not rebuilt here any more: to whether it is live. */
  async rebuilt(generation: number | undefined = this.#rebuild?.generation): Promise<boolean> {
    while (this.#rebuild !== undefined && this.#rebuild.generation === generation && !this.#isClosed) {
      await this.#changes.rung()
    }
    return this.#live.generation === generation
  }

  async parked(
    options: { readonly stream?: string; readonly limit?: number } & Which = {},
  ): Promise<readonly ParkedEvent[]> {
    const { generation = 'live', limit = LISTED, stream } = options
    return await this.#readModel.parked(
      this.#which({ generation }).generation,
      stream === undefined ? { limit } : { stream, limit },
    )
  }

  /** Retries the parked events of a stream, in order, until none is left or one fails again. */
  async retryParked(stream: string, which: Which = {}): Promise<Retried> {
    return await this.#which(which).retryParked(stream)
  }

  /** Gives up a parked event's effect for good, and says so in the log. Those behind it stay parked until they are retried. */
  async skipParked(
    event: { readonly stream: string; readonly version: number; readonly reason: string },
    which: Which = {},
  ): Promise<void> {
    if (event.reason.trim() === '')
      throw projectionState(`say why version ${event.version} of ${event.stream} is skipped`)
    const projector = this.#which(which)
    const { type } = await projector.skipParked(event)
    this.#warn(
      `generation ${projector.generation}: '${type}', version ${event.version} of ${event.stream}, is skipped by hand: ${event.reason}`,
    )
  }

  async status(): Promise<ProjectionStatus> {
    const { clock } = this.#options
    const ports = { readModel: this.#readModel, clock }
    const [beside, isParkedAccepted] = [this.#rebuild, this.#isParkedAccepted]
    const place = (lane: string): AllPlace => this.#live.place(lane) ?? BEGINNING
    const [live, rebuild] = await Promise.all([
      generationStatus(this.#live, ports),
      beside && rebuildStatus(beside, { ...ports, live: place, isParkedAccepted }),
    ])
    return {
      name: this.#name,
      ...live,
      trouble: live.trouble ?? this.#trouble,
      rebuild,
      unfinished: beside === undefined ? unfinishedOf(this.#generations) : undefined,
      previous: previousOf(this.#generations),
    }
  }

  /** The same, as far as it is known at once. */
  get condition(): ProjectionCondition {
    return { name: this.#name, state: this.#live.condition, rebuild: this.#rebuild?.condition }
  }

  get #name(): string {
    return this.#options.projection.name
  }

  #which({ generation = 'live' }: Which): Projector<Model> {
    const projector = generation === 'live' ? this.#live : this.#rebuild
    if (projector === undefined) throw projectionState(`no rebuild of ${this.#name} runs here`)
    return projector
  }

  #projector(generation: number): Projector<Model> {
    return new Projector({
      ...this.#options,
      readModel: this.#readModel,
      generation,
      onChange: () => this.#changes.ring(),
    })
  }

  /** Resolves to the live generation once it has come to a place. */
  async #reached(
    after: number | AllPlace,
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
  ): Promise<number> {
    const { clock } = this.#options
    const end = clock.monotonic() + timeoutMs
    let isChecked = false
    const wake = (): void => this.#changes.ring()
    signal?.addEventListener('abort', wake, { once: true })
    try {
      for (;;) {
        const live = this.#live
        const lanes = await lanesNotAt(after, live, { ...this.#options, readModel: this.#readModel })
        if (lanes.length === 0) return live.generation
        if (signal?.aborted === true) throw waitAborted(this.#name, signal.reason)
        const halted = live.halted(lanes)
        if (halted !== undefined) throw waitsInVain(this.#name, halted)
        const left = end - clock.monotonic()
        // What was acknowledged is in the log: what does not come soon may be none of it.
        if (!isChecked && timeoutMs - left >= Math.min(timeoutMs, CHECKED_MS)) {
          isChecked = true
          await refuseUnknown(this.#options.feeds, positionOf(after))
        }
        if (left <= 0) throw projectionBehind(this.#name, { lanes, after: positionOf(after), timeoutMs })
        const isHere = lanes.every((lane) => live.place(lane) !== undefined)
        const most = isChecked ? left : Math.min(left, CHECKED_MS)
        await this.#changes.rungWithin(clock, isHere ? most : Math.min(left, POLL_MS))
      }
    } finally {
      signal?.removeEventListener('abort', wake)
    }
  }

  async #beginRebuild(generation: number): Promise<void> {
    await this.#look()
    const rebuild = this.#projector(generation)
    this.#rebuild = rebuild
    this.#isParkedAccepted = false
    if (this.#generations.isPaused) await rebuild.hold('paused')
    await rebuild.run(this.#lanes)
    void this.#swapOnceLevel(rebuild)
  }

  async #endRebuild(): Promise<void> {
    const rebuild = this.#rebuild
    this.#rebuild = undefined
    await rebuild?.close()
    this.#changes.ring()
  }

  async #swapOnceLevel(rebuild: Projector<Model>): Promise<void> {
    const { clock } = this.#options
    let hasWarned = false
    while (this.#rebuild === rebuild && !this.#isClosed) {
      try {
        const outcome = await this.#turns.take(async () => await this.#maybeSwap(rebuild))
        if (outcome === 'parked' && !hasWarned) {
          hasWarned = true
          this.#warn(
            `generation ${rebuild.generation} has caught up with parked events and does not go live by itself; retry or skip them, or promote it as it is`,
          )
        }
        await this.#changes.rungWithin(clock, POLL_MS)
      } catch (error) {
        this.#warn(`generation ${rebuild.generation} could not be swapped in, and will be again: ${reasonOf(error)}`)
        await pause(clock, RETRY_MS)
      }
    }
  }

  /** Makes the rebuilt generation live where it has all that the live one has. */
  async #maybeSwap(rebuild: Projector<Model>): Promise<'swapped' | 'behind' | 'parked'> {
    const { clock } = this.#options
    if (this.#rebuild !== rebuild || this.#generations.isPaused || this.#isClosed) return 'behind'
    // Whoever runs lanes sees to it, and can hold them.
    if (this.#lanes.length === 0) return 'behind'
    if (!this.#seemsLevel(rebuild) || !(await this.#isLevel(rebuild))) return 'behind'
    const parked = await this.#readModel.parkedStreams(rebuild.generation)
    if (parked.size > 0 && !this.#isParkedAccepted) return 'parked'
    const live = this.#live
    const end = clock.monotonic() + SWAP_MS
    // Else the live one would be ahead again by a batch, and queries would see less than before.
    await live.hold('swapping')
    try {
      while (!(await this.#isLevel(rebuild))) {
        if (this.#isClosed || clock.monotonic() >= end) return 'behind'
        await this.#changes.rungWithin(clock, POLL_MS)
      }
      await rebuild.hold('swapping')
      await this.#readModel.promote(rebuild.generation)
      await this.#follow(await this.#readModel.generations())
    } finally {
      live.release('swapping')
      rebuild.release('swapping')
    }
    await this.#dropOlder()
    return 'swapped'
  }

  /** As far as is known here, without asking the store. */
  #seemsLevel(rebuild: Projector<Model>): boolean {
    return this.#lanes.every((lane) => {
      const [here, there] = [rebuild.place(lane), this.#live.place(lane)]
      return here === undefined || there === undefined || comparePlaces(here, there) >= 0
    })
  }

  async #isLevel(rebuild: Projector<Model>): Promise<boolean> {
    const { feeds } = this.#options
    const generations = { live: this.#live.generation, rebuild: rebuild.generation }
    return await isLevel({ readModel: this.#readModel, feeds }, generations)
  }

  async #dropOlder(): Promise<void> {
    const previous = previousOf(this.#generations)
    if (previous === undefined) return
    for (const generation of this.#generations.all) if (generation < previous) await this.#readModel.drop(generation)
    await this.#look()
  }

  /** Whoever ran these lanes may have been told to pause a moment ago. Where the store does not say, they are held until it does. */
  async #makeSure(): Promise<void> {
    await Promise.all([this.#live.hold('unsure'), this.#rebuild?.hold('unsure')])
    try {
      await this.#look()
    } catch (error) {
      this.#trouble = reasonOf(error)
    }
  }

  async #refresh(): Promise<void> {
    try {
      await this.#turns.take(async () => {
        if (!this.#isClosed) await this.#look()
      })
      this.#trouble = undefined
    } catch (error) {
      this.#trouble = reasonOf(error)
    }
  }

  async #look(): Promise<Generations> {
    const generations = await this.#readModel.generations()
    await this.#follow(generations)
    return generations
  }

  /** Takes in which generation is which: it may have been changed here, or elsewhere. */
  async #follow(generations: Generations): Promise<void> {
    const { isPaused } = this.#generations
    this.#generations = generations
    if (generations.isPaused !== isPaused) await this.#holdOrRelease(generations.isPaused)
    const rebuild = this.#rebuild
    if (generations.live !== this.#live.generation) {
      const before = this.#live
      if (rebuild?.generation === generations.live) {
        this.#live = rebuild
        this.#rebuild = undefined
      } else {
        this.#live = this.#projector(generations.live)
        if (generations.isPaused) await this.#live.hold('paused')
        await this.#live.run(this.#lanes)
      }
      await before.close()
      this.#warn(`generation ${generations.live} is live, in place of ${before.generation}`)
    }
    if (this.#rebuild !== undefined && !generations.all.includes(this.#rebuild.generation)) {
      this.#warn(`generation ${this.#rebuild.generation}, which was being rebuilt, was dropped elsewhere`)
      await this.#endRebuild()
    }
    for (const projector of [this.#live, this.#rebuild]) projector?.release('unsure')
    this.#changes.ring()
  }

  async #setPaused(isPaused: boolean): Promise<void> {
    await this.#turns.take(async () => {
      await this.#readModel.setPaused(isPaused)
      await this.#look()
    })
  }

  async #holdOrRelease(isPaused: boolean): Promise<void> {
    const both = [this.#live, this.#rebuild]
    if (isPaused) await Promise.all(both.map(async (projector) => await projector?.hold('paused')))
    else for (const projector of both) projector?.release('paused')
  }

  #warn(message: string): void {
    try {
      this.#options.onWarning(`projection ${this.#name}: ${message}`)
    } catch {
      // Whoever is told does not end what runs.
    }
  }
}
