/**
 * How many events are committed together. A store such as SQLite's works on the thread that commands are handled on: so
 * many that it holds the thread for some milliseconds at a time, and no more than that.
 */
import type { Clock } from '../log/clock.ts'

/** From about here on whoever waits for the thread notices it. */
const HELD_MS = 8
const LEAST = 100

export class Pace {
  readonly #clock: Clock
  readonly #most: number
  #count: number

  /** Begins with as many as there may be: a store that does not hold the thread is best left alone. */
  constructor(clock: Clock, most: number) {
    this.#clock = clock
    this.#most = most
    this.#count = most
  }

  get count(): number {
    return this.#count
  }

  /** Runs a commit of so many events. What it does before it returns a promise holds the thread. */
  time<Result>(events: number, commit: () => Promise<Result>): Promise<Result> {
    const start = this.#clock.monotonic()
    const done = commit()
    this.#note(events, this.#clock.monotonic() - start)
    return done
  }

  #note(events: number, heldMs: number): void {
    if (heldMs > HELD_MS) this.#count = Math.min(this.#most, Math.max(LEAST, Math.ceil(events / 2)))
    // With room between, so that it does not go to and fro.
    else if (heldMs < HELD_MS / 4 && events >= this.#count) this.#count = Math.min(this.#most, this.#count * 2)
  }
}
