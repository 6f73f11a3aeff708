/**
 * A projection as it runs in one process: the live generation of its read model, and one that is rebuilt beside it. It
 * owns which generation is which; what each of them does is its projector's.
 *
 * A generation above the live one is a rebuild that is not finished; the greatest below is the one to go back to. That it
 * is paused is kept beside them, so that it holds wherever the projection runs next.
 */
import { reasonOf } from '../aggregate/error.ts'
import { pause, every, type Cancel, type Clock } from '../log/clock.ts'
import { BEGINNING, type AllPlace } from './all.ts'
import { Bell } from './bell.ts'
import { markRebuild, rebuildStateOf } from './generation-marks.ts'
import { comesTo } from './coming.ts'
import { projectionState, waitAborted } from './error.ts'
import type { Feeds } from './event-feed.ts'
import type { Retried } from './parking.ts'
import { comesLevel } from './level.ts'
import type { Projection } from './projection.ts'
import {
  generationStatus,
  rebuildStatus,
  type ProjectionCondition,
  type ProjectionStatus,
} from './projection-status.ts'
import { Projector } from './projector.ts'
import { previousOf, unfinishedOf, type Generations, type ParkedEvent, type ReadModel } from './read-model.ts'
import { isGenerationGone } from './read-model-error.ts'
import { refuseLost } from './refused-place.ts'
import { Turns } from './turns.ts'

