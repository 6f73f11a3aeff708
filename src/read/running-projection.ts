/**
 * A projection as it runs in one process: the live generation of its read model, and one that is rebuilt beside it. The
 * record that the store keeps (control.ts) says which generation is which and whether all stand still; this goes by it, in
 * one place (`#follow`), whoever has changed it. What is done by hand is a step of the record.
 *
 * Nothing here waits for a handler but `pause`, `close` and `run`, and these for a bounded time.
 */
import { reasonOf, type PenholdError } from '../aggregate/error.ts'
import { isThenable } from '../aggregate/synchronous.ts'
import { every, within, type Cancel, type Clock } from '../log/clock.ts'
import { BEGINNING, type AllPlace } from './all.ts'
import { Bell } from './bell.ts'
import { Coming } from './coming.ts'
import {
  previousOf,
  rebuildOf,
  takeStep,
  unfinishedOf,
  withChanged,
  withNew,
  without,
  withPrevious,
  type Control,
  type Generation,
} from './control.ts'
import { projectionState, queryTimedOut } from './error.ts'
import type { Feeds } from './event-feed.ts'
import { toParked, type Parked, type Retried } from './parking.ts'
import { Patience } from './patience.ts'
import { parseAwaited } from './place.ts'
import type { Projection } from './projection.ts'
import {
  generationStatus,
  rebuildStatus,
  type ProjectionCondition,
  type ProjectionStatus,
} from './projection-status.ts'
import { Projector } from './projector.ts'
import type { ReadModel } from './read-model.ts'
import { isGenerationGone } from './read-model-error.ts'
import { Rebuild } from './rebuild.ts'
import { SharedLook } from './shared-look.ts'
import { Turns } from './turns.ts'
import { unfinishedError, untilRebuilt, type UnfinishedOptions } from './unfinished.ts'

export interface RunningProjectionOptions<Model> {
  readonly projection: Projection<Model>
  readonly feeds: Feeds
  readonly clock: Clock
  readonly onWarning: (message: string) => void
  /** Where relative paths of the store begin. */
  readonly dataDir?: string
}

export interface ProjectionQueryOptions {
  /**
   * Wait until the read model has all up to here: a position that a command's reply named; or an event, by its `place` as
   * whoever reads everything has it, or by its `{ position, shard }`.
   */
  readonly after?: number | string | AllPlace
  /** How long to wait for the answer, whatever keeps it from coming. Default 10 s. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** Which generation's parked events are meant. */
export interface Which {
  /** Default `live`. */
  readonly generation?: 'live' | 'rebuild'
}

export const QUERY_MS = 10_000
const CLOSE_MS = 10_000
/** What others have changed is noticed within this. */
const REFRESH_MS = 1_000
const LISTED = 100

export class RunningProjection<Model> {
  readonly #options: RunningProjectionOptions<Model>
  readonly #readModel: ReadModel<Model>
  readonly #coming: Coming
  /** What asks for the record or changes it, one after the other: so that none is taken for newer than it is. */
  readonly #turns = new Turns()
  readonly #changes = new Bell()
  readonly #looks: SharedLook<Control>
  /** As it was known last. */
  #control: Control
  #live: Projector<Model>
  #rebuild: Rebuild<Model> | undefined
  #lanes: readonly string[] = []
  /** How often it came to be unsure whether the record is still as it is known. */
  #doubts = 0
  /** What has ended here, and may have something under way. */
  readonly #ending = new Set<Promise<unknown>>()
  #isClosed = false
  readonly #stopRefreshing: Cancel
  /** Why it is not known whether others have changed the record. */
  #trouble: string | undefined

  private constructor(options: RunningProjectionOptions<Model>, readModel: ReadModel<Model>, control: Control) {
    const { clock } = options
    this.#options = options
    this.#readModel = readModel
    this.#control = control
    this.#live = this.#projector(control.live)
    const isClosed = (): boolean => this.#isClosed
    this.#coming = new Coming({ ...options, readModel, changes: this.#changes, live: () => this.#live, isClosed })
    this.#looks = new SharedLook(() => this.#take((known) => known))
    this.#follow(control)
    this.#stopRefreshing = every(clock, REFRESH_MS, () => void this.#refresh())
  }

