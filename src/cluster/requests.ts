/**
 * What is under way, by number. Numbers are given out in order, in 32 bits, none twice at a time; one lives in the slot that its
 * low bits say.
 *
 * A Map does the same and costs more than it seems: each time it makes room, V8 keeps a reference from its old table to
 * the new one. Once such a table is old enough, all that comes after it looks alive to the collector of young garbage,
 * and is copied from then on, until a full collection finds that nobody has any of it
 * (docs/decisions/requests-in-slots.md).
 */

const NUMBER_MAX = 2 ** 32 - 1
const SLOTS_MIN = 1024

export class Requests<Entry> implements Iterable<Entry> {
  /** A power of two of them, at most half of them taken. */
  #entries: (Entry | undefined)[] = emptySlots(SLOTS_MIN)
  /** Of the entries that are there; of the others they mean nothing. */
  #numbers = new Uint32Array(SLOTS_MIN)
  #size = 0
  #last: number

  /** `last`: the number before the first. */
  constructor(last = 0) {
    this.#last = last
  }

  get size(): number {
    return this.#size
  }

  /** Returns the number that the entry has from now on: from 1 up, and again from 1 when they are used up. */
  add(entry: Entry): number {
    if (2 * this.#size >= this.#entries.length) this.#grow()
    do this.#last = this.#last === NUMBER_MAX ? 1 : this.#last + 1
    while (this.#entries[this.#slotOf(this.#last)] !== undefined)
    const slot = this.#slotOf(this.#last)
    this.#entries[slot] = entry
    this.#numbers[slot] = this.#last
    this.#size += 1
    return this.#last
  }

  get(number: number): Entry | undefined {
    const slot = this.#slotOf(number)
    return this.#numbers[slot] === number ? this.#entries[slot] : undefined
  }

  /** Returns what had the number. */
  take(number: number): Entry | undefined {
    const entry = this.get(number)
    if (entry === undefined) return undefined
    this.#entries[this.#slotOf(number)] = undefined
    this.#size -= 1
    // What a burst has taken is given back, and what comes next is looked through as quickly as before.
    if (this.#size === 0 && this.#entries.length > SLOTS_MIN) this.#reset(SLOTS_MIN)
    return entry
  }

  /** Everything that is there, in no order. Of what is taken and added meanwhile some may come, and some twice. */
  *[Symbol.iterator](): Iterator<Entry> {
    for (const entry of this.#entries) if (entry !== undefined) yield entry
  }

  #slotOf(number: number): number {
    return number & (this.#entries.length - 1)
  }

  /** Numbers whose low bits differ, differ in more of them too. */
  #grow(): void {
    const entries = this.#entries
    const numbers = this.#numbers
    this.#reset(2 * entries.length)
    for (const [i, entry] of entries.entries()) {
      if (entry === undefined) continue
      const slot = this.#slotOf(numbers[i]!)
      this.#entries[slot] = entry
      this.#numbers[slot] = numbers[i]!
    }
  }

  #reset(slots: number): void {
    this.#entries = emptySlots(slots)
    this.#numbers = new Uint32Array(slots)
  }
}

function emptySlots<T>(count: number): (T | undefined)[] {
  return Array.from({ length: count }, () => undefined)
}
