/**
 * Positions: a hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014) in one safe integer, 41 bits of
 * milliseconds since 2024-01-01 and 12 bits of counter. Increasing within a journal, and greater than every position
 * the writer has been shown (I6), whatever the machine's clock does.
 */
import { assert } from '../aggregate/assert.ts'
import type { Clock } from './clock.ts'

const EPOCH_MS = Date.UTC(2024, 0, 1)
const TICKS_PER_MS = 4096
/** What comes from elsewhere and is greater, from 50 days before the numbers end in 2093, is no position. */
export const POSITION_MAX: number = 2 ** 53 - 2 ** 44

/** How much later one position was given than another, in milliseconds of their writers' clocks. */
export function msBetween(earlier: number, later: number): number {
  return Math.floor(later / TICKS_PER_MS) - Math.floor(earlier / TICKS_PER_MS)
}

/** By so much positions are apart that clocks gave at such a distance. */
export function positionsIn(ms: number): number {
  return ms * TICKS_PER_MS
}

/** The greatest position that a clock that shows this time, and was shown nothing greater, gives. */
export function lastPositionAt(time: number): number {
  return (time - EPOCH_MS + 1) * TICKS_PER_MS - 1
}

/** What the clock showed that gave this position, or one that it was shown. Milliseconds since 1970. */
export function timeOfPosition(position: number): number {
  return EPOCH_MS + Math.floor(position / TICKS_PER_MS)
}

export class PositionClock {
  readonly #clock: Clock
  #last = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `now` is what the machine's clock says, where the caller has just read it. */
  next(now: number = this.#clock.now()): number {
    const physical = (now - EPOCH_MS) * TICKS_PER_MS
    this.#last = Math.max(Math.floor(physical), this.#last + 1)
    assert(Number.isSafeInteger(this.#last), 'positions have run out of their 53 bits')
    return this.#last
  }

  /** The greatest that was given out or observed. */
  get last(): number {
    return this.#last
  }

  /** Every position from now on is greater than this one. */
  observe(position: number): void {
    if (position > this.#last) this.#last = position
  }
}
