/** Chance from a seed: the same seed gives the same run. */
import type { Random } from '../log/random.ts'

/** mulberry32 (Tommy Ettinger, public domain): small, fast and good enough to choose faults by. */
export class SeededRandom implements Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** An unsigned 32-bit integer. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return (t ^ (t >>> 14)) >>> 0
  }

  /** A whole number from 0 up to, not including, `bound`. */
  below(bound: number): number {
    return this.next() % bound
  }

  chance(probability: number): boolean {
    return this.next() < probability * 2 ** 32
  }

  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i += 1) bytes[i] = this.next() & 0xff
  }
}
