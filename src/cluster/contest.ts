/**
 * Notices that somebody claims shards which the store leaves with this node. Whoever claims one was given it by the store, or
 * by the node that had it. Where it is otherwise once, the store was a moment behind; again and again, there is a node that
 * works on the same data and asks another store.
 */
import type { Clock } from '../log/clock.ts'
import type { HandedShard } from './control.ts'

const TIMES = 3
const WITHIN_MS = 60_000

export class Contest {
  readonly #clock: Clock
  readonly #onWarning: (message: string) => void
  #times = 0
  #since = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, onWarning: (message: string) => void) {
    this.#clock = clock
    this.#onWarning = onWarning
  }

  /** The store has left these with this node, and those were lost when it was asked. Warns at the third time within a minute. */
  see(left: readonly HandedShard[], lost: ReadonlySet<number>): void {
    const contested = left.filter(({ shard }) => lost.has(shard)).length
    if (contested === 0) return
    const now = this.#clock.monotonic()
    if (now - this.#since >= WITHIN_MS) {
      this.#since = now
      this.#times = 0
    }
    this.#times += 1
    if (this.#times !== TIMES) return
    this.#onWarning(
      `somebody of whom the lease store knows nothing claims shards of this node (${contested} at the moment), again and again. Where a node works on the same data directory with another \`redis\`, or another database of it, give all nodes the same.`,
    )
  }
}
