/**
 * The ids of an aggregate's commands before those that its dedupe window remembers, as filters (Bloom 1970) of growing sizes, each
 * twice as large as the one before. From some size on none is made any more: the last takes what comes, and is wrong ever more often.
 * Who is taken for one that is there costs a reading of the log, and is not found there; who is there is never missed.
 */
import { addToFilter, createFilter, mayContain } from '../log/filter.ts'
import { hash64 } from '../log/stream.ts'

const FILTER_KEYS = 1_024
/** The last filter is for so many, at 30 bits each; all together have 32 MiB. */
const FILTER_KEYS_MAX = 4_194_304
/** Times the bits that a lookup in files has. */
const ROOM = 3

export class OlderIds {
  readonly #keysMax: number
  readonly #filters: { readonly bits: Uint8Array; readonly keys: number; used: number }[] = []
  /** The greatest position of a command that is in it; 0 where none with events is. */
  last = 0

  constructor(keysMax: number = FILTER_KEYS_MAX) {
    this.#keysMax = keysMax
  }

  /** What it takes in memory. */
  get bytes(): number {
    return this.#filters.reduce((sum, { bits }) => sum + bits.length, 0)
  }

  add(key: string, position: number): void {
    this.last = Math.max(this.last, position)
    let filter = this.#filters.at(-1)
    if (filter === undefined || (filter.used >= filter.keys && filter.keys < this.#keysMax)) {
      const keys = filter === undefined ? FILTER_KEYS : 2 * filter.keys
      filter = { bits: createFilter(ROOM * keys), keys, used: 0 }
      this.#filters.push(filter)
    }
    const { high, low } = hash64(key, 0)
    addToFilter(filter.bits, high, low)
    filter.used += 1
  }

  /** False only where it was never added. */
  mayHave(key: string): boolean {
    const { high, low } = hash64(key, 0)
    return this.#filters.some(({ bits }) => mayContain(bits, high, low))
  }
}
