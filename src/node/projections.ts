/**
 * The projections of a node's config. One in the order of everything runs at one node, which serves the shard that its name
 * falls on; one by shard runs each shard's lane where the shard is served. At the other nodes it can be asked where its
 * store can. Should two run a lane for a moment, its store lets one of them commit.
 */
import { definitionError, reasonOf, type PenholdError } from '../aggregate/error.ts'
import { nearest } from '../aggregate/nearest.ts'
import { nodeClosed } from '../cluster/error.ts'
import { every, pause, type Cancel, type Clock } from '../log/clock.ts'
import type { Feeds } from '../read/event-feed.ts'
import type { Projection } from '../read/projection.ts'
import { Bell } from '../read/bell.ts'
import { isLasting, projectionUnopened } from '../read/error.ts'
import { Patience, unlessAborted } from '../read/patience.ts'
import { QUERY_MS, RunningProjection, type ProjectionQueryOptions, type Which } from '../read/running-projection.ts'
import type { ProjectionCondition, ProjectionState, ProjectionStatus } from '../read/projection-status.ts'
import type { Parked, Retried } from '../read/parking.ts'

/**
 * A projection of a node. Its store may not answer yet: then each of these waits until it does, but for `status`, and a
 * query for its time. Where the store cannot be used as it stands each says so, until `resume` has it tried again.
 */
export interface ProjectionRef<Model> {
  /**
   * Asks the read model; with `after`, once it has all up to a position that a command's reply named, or an event's place.
   * @throws PenholdError `ProjectionBehind`, `ProjectionHalted`, `ProjectionBusy`, `ReadModelUnavailable`, `Timeout`, `Aborted`;
   * `PlaceAhead`, `BadPlace`
   */
  query<Answer>(
    ask: (model: Model) => Answer | Promise<Answer>,
    options?: ProjectionQueryOptions,
  ): Promise<Awaited<Answer>>
  status(): Promise<ProjectionStatus>
  /** Resolves once the batch under way is done, or its handler has had its time; nothing goes on until `resume`, at whatever node, whenever it is started. */
  pause(): Promise<void>
  /** Goes on, and tries again what has halted. */
  resume(): Promise<void>
  /** Begins a new generation of the read model beside the live one, which it replaces once it has caught up. */
  rebuild(): Promise<number>
  resumeRebuild(): Promise<number>
  abortRebuild(): Promise<void>
  /**
   * Resolves once this generation, or the one under way, is not rebuilt any more: to whether it has gone live.
   * @throws PenholdError `ProjectionState` where it waits for somebody: it is paused, or has parked events;
   * `ProjectionHalted` where it stands still at this node; `Aborted`
   */
  rebuilt(generation?: number, options?: { readonly signal?: AbortSignal }): Promise<boolean>
  /** Lets a rebuilt generation that has parked events go live. */
  promote(): Promise<void>
  /** Queries see the generation before the live one again. */
  rollBack(): Promise<number>
  parked(options?: { readonly stream?: string; readonly limit?: number } & Which): Promise<readonly Parked[]>
  /** Retries the parked events of a stream, in order, until one fails again. */
  retryParked(stream: string, which?: Which): Promise<Retried>
  /** Gives up a parked event's effect for good. */
  skipParked(
    event: { readonly stream: string; readonly version: number; readonly reason: string },
    which?: Which,
  ): Promise<void>
}

export interface ProjectionsOptions {
  readonly projections: readonly Projection[]
  readonly feeds: (order: Projection['order']) => Feeds
  readonly clock: Clock
  /** Those of its lanes that are to run here now. */
  readonly lanesHere: (projection: Projection) => readonly string[]
  readonly onWarning: (message: string) => void
  /** Where relative paths of stores begin. */
  readonly dataDir: string
}

const LOOK_MS = 250
const OPEN_AGAIN_MS = 1_000

interface Charge {
  readonly projection: Projection
  opened: PromiseWithResolvers<RunningProjection<any>>
  running: RunningProjection<any> | undefined
  /** Those that run here, or are about to. */
  lanes: readonly string[]
  /** Why it could not be opened; where it is lasting it is not tried again before somebody says so. */
  problem: { readonly message: string; readonly isLasting: boolean } | undefined
  /** Whoever waits for it to be opened was told why it is not; it is not tried again before somebody has mended that. */
  isRefused: boolean
  /** Somebody has mended what was wrong. */
  readonly mended: Bell
  /** Rings when it is opened, or is not to be. */
  readonly news: Bell
  /** Since when it waits, on the monotonic clock. */
  waitsSince: number | undefined
}

