/**
 * An open bucket as the wheel that takes it up knows it: how far it was read, and what of it is held in memory.
 *
 * One with more timers than there is room for is read several times, each time all of it, for the earliest that are left. Once the last of them
 * is due, which comes first is of no account any more: from there on it is read once, in the order in which they were put there, each
 * time from where it was left.
 */
import { assert } from '../aggregate/assert.ts'
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
/** More than are put at once. */
const TIMERS_PER_PUT = 4096
const UNKNOWN = Number.POSITIVE_INFINITY

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
  /** All that was put into it up to `puts` is due by then, in milliseconds since 1970. */
  #lastAt = UNKNOWN
  /** Where it is read in the order of puts: timers up to this one are done with, whatever `left` says of those up to `sorted`. */
  #passed: number | undefined
  #sorted = 0
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
    this.#lastAt = 0
  }

  /** It is not held in memory any more, and is read again when it is near. */
  letGo(): void {
    this.succeeded()
    this.isTaken = false
    this.readAgain()
  }

  /** Something was put into it. Whether that is to be held in memory at once, where there is room. */
  wasPut(version: number, timers: readonly DueTimer[]): boolean {
    this.#lastPut = Math.max(this.#lastPut, version)
    if (!this.isTaken || this.#isBeingRead || version <= this.puts) return false
    // It will be come upon.
    if (this.#passed !== undefined && this.left !== undefined) return false
    if (version > this.puts + 1) {
      this.readOn()
      return false
    }
    this.puts = version
    this.#lastAt = timers.reduce((last, { at }) => Math.max(last, at), this.#lastAt)
    return true
  }

  /** There is no room for these, which were just put there. */
  leave(timers: readonly DueTimer[], now: number): void {
    assert(timers.length > 0, 'there is room for nothing')
    if (this.left === undefined && this.#lastAt <= now) {
      this.#passed = placeBefore(this.puts)
      this.left = BEFORE_ALL
    } else this.left = { at: Math.min(...timers.map(({ at }) => at)), order: 0 }
  }

  /** There may be more than is known here. What was fired of it may be fired again, which has no effect. */
  readOn(): void {
    if (this.#passed === undefined) return this.readAgain()
    this.#passed = placeBefore(this.puts + 1)
    this.left = BEFORE_ALL
  }

  /** All of it. What was fired of it is fired again, which has no effect. */
  readAgain(): void {
    this.left = BEFORE_ALL
    this.#passed = undefined
    this.#lastAt = UNKNOWN
  }

  /** Picks the next timers that are left, so many at most. `read` gives what was put into it from a version on. */
  async pick(
    read: (from: number) => AsyncIterable<ReadPut>,
    { most, now }: { readonly most: number; readonly now: number },
  ): Promise<readonly DueTimer[]> {
    if (this.#passed === undefined && this.#lastAt <= now) {
      this.#passed = 0
      this.#sorted = this.puts
    }
    this.#isBeingRead = true
    try {
      return this.#passed === undefined
        ? await this.#pickEarliest(read, most)
        : await this.#pickNext(read, { most, passed: this.#passed })
    } finally {
      this.#isBeingRead = false
    }
  }

  /** Reads all of it. */
  async #pickEarliest(read: (from: number) => AsyncIterable<ReadPut>, most: number): Promise<readonly DueTimer[]> {
    const picked = new Pick({ after: this.left ?? BEFORE_ALL, known: this.puts, most })
    let puts = 0
    do {
      for await (const { version, timers } of read(puts + 1)) {
        puts = version
        picked.offer(version, timers)
      }
    } while (puts < this.#lastPut)
    const { timers, left, lastAt } = picked.end()
    this.puts = puts
    this.left = left
    this.#lastAt = lastAt
    return timers
  }

  /** Reads on until there are enough. */
  async #pickNext(
    read: (from: number) => AsyncIterable<ReadPut>,
    { most, passed }: { readonly most: number; readonly passed: number },
  ): Promise<readonly DueTimer[]> {
    const left = this.left ?? BEFORE_ALL
    const picked: DueTimer[] = []
    let puts = Math.max(0, versionOf(passed) - 1)
    let reached = passed
    do {
      for await (const { version, timers } of read(puts + 1)) {
        puts = version
        for (const [i, timer] of timers.entries()) {
          const order = orderOf(version, i)
          if (order <= passed) continue
          if (picked.length === most) {
            this.#passed = reached
            return picked
          }
          reached = order
          if (version > this.#sorted || compare({ at: timer.at, order }, left) > 0) picked.push(timer)
        }
      }
    } while (puts < this.#lastPut)
    this.#passed = reached
    this.puts = Math.max(this.puts, puts)
    this.left = undefined
    return picked
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
  /** Of what was put there up to `known`, all up to this place is done with. What came later may be due before. */
  readonly #after: DuePlace
  readonly #known: number
  readonly #most: number
  #offered: Offered[] = []
  #lastAt = 0
  /** What is behind this place was left out. */
  #left: DuePlace | undefined

  constructor({ after, known, most }: { readonly after: DuePlace; readonly known: number; readonly most: number }) {
    this.#after = after
    this.#known = known
    this.#most = most
  }

  offer(version: number, timers: readonly DueTimer[]): void {
    for (const [i, timer] of timers.entries()) {
      const offered = { at: timer.at, order: orderOf(version, i), timer }
      this.#lastAt = Math.max(this.#lastAt, timer.at)
      if (version <= this.#known && compare(offered, this.#after) <= 0) continue
      if (this.#left === undefined || compare(offered, this.#left) <= 0) this.#offered.push(offered)
    }
    if (this.#offered.length > 2 * this.#most) this.#cut()
  }

  /** `lastAt`: when the last that was offered is due. */
  end(): { readonly timers: readonly DueTimer[]; readonly left: DuePlace | undefined; readonly lastAt: number } {
    if (this.#offered.length > this.#most) this.#cut()
    return { timers: this.#offered.map(({ timer }) => timer), left: this.#left, lastAt: this.#lastAt }
  }

  #cut(): void {
    this.#offered = this.#offered.toSorted(compare).slice(0, this.#most)
    const { at, order } = this.#offered.at(-1)!
    this.#left = { at, order }
  }
}

function orderOf(version: number, index: number): number {
  return version * TIMERS_PER_PUT + index
}

function versionOf(order: number): number {
  return Math.floor(order / TIMERS_PER_PUT)
}

/** Behind all that was put there before. */
function placeBefore(version: number): number {
  return orderOf(version, 0) - 1
}

function compare(a: DuePlace, b: DuePlace): number {
  return a.at - b.at || a.order - b.order
}
