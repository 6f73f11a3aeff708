/**
 * Changes of a Map that are put into it at the end, or never. Reads see the Map with the changes. Values are frozen, so
 * that none is changed in place. It costs one look-up more a read; nothing is copied, however large the Map is.
 */
import { frozen } from '../aggregate/frozen.ts'

/** A Map that may be changed one key at a time. */
export interface ModelMap<Key, Value> extends ReadonlyMap<Key, Value> {
  /** The value is frozen. */
  set(key: Key, value: Value): this
  delete(key: Key): boolean
}

const GONE = Symbol('gone')

export class DraftMap<Key, Value> implements ModelMap<Key, Value> {
  readonly #base: Map<Key, Value>
  readonly #changes = new Map<Key, Value | typeof GONE>()
  #size: number
  /** Why it cannot be changed. */
  #closed: string | undefined

  constructor(base: Map<Key, Value>, closed?: string) {
    this.#base = base
    this.#size = base.size
    this.#closed = closed
  }

  get size(): number {
    return this.#changes.size === 0 ? this.#base.size : this.#size
  }

  get(key: Key): Value | undefined {
    const changed = this.#changes.get(key)
    if (changed === undefined && !this.#changes.has(key)) return this.#base.get(key)
    return changed === GONE ? undefined : changed
  }

  has(key: Key): boolean {
    return this.#changes.has(key) ? this.#changes.get(key) !== GONE : this.#base.has(key)
  }

  set(key: Key, value: Value): this {
    this.#checkOpen()
    if (!this.has(key)) this.#size += 1
    this.#changes.set(key, frozen(value))
    return this
  }

  delete(key: Key): boolean {
    this.#checkOpen()
    if (!this.has(key)) return false
    this.#size -= 1
    if (this.#base.has(key)) this.#changes.set(key, GONE)
    else this.#changes.delete(key)
    return true
  }

  *entries(): MapIterator<[Key, Value]> {
    for (const [key, value] of this.#base) {
      const changed = this.#changes.has(key) ? this.#changes.get(key)! : value
      if (changed !== GONE) yield [key, changed]
    }
    for (const [key, value] of this.#changes) {
      if (value !== GONE && !this.#base.has(key)) yield [key, value]
    }
  }

  *keys(): MapIterator<Key> {
    for (const [key] of this.entries()) yield key
  }

  *values(): MapIterator<Value> {
    for (const [, value] of this.entries()) yield value
  }

  [Symbol.iterator](): MapIterator<[Key, Value]> {
    return this.entries()
  }

  forEach(visit: (value: Value, key: Key, map: this) => void): void {
    for (const [key, value] of this.entries()) visit(value, key, this)
  }

  /** Puts the changes into the Map. */
  merge(): void {
    for (const [key, value] of this.#changes) {
      if (value === GONE) this.#base.delete(key)
      else this.#base.set(key, value)
    }
    this.#changes.clear()
  }

  /** From here on it refuses to be changed. */
  close(reason: string): void {
    this.#closed = reason
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw new TypeError(this.#closed)
  }
}
