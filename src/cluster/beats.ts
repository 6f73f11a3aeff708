/**
 * When a node tells the lease store how it stands: at regular intervals, and before long whenever it has something to
 * tell. One beat at a time; each says all that is so when it begins, so that many who ask are answered by one.
 */
import type { Cancel, Clock } from '../log/clock.ts'

/**
 * Between two beats that somebody has asked for. Each tells of all shards and is answered with all of them: with thousands,
 * and one for every shard that moves, the store would do nothing else. The log does not wait for it, and neither do heirs,
 * who hear of a shard from its owner: the store only has to know before a lease could run out.
 */
const REST_MS = 100

export interface BeatsOptions {
  readonly clock: Clock
  readonly everyMs: number
  /** Does not fail: whoever cares looks what came of it. */
  readonly beat: () => Promise<void>
}

export class Beats {
  readonly #options: BeatsOptions
  #last: Promise<void> = Promise.resolve()
  /** It has not begun. */
  #next: Promise<void> | undefined
  #isAsked = false
  #isHurrying = false
  #isClosed = false
  #stopTimer: Cancel = () => undefined

  constructor(options: BeatsOptions) {
    this.#options = options
  }

  /** At regular intervals from here on. */
  start(): void {
    if (this.#isClosed) return
    this.#stopTimer = this.#options.clock.after(this.#options.everyMs, () => {
      void this.now()
      this.start()
    })
  }

  /** Resolves when the store has been told what is so now, or did not answer. */
  now(): Promise<void> {
    this.#next ??= this.#last.then(() => {
      this.#next = undefined
      this.#isAsked = false
      return this.#isClosed ? undefined : this.#options.beat()
    })
    this.#last = this.#next.catch(() => undefined)
    return this.#next
  }

  /** At once where none was asked for lately, and else as soon as that is a moment ago. */
  soon(): void {
    this.#isAsked = true
    if (!this.#isHurrying) void this.#hurry()
  }

  /** None begins from here on. Resolves when none is under way. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#stopTimer()
    await this.#last
  }

  async #hurry(): Promise<void> {
    this.#isHurrying = true
    try {
      while (this.#isAsked && !this.#isClosed) {
        await this.now()
        await new Promise<void>((resolve) => this.#options.clock.after(REST_MS, resolve))
      }
    } finally {
      this.#isHurrying = false
    }
  }
}