export interface RunningProjectionOptions<Model> {
  readonly projection: Projection<Model>
  readonly feeds: Feeds
  readonly clock: Clock
  readonly onWarning: (message: string) => void
  /** Where relative paths of the store begin. */
  readonly dataDir?: string
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
const POLL_MS = 50
/** What others have swapped is noticed within this. */
const REFRESH_MS = 1_000
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
    const readModel = await store.open(name, options.dataDir)
    return new RunningProjection(options, readModel, await readModel.generations())
  }

  /** Runs these lanes here, and no others, in what is being rebuilt too. Resolves once nothing is under way in those that it has let go of. */
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
    const end = this.#options.clock.monotonic() + timeoutMs
    const ports = { ...this.#options, readModel: this.#readModel, changes: this.#changes, live: () => this.#live }
    if (after !== undefined && signal?.aborted !== true) await refuseLost(this.#options.feeds, after)
    for (;;) {
      if (signal?.aborted === true) throw waitAborted(this.#name, signal.reason)
      const { generation: before } = this.#live
      try {
        const generation = after === undefined ? before : await comesTo(after, { end, timeoutMs, signal }, ports)
        return await this.#readModel.query(generation, ask)
      } catch (error) {
        if (!isGenerationGone(error)) throw error
        // Others have swapped generations, and this one was dropped before it was noticed here.
        await this.#turns.take(async () => await this.#look())
        if (this.#live.generation === before) throw error
      }
    }
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
   * before is kept to go back to; older ones are dropped. Whoever runs lanes takes part, also who comes later. Resolves to
   * the new one's number as soon as it is begun.
   */
  async rebuild(): Promise<number> {
    return await this.#turns.take(async () => {
      this.#checkNothingUnfinished(await this.#look())
      const generation = await this.#readModel.begin()
      try {
        this.#checkNothingUnfinished(await this.#readModel.generations(), generation)
      } catch (error) {
        // Somebody else has begun one at the same time.
        await this.#drop(generation)
        throw error
      }
      await markRebuild(this.#readModel, generation, 'under way')
      await this.#look()
      return generation
    })
  }

  #checkNothingUnfinished(generations: Generations, own?: number): void {
    const unfinished = unfinishedOf(generations)
    if (unfinished === undefined || unfinished === own) return
    throw projectionState(
      `generation ${unfinished} of ${this.#name} is being rebuilt, or was set aside; resume or abort it first`,
    )
  }

  /** Goes on with a generation from which somebody went back, or whose rebuild was not quite begun. */
  async resumeRebuild(): Promise<number> {
    return await this.#turns.take(async () => {
      const unfinished = unfinishedOf(await this.#look())
      if (unfinished === undefined) throw projectionState(`no rebuild of ${this.#name} is unfinished`)
      if (this.#rebuild === undefined) {
        await markRebuild(this.#readModel, unfinished, 'under way')
        await this.#look()
      }
      return unfinished
    })
  }

  /** Lets a rebuilt generation that has parked events go live, once it has caught up. */
  async promote(): Promise<void> {
    await this.#turns.take(async () => {
      await this.#look()
      if (this.#rebuild === undefined) throw projectionState(`no rebuild of ${this.#name} is under way`)
      await markRebuild(this.#readModel, this.#rebuild.generation, 'accepted')
      await this.#look()
    })
  }

  /** Drops what was being rebuilt, or was set aside. The live generation is not touched. */
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
   * live is set aside, as an unfinished rebuild: to be resumed, which makes it live again, or aborted.
   */
  async rollBack(): Promise<number> {
    return await this.#turns.take(async () => {
      const generations = await this.#look()
      const previous = previousOf(generations)
      if (previous === undefined) throw projectionState(`${this.#name} has no generation to go back to`)
      this.#checkNothingUnfinished(generations)
      const live = this.#live
      await live.hold('swapping')
      try {
        // Before it is one that nobody has finished: else others would take it for their work.
        await markRebuild(this.#readModel, live.generation, 'aside')
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
    const { generation: number } = this.#which({ generation })
    return await this.#readModel.parked(number, stream === undefined ? { limit } : { stream, limit })
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
    const { feeds, clock } = this.#options
    const ports = { readModel: this.#readModel, feeds, clock }
    const [beside, isParkedAccepted] = [this.#rebuild, this.#isParkedAccepted]
    const place = (lane: string): AllPlace => this.#live.place(lane) ?? BEGINNING
    const [live, rebuild] = await Promise.all([
      generationStatus({ projector: this.#live, ...ports }),
      beside && rebuildStatus({ projector: beside, ...ports }, { live: place, isParkedAccepted }),
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

  /** Takes part in what is being rebuilt, wherever that was begun. */
  async #maybeJoin(generations: Generations): Promise<void> {
    const generation = this.#rebuild?.generation ?? unfinishedOf(generations)
    if (generation === undefined || this.#isClosed) return
    const state = rebuildStateOf(await this.#readModel.places(generation))
    this.#isParkedAccepted = state === 'accepted'
    if (this.#rebuild !== undefined || (state !== 'under way' && state !== 'accepted')) return
    const rebuild = this.#projector(generation)
    this.#rebuild = rebuild
    if (generations.isPaused) await rebuild.hold('paused')
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
        const isLevel = this.#decides && (await this.#comesLevel(rebuild))
        const outcome = isLevel ? await this.#turns.take(async () => await this.#maybeSwap(rebuild)) : 'behind'
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

  /** Of all who take part in a rebuild one swaps: who runs the first lane. Should two for a moment, they do the same. */
  get #decides(): boolean {
    return !this.#generations.isPaused && this.#lanes.includes(this.#options.feeds.lanes[0]!)
  }

  #comesLevel(rebuild: Projector<Model>): Promise<boolean> {
    return comesLevel(rebuild, {
      ...this.#options,
      readModel: this.#readModel,
      live: this.#live.generation,
      changes: this.#changes,
      isOver: () => this.#rebuild !== rebuild || this.#isClosed,
    })
  }

  /** Makes the rebuilt generation live where it has all that the live one has. */
  async #maybeSwap(rebuild: Projector<Model>): Promise<'swapped' | 'behind' | 'parked'> {
    if (this.#rebuild !== rebuild || !this.#decides || this.#isClosed) return 'behind'
    if (await this.#isHeldBack(rebuild)) return 'parked'
    const live = this.#live
    // Else the live one would be ahead again by a batch, and queries would see less than before. Lanes of it that run
    // elsewhere are not held: they may be ahead by what they commit at this moment.
    await live.hold('swapping')
    try {
      if (!(await this.#comesLevel(rebuild))) return 'behind'
      await rebuild.hold('swapping')
      // Others may have swapped, gone back or given it up meanwhile.
      await this.#look()
      if (this.#rebuild !== rebuild || !this.#decides) return 'behind'
      if (await this.#isHeldBack(rebuild)) return 'parked'
      await this.#readModel.promote(rebuild.generation)
      await this.#follow(await this.#readModel.generations())
    } finally {
      live.release('swapping')
      rebuild.release('swapping')
    }
    await this.#dropOlder()
    return 'swapped'
  }

  async #isHeldBack({ generation }: Projector<Model>): Promise<boolean> {
    return !this.#isParkedAccepted && (await this.#readModel.parkedStreams(generation)).size > 0
  }

  async #dropOlder(): Promise<void> {
    const previous = previousOf(this.#generations)
    if (previous === undefined) return
    for (const generation of this.#generations.all) {
      if (generation < previous) await this.#drop(generation)
    }
    await this.#look()
  }

  /** Unless somebody else has. */
  async #drop(generation: number): Promise<void> {
    try {
      await this.#readModel.drop(generation)
    } catch (error) {
      if (!isGenerationGone(error)) throw error
    }
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
    await this.#maybeJoin(generations)
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
    if (this.#rebuild !== undefined && this.#rebuild.generation !== unfinishedOf(generations)) {
      this.#warn(
        `generation ${this.#rebuild.generation} is not rebuilt any more: it was dropped, or replaced, elsewhere`,
      )
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
    this.#options.onWarning(`projection ${this.#name}: ${message}`)
  }
}
