/** Runs one generation of a projection's read model, over the lanes that are this process's to run. */
import type { PenholdError } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import type { AllPlace } from './all.ts'
import { projectionState } from './error.ts'
import type { Feeds } from './event-feed.ts'
import { Lane, type Hold } from './lane.ts'
import { worstState, type LaneState, type LaneStatus } from './lane-status.ts'
import { retryParked, skipParked, type Retried } from './parking.ts'
import type { Projection } from './projection.ts'
import type { ParkedEvent, ReadModel } from './read-model.ts'

export interface ProjectorOptions<Model> {
  readonly projection: Projection<Model>
  readonly readModel: ReadModel<Model>
  readonly generation: number
  readonly feeds: Feeds
  readonly clock: Clock
  readonly onWarning: (message: string) => void
  /** A lane's place or state has changed. */
  readonly onChange: () => void
}

export class Projector<Model> {
  readonly generation: number
  readonly #options: ProjectorOptions<Model>
  readonly #lanes = new Map<string, Lane<Model>>()
  readonly #holds = new Set<Hold>()
  /** Lanes that were let go of, and may have something under way. */
  readonly #ending = new Set<Promise<void>>()

  constructor(options: ProjectorOptions<Model>) {
    this.generation = options.generation
    this.#options = options
  }

  /**
   * Runs these lanes and no others. Resolves once nothing is under way in those that it has let go of, whose handlers have so
   * long.
   */
  async run(names: readonly string[], handlersMs: number = this.#handlersMs): Promise<void> {
    const gone = [...this.#lanes.values()].filter(({ name }) => !names.includes(name))
    for (const { name } of gone) this.#lanes.delete(name)
    for (const name of names) {
      if (this.#lanes.has(name)) continue
      const lane = new Lane<Model>(name, this.#options)
      this.#lanes.set(name, lane)
      for (const why of this.#holds) lane.hold(why)
    }
    for (const lane of gone) this.#end(lane, handlersMs)
    await Promise.all(this.#ending)
  }

  /** Handlers that are under way have so long. */
  async close(handlersMs: number = this.#handlersMs): Promise<void> {
    await this.run([], handlersMs)
  }

  /** No other commit begins until it is released. */
  hold(why: Hold): void {
    this.#holds.add(why)
    for (const lane of this.#lanes.values()) lane.hold(why)
  }

  /** Resolves once nothing is under way, for somebody who holds it. A handler has as long as it may take. */
  async settled(): Promise<void> {
    const lanes = [...this.#lanes.values()].map(async (lane) => await lane.settled(this.#handlersMs))
    await Promise.all([...lanes, ...this.#ending])
  }

  release(why: Hold): void {
    this.#holds.delete(why)
    for (const lane of this.#lanes.values()) lane.release(why)
  }

  /** Tries again at once what has halted, or waits. */
  retry(): void {
    for (const lane of this.#lanes.values()) lane.retry()
  }

  /** Where a lane stands that runs here. */
  place(lane: string): AllPlace | undefined {
    return this.#lanes.get(lane)?.place
  }

  /** Why one of these lanes stands still until somebody mends it. */
  halted(lanes: readonly string[]): PenholdError | undefined {
    for (const lane of lanes) {
      const halted = this.#lanes.get(lane)?.halted
      if (halted !== undefined) return halted
    }
  }

  /** Events that took effect, since it was started. */
  get events(): number {
    return [...this.#lanes.values()].reduce((sum, { events }) => sum + events, 0)
  }

  /** Which part is done, from 0 to 1, of what was to be done up to another generation's places when it began. */
  fraction(to: (lane: string) => AllPlace): number {
    const lanes = [...this.#lanes.values()]
    return lanes.reduce((sum, lane) => sum + lane.fraction(to(lane.name)), 0) / Math.max(1, lanes.length)
  }

  /** Of the lanes that run here, without asking the log. */
  get condition(): LaneState | 'elsewhere' {
    return worstState([...this.#lanes.values()].map(({ condition }) => condition))
  }

  /** Of the lanes that run here. */
  async status(): Promise<readonly LaneStatus[]> {
    return await Promise.all([...this.#lanes.values()].map(async (lane) => await lane.status()))
  }

  /** Retries the parked events of a stream, in order, until none is left or one fails again. */
  async retryParked(stream: string): Promise<Retried> {
    const lane = await this.#laneOf(stream)
    return lane === undefined ? { done: 0, failed: undefined } : await retryParked(lane, stream, this.#options)
  }

  /** Gives up a parked event's effect. Those behind it stay parked until they are retried. */
  async skipParked(event: { readonly stream: string; readonly version: number }): Promise<ParkedEvent> {
    const lane = await this.#laneOf(event.stream)
    if (lane === undefined) throw projectionState(`nothing of ${event.stream} is parked`)
    return await skipParked(lane, event, this.#options)
  }

  get #handlersMs(): number {
    return this.#options.projection.handlerTimeoutMs
  }

  #end(lane: Lane<Model>, handlersMs: number): void {
    const ended = lane.close(handlersMs).finally(() => this.#ending.delete(ended))
    this.#ending.add(ended)
  }

  /** Undefined where nothing of the stream is parked. */
  async #laneOf(stream: string): Promise<Lane<Model> | undefined> {
    const { projection, readModel } = this.#options
    const [parked] = await readModel.parked(this.generation, { stream, limit: 1 })
    if (parked === undefined) return undefined
    const name = projection.order === 'all' ? 'all' : String(parked.place.shard)
    const lane = this.#lanes.get(name)
    if (lane === undefined) {
      throw projectionState(`${stream} is handled in lane ${name} of ${projection.name}, which does not run here`)
    }
    return lane
  }
}
