/** An open bucket as the wheel that takes it up knows it: how far it was read, and what of it is held in memory. */
import { reasonOf } from '../aggregate/error.ts'
import { backOffMs } from '../read/back-off.ts'
import type { Bucket } from './timer-buckets.ts'
import type { DueTimer } from './timer-records.ts'

/** Where a timer stands among those of its bucket: by its time, and by when it was put there. */
export interface DuePlace {
  readonly at: number
  readonly order: number
}

const BEFORE_ALL: DuePlace = { at: -1, order: 0 }
const TIMERS_PER_PUT = 4096

export class DueBucket implements Bucket {
  readonly name: string
  readonly stream: string
  readonly level: number
  readonly start: number
  /** By the monotonic clock, when it came to be known here. */
  readonly since: number
  /** Whether it is read into memory, and put into others no more. */
  isTaken = false
  /** Nothing is done with it before this time, by the monotonic clock. */
  restsUntil = 0
  /** Opened in this life of the wheel, and nothing was put into it yet. */
  isNew = false
  /** How often in a row something with it has failed, and why the last time. */
  failures = 0
  trouble: string | undefined
  /** So many of its timers are held in memory, or are being fired. */
  held = 0
  /** What was put into it up to here was read, and taken or left for later. */
  puts = 0
  /** Timers behind this place are still to be read; undefined where none are. */
  left: DuePlace | undefined = BEFORE_ALL
  /** The last that was put into it, as far as that is known here. */
  #lastPut = 0
  #isBeingRead = false

  constructor(name: string, stream: string, { level, start, since }: Bucket & { readonly since: number }) {
    this.name = name
    this.stream = stream
    this.since = since
    this.level = level
    this.start = start
  }

  /** What was to be done with it has failed: it rests until so long after `now`, by the monotonic clock. */
  failed(error: unknown, now: number): void {
    this.failures += 1
    this.trouble = reasonOf(error)
    this.restsUntil = now + backOffMs(this.failures)
  }

  succeeded(): void {
    this.failures = 0
    this.trouble = undefined
  }

  /** It was just opened, so that there is nothing to read. */
  takeEmpty(): void {
    this.isTaken = true
    this.left = undefined
  }

  /** It is not held in memory any more, and is read again when it is near. */
  letGo(): void {
    this.succeeded()
    this.isTaken = false
    this.readAgain()
  }

  /** Something was put into it. Whether that is to be held in memory at once, where there is room. */
  wasPut(version: number): boolean {
    this.#lastPut = Math.max(this.#lastPut, version)
    if (!this.isTaken || this.#isBeingRead || version <= this.puts) return false
    if (version > this.puts + 1) {
      this.readAgain()
      return false
    }
    this.puts = version
    return true
  }

  /** What was fired of it may be fired again, which has no effect. */
  readAgain(): void {
    this.left = BEFORE_ALL
  }

  /**
   * Reads it once and picks the earliest timers behind `left`, so many at most. `read` gives what was put into it from a
   * version on.
   */
  async pick(read: (from: number) => AsyncIterable<ReadPut>, most: number): Promise<readonly DueTimer[]> {
    const picked = new Pick(this.left ?? BEFORE_ALL, most)
    let puts = 0
    this.#isBeingRead = true
    try {
      do {
        for await (const { version, timers } of read(puts + 1)) {
          puts = version
          picked.offer(version, timers)
        }
      } while (puts < this.#lastPut)
    } finally {
      this.#isBeingRead = false
    }
    const { timers, left } = picked.end()
    this.puts = puts
    this.left = left
    return timers
  }

  /** Whether a timer that was just put there will be come upon when it is read again. */
  isLeft({ at }: DueTimer): boolean {
    return this.left !== undefined && at >= this.left.at
  }
}

export interface ReadPut {
  readonly version: number
  readonly timers: readonly DueTimer[]
}

interface Offered extends DuePlace {
  readonly timer: DueTimer
}

/** The earliest timers of many, in bounded memory. */
class Pick {
  readonly #after: DuePlace
  readonly #most: number
  #offered: Offered[] = []
  /** What is behind this place was left out. */
  #left: DuePlace | undefined

  constructor(after: DuePlace, most: number) {
    this.#after = after
    this.#most = most
  }

  offer(version: number, timers: readonly DueTimer[]): void {
    for (const [i, timer] of timers.entries()) {
      const offered = { at: timer.at, order: version * TIMERS_PER_PUT + i, timer }
      if (compare(offered, this.#after) <= 0) continue
      if (this.#left === undefined || compare(offered, this.#left) <= 0) this.#offered.push(offered)
    }
    if (this.#offered.length > 2 * this.#most) this.#cut()
  }

  end(): { readonly timers: readonly DueTimer[]; readonly left: DuePlace | undefined } {
    if (this.#offered.length > this.#most) this.#cut()
    return { timers: this.#offered.map(({ timer }) => timer), left: this.#left }
  }

  #cut(): void {
    this.#offered = this.#offered.toSorted(compare).slice(0, this.#most)
    const { at, order } = this.#offered.at(-1)!
    this.#left = { at, order }
  }
}

function compare(a: DuePlace, b: DuePlace): number {
  return a.at - b.at || a.order - b.order
}
