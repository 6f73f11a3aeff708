/**
 * A hash table from stream hashes to offsets in one segment, in typed arrays: 12 bytes a slot, so that a segment's
 * worth of streams costs some megabytes and no work for the garbage collector. Open addressing, linear probing.
 */
import type { StreamHash } from './stream.ts'

const FIRST_SLOTS = 1024

export class StreamTable {
  #high = new Uint32Array(FIRST_SLOTS)
  #low = new Uint32Array(FIRST_SLOTS)
  /** The offset plus one; 0 marks an empty slot. */
  #offset = new Uint32Array(FIRST_SLOTS)
  #size = 0

  get size(): number {
    return this.#size
  }

  get(high: number, low: number): number | undefined {
    const slot = this.#slot(high, low)
    return this.#offset[slot] === 0 ? undefined : this.#offset[slot]! - 1
  }

  set(high: number, low: number, offset: number): void {
    const slot = this.#slot(high, low)
    if (this.#offset[slot] === 0) {
      this.#high[slot] = high
      this.#low[slot] = low
      this.#size += 1
    }
    this.#offset[slot] = offset + 1
    if (this.#size * 2 > this.#offset.length) this.#grow()
  }

  *entries(): Generator<StreamHash & { readonly offset: number }> {
    for (let slot = 0; slot < this.#offset.length; slot += 1) {
      const offset = this.#offset[slot]!
      if (offset !== 0) yield { high: this.#high[slot]!, low: this.#low[slot]!, offset: offset - 1 }
    }
  }

  #slot(high: number, low: number): number {
    const mask = this.#offset.length - 1
    let slot = (Math.imul(high ^ low, 0x9e3779b1) >>> 0) & mask
    while (this.#offset[slot] !== 0 && (this.#high[slot] !== high || this.#low[slot] !== low)) slot = (slot + 1) & mask
    return slot
  }

  #grow(): void {
    const before = [...this.entries()]
    const slots = this.#offset.length * 2
    this.#high = new Uint32Array(slots)
    this.#low = new Uint32Array(slots)
    this.#offset = new Uint32Array(slots)
    this.#size = 0
    for (const { high, low, offset } of before) this.set(high, low, offset)
  }
}
