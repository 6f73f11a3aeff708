/** One row of events in the order of their positions: a journal's, or what an owner has carried over. */
import type { LogRecord } from '../log/record.ts'

/** So many events, or bytes, are read ahead of where a source stands, about: few enough that whoever decodes them all at once is brief. */
const AHEAD = 1024
const BYTES_AHEAD = 1024 * 1024

export class Source {
  readonly #pieces: AsyncIterator<readonly LogRecord[]>
  #events: readonly LogRecord[] = []
  #taken = 0
  #isDone = false

  /** `pieces` give events, each with a greater position than the one before. */
  constructor(pieces: AsyncIterable<readonly LogRecord[]>) {
    this.#pieces = pieces[Symbol.asyncIterator]()
  }

  /** Reads on, where nothing is left of what was read before. */
  async fill(): Promise<void> {
    if (this.#isDone || this.#taken < this.#events.length) return
    const pieces: (readonly LogRecord[])[] = []
    let count = 0
    let bytes = 0
    while (count < AHEAD && bytes < BYTES_AHEAD) {
      const { value, done } = await this.#pieces.next()
      if (done === true) {
        this.#isDone = true
        break
      }
      pieces.push(value)
      count += value.length
      for (const { length } of value) bytes += length
    }
    this.#events = pieces.length === 1 ? pieces[0]! : pieces.flat()
    this.#taken = 0
  }

  /** Up to which position all of the source is at hand: Infinity where nothing follows. After `fill`. */
  get reach(): number {
    return this.#isDone ? Number.POSITIVE_INFINITY : this.#events.at(-1)!.position
  }

  /** Nothing is left of it. */
  get isDrained(): boolean {
    return this.#isDone && this.#taken === this.#events.length
  }

  /** Hands out what comes up to a position. */
  take(until: number): readonly LogRecord[] {
    const from = this.#taken
    if (this.#events.length > 0 && this.#events.at(-1)!.position <= until) this.#taken = this.#events.length
    while (this.#taken < this.#events.length && this.#events[this.#taken]!.position <= until) this.#taken += 1
    return this.#events.slice(from, this.#taken)
  }

  /** Lets go of what it reads from. */
  async close(): Promise<void> {
    await this.#pieces.return?.()
  }
}

/** All that these sources have, in the order of `$all`: by position, and of equal ones by shard. */
export async function* merge(sources: readonly Source[]): AsyncGenerator<readonly LogRecord[]> {
  let left = sources
  try {
    while (left.length > 0) {
      for (const source of left) await source.fill()
      const until = Math.min(...left.map(({ reach }) => reach))
      const parts = left.map((source) => source.take(until)).filter(({ length }) => length > 0)
      left = left.filter(({ isDrained }) => !isDrained)
      if (parts.length === 1) yield parts[0]!
      // Rows that are sorted by themselves: for these the engine's sort is a merge.
      else if (parts.length > 1) yield parts.flat().sort(inOrder)
    }
  } finally {
    for (const source of sources) await source.close()
  }
}

/** Where an event stands in the order of `$all`. */
export type OrderedPlace = Pick<LogRecord, 'position' | 'shard'>

export function inOrder(a: OrderedPlace, b: OrderedPlace): number {
  return a.position - b.position || a.shard - b.shard
}