  /** Opens its read model. Nothing runs until `run` says which lanes. */
  static async open<Model>(options: RunningProjectionOptions<Model>): Promise<RunningProjection<Model>> {
    const { store, name } = options.projection
    const readModel = await store.open(name, options.dataDir)
    try {
      return new RunningProjection(options, readModel, await readModel.control())
    } catch (error) {
      await readModel.close()
      throw error
    }
  }

  /** Runs these lanes here, and no others, in what is being rebuilt too. Resolves once nothing is under way in those that it has let go of. */
  async run(lanes: readonly string[]): Promise<void> {
    const isMore = lanes.some((lane) => !this.#lanes.includes(lane))
    this.#lanes = lanes
    // Whoever ran these lanes may have been told to pause a moment ago. They are held until the store has said.
    if (isMore) {
      this.#doubts += 1
      this.#eachProjector((projector) => projector.hold('unsure'))
    }
    const ended = this.#eachProjector((projector) => projector.run(lanes))
    if (isMore) await this.#refresh()
    await Promise.all(ended)
  }

  /** Handlers that are under way have half of the time; what has not ended in all of it ends by itself. */
  async close(ms: number = CLOSE_MS): Promise<void> {
    this.#isClosed = true
    this.#stopRefreshing()
    this.#changes.ring()
    let hasEnded = false
    const ended = this.#end(ms / 2).then(() => void (hasEnded = true))
    await within(this.#options.clock, ms, ended)
    if (!hasEnded) this.#warn(`it has not ended within ${ms} ms, and is left to end by itself`)
  }

  async #end(handlersMs: number): Promise<void> {
    for (const ended of this.#eachProjector((projector) => projector.close(handlersMs))) this.#follows(ended)
    this.#rebuild?.leave()
    while (this.#ending.size > 0) await Promise.all(this.#ending)
    await this.#turns.over()
    await this.#readModel.close()
  }

  /**
   * Asks the live generation.
   * @throws PenholdError `ProjectionBehind` where it does not come to `after` in time; `ProjectionHalted`, at once, where it
   * will not come there before somebody has mended it; `PlaceAhead` where the log has not come there, or has lost it;
   * `ProjectionBusy` where too many wait; `Timeout` where the model does not answer in time; `Aborted`; `BadPlace`
   */
  async query<Answer>(
    ask: (model: Model) => Answer | Promise<Answer>,
    { after, timeoutMs = QUERY_MS, signal }: ProjectionQueryOptions = {},
  ): Promise<Answer> {
    const awaited = after === undefined ? undefined : parseAwaited(after)
    const patience = new Patience({ clock: this.#options.clock, projection: this.#name, timeoutMs, signal })
    const late = (): PenholdError => queryTimedOut(this.#name, timeoutMs)
    const bounded = (model: Model): Answer | Promise<Answer> => {
      const answer = ask(model)
      // So that the store is not left with it.
      return isThenable(answer) ? patience.wait(Promise.resolve(answer), late) : answer
    }
    for (;;) {
      const { generation: before } = this.#live
      try {
        const generation = awaited === undefined ? before : await this.#coming.to(awaited, patience)
        return await patience.wait(this.#readModel.query(generation, bounded), late)
      } catch (error) {
        if (!isGenerationGone(error)) throw error
        // Others have swapped generations, and this one was dropped before it was noticed here.
        if (this.#live.generation === before) await patience.wait(this.#looks.answer(), late)
        if (this.#live.generation === before) throw error
      }
    }
  }

  /**
   * Resolves once the batch under way here is done, or given up: a handler has its time. Where other lanes run they stand
   * still a second later. Nothing is committed until `resume`, but for what is done by hand, whoever runs it then.
   */
  async pause(): Promise<void> {
    await this.#take((control) => (control.isPaused ? control : { ...control, isPaused: true }))
    await Promise.all(this.#eachProjector((projector) => projector.settled()))
  }

  /** Goes on, and tries again what has halted here. */
  async resume(): Promise<void> {
    try {
      await this.#take((control) => (control.isPaused ? { ...control, isPaused: false } : control))
    } finally {
      this.#eachProjector((projector) => projector.retry())
    }
  }

  /**
   * Begins a new generation beside the live one, which goes on, and swaps them once the new one has caught up. The one
   * before is kept to go back to; older ones are dropped. Whoever runs lanes takes part, also who comes later. Resolves to
   * the new one's number as soon as it is begun.
   */
  async rebuild(): Promise<number> {
    const { order } = this.#options.projection
    const { last } = await this.#takeAlone((control) => withNew(control, { state: 'under way', order }))
    return last
  }

  /** Goes on with a generation from which somebody went back. */
  async resumeRebuild(): Promise<number> {
    const control = await this.#take((known) => {
      const unfinished = unfinishedOf(known)
      if (unfinished === undefined)
        throw projectionState(
          `no rebuild of ${this.#name} is unfinished; begin one (rebuild(); penhold projection rebuild ${this.#name})`,
        )
      const { number, state } = unfinished
      return state === 'aside' ? withChanged(known, number, { state: 'under way' }) : known
    })
    return unfinishedOf(control)!.number
  }

  /** Lets a rebuilt generation that has parked events go live, once it has caught up. */
  async promote(): Promise<void> {
    await this.#take((control) => {
      const rebuild = rebuildOf(control)
      if (rebuild === undefined)
        throw projectionState(
          `no rebuild of ${this.#name} is under way; begin one (rebuild(); penhold projection rebuild ${this.#name})`,
        )
      return rebuild.state === 'accepted' ? control : withChanged(control, rebuild.number, { state: 'accepted' })
    })
  }

  /** Drops what was being rebuilt, or was set aside. The live generation is not touched. */
  async abortRebuild(): Promise<void> {
    // A batch that is under way there may keep a store from removing it.
    await this.#endRebuild()
    await this.#take((control) => {
      const unfinished = unfinishedOf(control)
      return without(control, (generation) => generation === unfinished)
    })
  }

  /**
   * Queries see the generation before the live one again, from now on; it goes on from where it stood. The one that was
   * live is set aside, as an unfinished rebuild: to be resumed, which makes it live again, or aborted.
   */
  async rollBack(): Promise<number> {
    const { live } = await this.#takeAlone((control) => {
      const previous = previousOf(control)
      if (previous === undefined)
        throw projectionState(
          `${this.#name} has no generation to go back to; there is one once a rebuild has gone live`,
        )
      return withPrevious(control, previous)
    })
    return live
  }

  /**
   * Resolves once this generation, or the one under way, is not being rebuilt any more: to whether it has gone live.
   * @throws PenholdError `ProjectionState` where it waits for somebody: it is paused, or has parked events;
   * `ProjectionHalted` where it stands still here; `Aborted`, also where this process ends before
   */
  async rebuilt(generation?: number, { signal }: { readonly signal?: AbortSignal } = {}): Promise<boolean> {
    const control = await this.#looks.answer()
    const number = generation ?? rebuildOf(control)?.number
    return number !== undefined && (await untilRebuilt(number, { ...this.#unfinished, signal }))
  }

  async parked(
    options: { readonly stream?: string; readonly limit?: number } & Which = {},
  ): Promise<readonly Parked[]> {
    const { generation = 'live', limit = LISTED, stream } = options
    const { generation: number } = this.#which({ generation })
    const parked = await this.#readModel.parked(number, stream === undefined ? { limit } : { stream, limit })
    return parked.map((event) => toParked(event))
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
    const [beside, control] = [this.#rebuild?.projector, this.#control]
    const isParkedAccepted = rebuildOf(control)?.state === 'accepted'
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
      unfinished: beside === undefined ? unfinishedOf(control)?.number : undefined,
      previous: previousOf(control),
    }
  }

  /** The same, as far as it is known at once. */
  get condition(): ProjectionCondition {
    return { name: this.#name, state: this.#live.condition, rebuild: this.#rebuild?.projector.condition }
  }

  get #name(): string {
    return this.#options.projection.name
  }

  #which({ generation = 'live' }: Which): Projector<Model> {
    const projector = generation === 'live' ? this.#live : this.#rebuild?.projector
    if (projector === undefined) throw projectionState(`no rebuild of ${this.#name} runs here`)
    return projector
  }

  get #unfinished(): UnfinishedOptions {
    return {
      ...this.#options,
      readModel: this.#readModel,
      changes: this.#changes,
      control: () => this.#control,
      rebuild: () => this.#rebuild?.projector,
      isClosed: () => this.#isClosed,
    }
  }

  /** Takes a step of the record, where no generation is unfinished. */
  async #takeAlone(step: (control: Control) => Control): Promise<Control> {
    let unfinished = undefined as Generation | undefined
    const control = await this.#take((known) => {
      const next = step(known)
      unfinished = unfinishedOf(known)
      return unfinished === undefined ? next : known
    })
    if (unfinished !== undefined) throw await unfinishedError(unfinished, this.#unfinished)
    return control
  }

  async #refresh(): Promise<void> {
    try {
      await this.#looks.answer()
      this.#trouble = undefined
    } catch (error) {
      this.#trouble = reasonOf(error)
    }
  }

