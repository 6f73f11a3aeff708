/**
 * The projections of a node's config. One in the order of everything runs at one node, which serves the shard that its name
 * falls on; one by shard runs each shard's lane where the shard is served. At the other nodes it can be asked where its
 * store can. Should two run a lane for a moment, its store lets one of them commit.
 */
import { definitionError, reasonOf } from '../aggregate/error.ts'
import { nodeClosed } from '../cluster/error.ts'
import { every, pause, type Cancel, type Clock } from '../log/clock.ts'
import type { Feeds } from '../read/event-feed.ts'
import type { Projection } from '../read/projection.ts'
import { RunningProjection, type ProjectionQueryOptions, type Which } from '../read/running-projection.ts'
import type { ProjectionStatus } from '../read/projection-status.ts'
import type { ParkedEvent } from '../read/read-model.ts'
import type { Retried } from '../read/parking.ts'

/** A projection of a node. Its store may not answer yet: then each of these waits until it does. */
export interface ProjectionRef<Model> {
  /**
   * Asks the read model; with `after`, once it has all up to a position that a command's reply named, or an event's place.
   * @throws PenholdError `ProjectionBehind`, `ProjectionHalted`, `Aborted`
   */
  query<Answer>(
    ask: (model: Model) => Answer | Promise<Answer>,
    options?: ProjectionQueryOptions,
  ): Promise<Awaited<Answer>>
  status(): Promise<ProjectionStatus>
  /** Resolves once the batch under way is done; nothing goes on until `resume`. */
  pause(): Promise<void>
  /** Goes on, and tries again what has halted. */
  resume(): Promise<void>
  /** Begins a new generation of the read model beside the live one, which it replaces once it has caught up. */
  rebuild(): Promise<number>
  resumeRebuild(): Promise<number>
  abortRebuild(): Promise<void>
  /** Resolves once this generation, or the one under way, is not rebuilt any more: to whether it is live. */
  rebuilt(generation?: number): Promise<boolean>
  /** Lets a rebuilt generation that has parked events go live. */
  promote(): Promise<void>
  /** Queries see the generation before the live one again. */
  rollBack(): Promise<number>
  parked(options?: { readonly stream?: string; readonly limit?: number } & Which): Promise<readonly ParkedEvent[]>
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
  readonly opened: PromiseWithResolvers<RunningProjection<any>>
  running: RunningProjection<any> | undefined
  /** Those that run here, or are about to. */
  lanes: readonly string[]
}

export class Projections {
  readonly #options: ProjectionsOptions
  readonly #charges: readonly Charge[]
  #stopLooking: Cancel = () => undefined
  #isClosed = false

  constructor(options: ProjectionsOptions) {
    this.#options = options
    this.#charges = options.projections.map((projection) => {
      const opened = Promise.withResolvers<RunningProjection<any>>()
      opened.promise.catch(() => undefined)
      return { projection, opened, running: undefined, lanes: [] }
    })
  }

  /** Opens their read models, again and again where stores do not answer, and runs them where they are to run. */
  start(): void {
    for (const charge of this.#charges) void this.#open(charge)
    if (this.#charges.length > 0) this.#stopLooking = every(this.#options.clock, LOOK_MS, () => this.#look())
  }

  /** @throws PenholdError `BadDefinition` where it is none of the config's */
  ref<Model>(projection: Projection<Model>): ProjectionRef<Model> {
    const charge = this.#charges.find((each) => each.projection.name === projection.name)
    if (charge === undefined) {
      throw definitionError(`the config has no projection '${projection.name}'; add it to its projections`)
    }
    return refTo(charge.opened.promise, () => this.#isClosed)
  }

  /** How those are that are open by now. */
  async status(): Promise<readonly ProjectionStatus[]> {
    return Promise.all(this.#charges.flatMap(({ running }) => running?.status() ?? []))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#stopLooking()
    for (const { opened } of this.#charges) opened.reject(nodeClosed('none'))
    await Promise.all(this.#charges.map(async ({ running }) => running?.close()))
  }

  async #open(charge: Charge): Promise<void> {
    const { feeds, clock, onWarning, dataDir } = this.#options
    const { projection } = charge
    for (let hasWarned = false; !this.#isClosed;) {
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
        charge.opened.resolve(running)
        this.#look()
        return
      } catch (error) {
        if (!hasWarned) onWarning(`${projection.name} does not run, and is tried again: ${reasonOf(error)}`)
        hasWarned = true
        await pause(clock, OPEN_AGAIN_MS)
      }
    }
  }

  #look(): void {
    const { lanesHere, onWarning } = this.#options
    for (const charge of this.#charges) {
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

function refTo<Model>(opened: Promise<RunningProjection<Model>>, isClosed: () => boolean): ProjectionRef<Model> {
  const ask = async <Answer>(work: (running: RunningProjection<Model>) => Answer): Promise<Awaited<Answer>> => {
    const running = await opened
    if (isClosed()) throw nodeClosed('none')
    try {
      return await work(running)
    } catch (error) {
      // Whatever it found closed.
      throw isClosed() ? nodeClosed('unknown') : error
    }
  }
  return {
    query: (question, options) => ask((running) => running.query(question, options)),
    status: () => ask((running) => running.status()),
    pause: () => ask((running) => running.pause()),
    resume: () => ask((running) => running.resume()),
    rebuild: () => ask((running) => running.rebuild()),
    resumeRebuild: () => ask((running) => running.resumeRebuild()),
    abortRebuild: () => ask((running) => running.abortRebuild()),
    rebuilt: (generation) => ask((running) => running.rebuilt(generation)),
    promote: () => ask((running) => running.promote()),
    rollBack: () => ask((running) => running.rollBack()),
    parked: (options) => ask((running) => running.parked(options)),
    retryParked: (stream, which) => ask((running) => running.retryParked(stream, which)),
    skipParked: (event, which) => ask((running) => running.skipParked(event, which)),
  }
}