/** How a projection is here, as far as it is known at once. */
export interface LocalCondition extends ProjectionCondition {
  /** For how long it has waited for something that fails. */
  readonly waitingMs: number
}

export class Projections {
  readonly #options: ProjectionsOptions
  readonly #charges: readonly Charge[]
  #stopLooking: Cancel = () => undefined
  #isClosed = false

  constructor(options: ProjectionsOptions) {
    this.#options = options
    this.#charges = options.projections.map((projection) => {
      const unopened = { running: undefined, problem: undefined, waitsSince: undefined, isRefused: false, lanes: [] }
      return { projection, opened: toBeOpened(), mended: new Bell(), news: new Bell(), ...unopened }
    })
  }

  /** Opens their read models, again and again where stores do not answer, and runs them where they are to run. */
  start(): void {
    for (const charge of this.#charges) void this.#open(charge)
    if (this.#charges.length > 0) this.#stopLooking = every(this.#options.clock, LOOK_MS, () => this.#look())
  }

  /** @throws PenholdError `BadDefinition` where it is none of the config's */
  ref<Model>(projection: Projection<Model>): ProjectionRef<Model> {
    return this.named(projection.name) as ProjectionRef<Model>
  }

  /** @throws PenholdError `BadDefinition` where it is none of the config's */
  named(name: string): ProjectionRef<unknown> {
    const charge = this.#charges.find((each) => each.projection.name === name)
    if (charge !== undefined) return refTo(charge, { ...this.#options, isClosed: () => this.#isClosed })
    const names = this.#charges.map(({ projection }) => projection.name)
    const known = names.length === 0 ? 'it has none' : `the nearest is '${nearest(name, names)}'`
    throw definitionError(`the config has no projection '${name}', ${known}; add it to its projections`)
  }

  /** How they are. Comes within about a second, whatever hangs. */
  async status(): Promise<readonly ProjectionStatus[]> {
    return Promise.all(this.#charges.map(async (charge) => await statusOf(charge, this.#options)))
  }

  /** The same, as far as it is known at once. */
  get conditions(): readonly LocalCondition[] {
    const now = this.#options.clock.monotonic()
    return this.#charges.map((charge) => {
      return { ...conditionOf(charge, this.#options), waitingMs: Math.round(now - (charge.waitsSince ?? now)) }
    })
  }

  /** Takes so long at most, whatever handlers and stores do. */
  async close(stopMs: number): Promise<void> {
    this.#isClosed = true
    this.#stopLooking()
    for (const { opened, mended, news } of this.#charges) {
      opened.reject(nodeClosed('none'))
      mended.ring()
      news.ring()
    }
    await Promise.all(this.#charges.map(async ({ running }) => await running?.close(stopMs)))
  }

  async #open(charge: Charge): Promise<void> {
    const { feeds, clock, onWarning, dataDir } = this.#options
    const { projection } = charge
    while (!this.#isClosed) {
      try {
        const running = await RunningProjection.open({
          projection,
          feeds: feeds(projection.order),
          clock,
          onWarning,
          dataDir,
        })
        if (this.#isClosed) return await running.close()
        charge.running = running
        charge.problem = undefined
        charge.opened.resolve(running)
        charge.news.ring()
        this.#look()
        return
      } catch (error) {
        await this.#notOpened(charge, error)
      }
    }
  }

  /** Resolves when it is to be tried again. */
  async #notOpened(charge: Charge, error: unknown): Promise<void> {
    const { clock, onWarning } = this.#options
    const message = isLasting(error) ? error.message : reasonOf(error)
    const what = isLasting(error) ? 'stands still until it is mended and resumed' : 'is tried again'
    if (charge.problem?.message !== message)
      onWarning(`projection ${charge.projection.name} does not run, and ${what}: ${message}`)
    charge.problem = { message, isLasting: isLasting(error) }
    if (!isLasting(error)) return await pause(clock, OPEN_AGAIN_MS)
    charge.isRefused = true
    charge.opened.reject(error)
    charge.news.ring()
    if (!this.#isClosed) await charge.mended.rung()
  }

  #look(): void {
    const { lanesHere, onWarning, clock } = this.#options
    for (const charge of this.#charges) {
      const { state } = conditionOf(charge, this.#options)
      const waits = state === 'waiting' || state === 'starting'
      charge.waitsSince = waits ? (charge.waitsSince ?? clock.monotonic()) : undefined
      const { running, projection, lanes: before } = charge
      const lanes = lanesHere(projection)
      if (running === undefined || lanes.join() === before.join()) continue
      charge.lanes = lanes
      running.run(lanes).catch((error: unknown) => {
        charge.lanes = before
        onWarning(`the lanes of ${projection.name} could not be begun or ended here: ${reasonOf(error)}`)
      })
    }
  }
}

function toBeOpened(): Charge['opened'] {
  const opened = Promise.withResolvers<RunningProjection<any>>()
  opened.promise.catch(() => undefined)
  return opened
}

type Where = Pick<ProjectionsOptions, 'lanesHere'>

function conditionOf({ projection, running, problem }: Charge, where: Where): ProjectionCondition {
  if (running !== undefined) return soon(running.condition, projection, where)
  const state = problem === undefined ? 'starting' : problem.isLasting ? 'halted' : 'waiting'
  return { name: projection.name, state, rebuild: undefined }
}

/** What no lanes run of yet that are to run here is not somebody else's. */
function soon<Told extends { readonly state: ProjectionState }>(
  told: Told,
  projection: Projection,
  { lanesHere }: Where,
): Told {
  return told.state === 'elsewhere' && lanesHere(projection).length > 0 ? { ...told, state: 'starting' } : told
}

async function statusOf(charge: Charge, where: Where): Promise<ProjectionStatus> {
  if (charge.running !== undefined) return soon(await charge.running.status(), charge.projection, where)
  const unknown = { lag: undefined, parkedStreams: undefined, rebuild: undefined, unfinished: undefined }
  const { name, state } = conditionOf(charge, where)
  const trouble = charge.problem?.message
  return {
    name,
    state,
    generation: 0,
    lanes: [],
    elsewhere: undefined,
    events: 0,
    trouble,
    previous: undefined,
    ...unknown,
  }
}

/** Has what could not be opened tried again. */
async function resume(charge: Charge): Promise<void> {
  if (charge.isRefused) {
    charge.isRefused = false
    charge.opened = toBeOpened()
    charge.mended.ring()
  }
  await (await charge.opened.promise).resume()
}

function refTo<Model>(
  charge: Charge,
  { clock, lanesHere, isClosed }: Where & { readonly clock: Clock; readonly isClosed: () => boolean },
): ProjectionRef<Model> {
  const guarded = async <Answer>(work: () => Answer): Promise<Awaited<Answer>> => {
    if (isClosed()) throw nodeClosed('none')
    try {
      return await work()
    } catch (error) {
      // Whatever it found closed.
      throw isClosed() ? nodeClosed('unknown') : error
    }
  }
  const ask = async <Answer>(work: (running: RunningProjection<Model>) => Answer): Promise<Awaited<Answer>> => {
    const running: RunningProjection<Model> = await charge.opened.promise
    return await guarded(() => work(running))
  }
  /** Waits for the store for as long as a query may take. Resolves to how it is to go on. */
  const opened = async (options: ProjectionQueryOptions = {}): Promise<ProjectionQueryOptions> => {
    if (charge.running !== undefined) return options
    const { timeoutMs = QUERY_MS, signal } = options
    const { name } = charge.projection
    const patience = new Patience({ clock, projection: name, timeoutMs, signal })
    const late = (): PenholdError => projectionUnopened(name, timeoutMs, charge.problem?.message)
    // By the bell, which forgets who has gone: the promise may be kept in a week.
    while (charge.running === undefined && !charge.isRefused && !isClosed()) {
      patience.check(late)
      await patience.wait(charge.news.rungWithin(clock, patience.leftMs), late)
    }
    return { ...options, timeoutMs: patience.leftMs }
  }
  return {
    query: (question, options) => opened(options).then((left) => ask((running) => running.query(question, left))),
    status: () => guarded(() => statusOf(charge, { lanesHere })),
    pause: () => ask((running) => running.pause()),
    resume: () => guarded(() => resume(charge)),
    rebuild: () => ask((running) => running.rebuild()),
    resumeRebuild: () => ask((running) => running.resumeRebuild()),
    abortRebuild: () => ask((running) => running.abortRebuild()),
    rebuilt: (generation, options) =>
      unlessAborted(
        ask((running) => running.rebuilt(generation, options)),
        { projection: charge.projection.name, signal: options?.signal },
      ),
    promote: () => ask((running) => running.promote()),
    rollBack: () => ask((running) => running.rollBack()),
    parked: (options) => ask((running) => running.parked(options)),
    retryParked: (stream, which) => ask((running) => running.retryParked(stream, which)),
    skipParked: (event, which) => ask((running) => running.skipParked(event, which)),
  }
}