  /** Takes a step of the record, and follows. */
  #take(step: (control: Control) => Control): Promise<Control> {
    return this.#turns.take(async () => {
      const doubts = this.#doubts
      const control = await takeStep(this.#readModel, step)
      this.#follow(control)
      if (doubts === this.#doubts) this.#eachProjector((projector) => projector.release('unsure'))
      return control
    })
  }

  /** Runs what the record says, and nothing else. */
  #follow(control: Control): void {
    this.#control = control
    if (this.#isClosed) return
    this.#followLive(control.live)
    this.#followRebuild(rebuildOf(control)?.number)
    for (const projector of this.#projectors) {
      if (control.isPaused) projector.hold('paused')
      else projector.release('paused')
    }
    this.#changes.ring()
  }

  #followLive(live: number): void {
    const before = this.#live
    if (before.generation === live) return
    if (this.#rebuild?.generation === live) {
      this.#live = this.#rebuild.projector
      this.#rebuild.leave()
      this.#rebuild = undefined
    } else {
      this.#live = this.#started(live)
    }
    this.#follows(before.close())
    this.#warn(`generation ${live} is live, in place of ${before.generation}`)
  }

  #followRebuild(generation: number | undefined): void {
    const before = this.#rebuild
    if (before !== undefined && before.generation !== generation) {
      void this.#endRebuild()
      this.#warn(`generation ${before.generation} is not rebuilt any more: it was dropped, or replaced, elsewhere`)
    }
    if (generation === undefined || this.#rebuild !== undefined) return
    this.#rebuild = new Rebuild(this.#started(generation), {
      ...this.#options,
      readModel: this.#readModel,
      changes: this.#changes,
      onWarning: (message) => this.#warn(message),
      live: () => this.#live,
      control: () => this.#control,
      isSwapping: () => this.#lanes.includes(this.#options.feeds.lanes[0]!),
      take: (step) => this.#take(step),
    })
  }

  /** Nothing of it is given to anyone any more; resolves once nothing is under way in it. */
  async #endRebuild(): Promise<void> {
    const rebuild = this.#rebuild
    if (rebuild === undefined) return
    this.#rebuild = undefined
    rebuild.leave()
    const ended = rebuild.projector.close(0)
    this.#follows(ended)
    await ended
  }

  /** It is held until `#take` has come to its end. */
  #started(generation: number): Projector<Model> {
    const projector = this.#projector(generation)
    projector.hold('unsure')
    void projector.run(this.#lanes)
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

  get #projectors(): readonly Projector<Model>[] {
    return this.#rebuild === undefined ? [this.#live] : [this.#live, this.#rebuild.projector]
  }

  #eachProjector<Result>(work: (projector: Projector<Model>) => Result): Result[] {
    return this.#projectors.map(work)
  }

  /** Closing waits for it. */
  #follows(ended: Promise<unknown>): void {
    const kept = ended.finally(() => this.#ending.delete(kept))
    this.#ending.add(kept)
  }

  /** Whoever is told does not end what tells them. */
  #warn(message: string): void {
    try {
      this.#options.onWarning(`projection ${this.#name}: ${message}`)
    } catch {
      // It is in the status as well.
    }
  }
}
