/**
 * For each stream hash the newest record that was seen and its version, in typed arrays: 24 bytes a slot, so that
 * millions of streams cost no more than some hundred megabytes. Open addressing, linear probing.
 *
 * Two streams with one hash share a chain and have versions of their own: the slot has those of the first, a map those
 * of the others.
 */
import type { LogRecord } from '../record.ts'

const FIRST_SLOTS = 1024
const LOAD_MAX = 0.75
const FIELDS = { high: 0, low: 1, name: 2, version: 3, segment: 4, offset: 5 } as const
const WIDTH = 6

/** What is needed of a record of a stream. */
export type Chained = Pick<LogRecord, 'hashHigh' | 'hashLow' | 'streamSlice' | 'stream' | 'version' | 'address'>

/** Where a stream stood. `segment` is a number that the caller gives out, from 1 on. */
export interface ChainEnd {
  readonly segment: number
  readonly offset: number
  readonly version: number
}

export class StreamChains {
  #slots = new Uint32Array(FIRST_SLOTS * WIDTH)
  #size = 0
  readonly #collided = new Map<string, number>()

  get size(): number {
    return this.#size
  }

  /** The newest record of the record's hash, and the version of its stream; undefined where it is the hash's first. */
  endBefore(record: Chained): ChainEnd | undefined {
    const at = this.#slotOf(record.hashHigh, record.hashLow)
    const slots = this.#slots
    if (slots[at + FIELDS.segment] === 0) return undefined
    const isFirst = slots[at + FIELDS.name] === nameHash(record)
    const version = isFirst ? slots[at + FIELDS.version]! : (this.#collided.get(record.stream) ?? 0)
    return { segment: slots[at + FIELDS.segment]!, offset: slots[at + FIELDS.offset]!, version }
  }

  /** Puts a record at the end of its chain. */
  add(record: Chained, segment: number): void {
    const at = this.#slotOf(record.hashHigh, record.hashLow)
    const slots = this.#slots
    const isNew = slots[at + FIELDS.segment] === 0
    const name = nameHash(record)
    if (isNew) {
      slots[at + FIELDS.high] = record.hashHigh
      slots[at + FIELDS.low] = record.hashLow
      slots[at + FIELDS.name] = name
      this.#size += 1
    }
    if (slots[at + FIELDS.name] === name) slots[at + FIELDS.version] = record.version
    else this.#collided.set(record.stream, record.version)
    slots[at + FIELDS.segment] = segment
    slots[at + FIELDS.offset] = record.address.offset
    if (isNew && this.#size * WIDTH > slots.length * LOAD_MAX) this.#grow()
  }

  #slotOf(high: number, low: number): number {
    return findSlot(this.#slots, high, low)
  }

  #grow(): void {
    const grown = new Uint32Array(this.#slots.length * 2)
    for (let at = 0; at < this.#slots.length; at += WIDTH) {
      if (this.#slots[at + FIELDS.segment] === 0) continue
      const slot = this.#slots.subarray(at, at + WIDTH)
      grown.set(slot, findSlot(grown, slot[FIELDS.high]!, slot[FIELDS.low]!))
    }
    this.#slots = grown
  }
}

/** Where the hash stands, or would stand. */
function findSlot(slots: Uint32Array, high: number, low: number): number {
  const count = slots.length / WIDTH
  let slot = (Math.imul(high ^ low, 0x9e3779b1) >>> 0) % count
  for (;;) {
    const at = slot * WIDTH
    const isThere = slots[at] === high && slots[at + FIELDS.low] === low
    if (slots[at + FIELDS.segment] === 0 || isThere) return at
    slot = (slot + 1) % count
  }
}

/** A hash that has nothing to do with the stream's own. */
function nameHash({ streamSlice: { bytes, start, end } }: Chained): number {
  let hash = 0x811c9dc5
  for (let i = start; i < end; i += 1) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  return hash >>> 0
}
