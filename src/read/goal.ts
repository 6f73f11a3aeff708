/** Up to where a read model is to have come for a query: of each lane a place. */
import type { AllPlace } from './all.ts'
import type { Feeds } from './event-feed.ts'
import { behind } from './place.ts'
import type { Projection } from './projection.ts'

export interface GoalOptions {
  readonly feeds: Feeds
  readonly order: Projection['order']
  /** More is known. */
  readonly onKnown: () => void
}

export class Goal {
  /** Those that have to come somewhere. */
  readonly lanes: readonly string[]
  readonly #place: AllPlace
  readonly #options: GoalOptions
  /** How far the lanes' rows went after the query was asked; of no account where every lane comes to the place. */
  #heads: ReadonlyMap<string, number> | undefined
  /** The rows of lanes may end before the place. */
  readonly #hasEnds: boolean
  #isSought = false

  constructor(after: number | AllPlace, options: GoalOptions) {
    const { feeds, order } = options
    const isPosition = typeof after === 'number'
    this.#options = options
    this.#hasEnds = order === 'shard' && isPosition
    this.lanes = order === 'all' || isPosition ? feeds.lanes : [String(after.shard)]
    // A position alone may be several shards' events'; within one it is one event's.
    this.#place = isPosition ? (order === 'all' ? behind(after) : { position: after, shard: 0 }) : after
  }

  get position(): number {
    return this.#place.position
  }

  /** It is known where each row ends that ends before. */
  get isExact(): boolean {
    return !this.#hasEnds || this.#heads !== undefined
  }

  /**
   * Where the lane has to come. A shard in which nothing was written for long never comes to a position: it is where it
   * has to be once it has all that was acknowledged before the query was asked.
   */
  of(lane: string): AllPlace {
    const { position } = this.#place
    const head = this.#heads?.get(lane)
    return head === undefined || head >= position ? this.#place : { position: head, shard: 0 }
  }

  /** Asks where the rows end, where that is of account and not known. Where nobody knows it now, the next time. */
  seek(): void {
    if (this.isExact || this.#isSought) return
    this.#isSought = true
    void this.#seek()
  }

  async #seek(): Promise<void> {
    try {
      this.#heads = await this.#options.feeds.heads()
      this.#options.onKnown()
    } catch {
      // A shard has no owner at the moment, say.
      this.#isSought = false
    }
  }
}
