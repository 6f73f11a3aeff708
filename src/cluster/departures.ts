/**
 * Shards on their way from the workers of this node to others, until their next owners serve them: a few of each worker
 * at a time. Whoever takes shards over does so one after the other, and callers wait for all that stand before theirs.
 */
import type { Clock } from '../log/clock.ts'

/** Of a worker at a time. */
const UNDER_WAY_MAX = 4
/** Whoever was to take a shard over may have ended: after so long it keeps no others waiting. */
const PATIENCE_MS = 1_000

interface Departure {
  /** Who gives it up. */
  readonly worker: number
  /** When it was nobody's here, on the monotonic clock; undefined before. */
  leftAt: number | undefined
}

export class Departures {
  readonly #clock: Clock
  readonly #byShard = new Map<number, Departure>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The worker gives it up from here on. */
  begin(shard: number, worker: number): void {
    this.#byShard.set(shard, { worker, leftAt: undefined })
  }

  /** The worker has given it up, and somebody was told. */
  left(shard: number): void {
    const departure = this.#byShard.get(shard)
    if (departure !== undefined) departure.leftAt = this.#clock.monotonic()
  }

  /** Somebody serves these. Returns whether others may leave for that. */
  arrived(shards: readonly number[]): boolean {
    const left = shards.filter((shard) => this.#byShard.get(shard)?.leftAt !== undefined)
    for (const shard of left) this.#byShard.delete(shard)
    return left.length > 0
  }

  /** Whether its worker is about to give it up. */
  isLeaving(shard: number): boolean {
    const departure = this.#byShard.get(shard)
    return departure !== undefined && departure.leftAt === undefined
  }

  /** What is about to be given up. */
  get leaving(): readonly number[] {
    return [...this.#byShard.keys()].filter((shard) => this.isLeaving(shard))
  }

  /** How many shards of a worker may begin to leave. One that hangs in it holds up nobody else's. */
  room(worker: number): number {
    const now = this.#clock.monotonic()
    for (const [shard, { leftAt }] of this.#byShard) {
      if (leftAt !== undefined && now - leftAt >= PATIENCE_MS) this.#byShard.delete(shard)
    }
    const underWay = [...this.#byShard.values()].filter((departure) => departure.worker === worker)
    return Math.max(0, UNDER_WAY_MAX - underWay.length)
  }
}
