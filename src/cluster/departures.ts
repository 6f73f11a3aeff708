/**
 * Shards on their way from this node to others, until their next owners serve them: one at a time. Callers of a shard
 * wait for all that its next owner does meanwhile, and several at a time keep each other waiting.
 */
import type { Clock } from '../log/clock.ts'

/** A worker may hang, and whoever was to take the shard over may have ended: after so long it keeps no others waiting. */
const PATIENCE_MS = 1_000

interface Departure {
  /** Who gives it up. */
  readonly worker: number
  /** When its callers began to wait, on the monotonic clock. */
  readonly beganAt: number
  /** It is nobody's here. */
  hasLeft: boolean
}

export class Departures {
  readonly #clock: Clock
  readonly #byShard = new Map<number, Departure>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The worker gives it up from here on. */
  begin(shard: number, worker: number): void {
    this.#byShard.set(shard, { worker, beganAt: this.#clock.monotonic(), hasLeft: false })
  }

  /** Its worker has given it up, and somebody was told. */
  left(shard: number): void {
    const departure = this.#byShard.get(shard)
    if (departure !== undefined) departure.hasLeft = true
  }

  /** Somebody serves these. Returns whether others may leave for that. */
  arrived(shards: readonly number[]): boolean {
    const left = shards.filter((shard) => this.#byShard.get(shard)?.hasLeft === true)
    for (const shard of left) this.#byShard.delete(shard)
    return left.length > 0
  }

  /** Whether its worker is about to give it up. */
  isLeaving(shard: number): boolean {
    return this.#byShard.get(shard)?.hasLeft === false
  }

  /** What is about to be given up. */
  get leaving(): readonly number[] {
    return [...this.#byShard.keys()].filter((shard) => this.isLeaving(shard))
  }

  /** Whether another of a worker's may begin to leave. One that hangs in it holds up nobody else's. */
  hasRoom(worker: number): boolean {
    const now = this.#clock.monotonic()
    for (const [shard, departure] of this.#byShard) {
      if (now - departure.beganAt < PATIENCE_MS) return false
      if (departure.hasLeft) this.#byShard.delete(shard)
      else if (departure.worker === worker) return false
    }
    return true
  }
}
