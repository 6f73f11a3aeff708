/** Shards that a node has tried in vain to take over: each is left to others for a while, twice as long every time. */
import type { Clock } from '../log/clock.ts'

const FIRST_MS = 60_000
const LONGEST_MS = 60 * 60_000

export class UnableShards {
  readonly #clock: Clock
  readonly #shards = new Map<number, { readonly until: number; readonly ms: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(shard: number): void {
    if (this.has(shard)) return
    const ms = Math.min(LONGEST_MS, (this.#shards.get(shard)?.ms ?? FIRST_MS / 2) * 2)
    this.#shards.set(shard, { until: this.#clock.monotonic() + ms, ms })
  }

  /** It is served. */
  delete(shard: number): void {
    this.#shards.delete(shard)
  }

  has(shard: number): boolean {
    return (this.#shards.get(shard)?.until ?? 0) > this.#clock.monotonic()
  }

  /** Increasing. */
  get all(): readonly number[] {
    return [...this.#shards.keys()].filter((shard) => this.has(shard)).toSorted((a, b) => a - b)
  }
}
