/** What the lease store's clock says, also between its answers; and a warning where this machine's says otherwise. */
import type { Clock } from '../log/clock.ts'

/** Nobody's clock is off by that much who keeps it right; and the answer of a store may be late by seconds. */
const TOLD_MS = 60_000
/** One answer may have been late by more, as where this process was stopped. */
const TOLD_AFTER = 2

export class StoreClock {
  readonly #clock: Clock
  readonly #onWarning: (message: string) => void
  #aheadOfMonotonicMs: number | undefined
  /** Answers in a row by which the two are apart. */
  #apart = 0

  constructor(clock: Clock, onWarning: (message: string) => void) {
    this.#clock = clock
    this.#onWarning = onWarning
  }

  /** Milliseconds since 1970, also while the store is away; undefined until it was heard. */
  get time(): number | undefined {
    const aheadMs = this.#aheadOfMonotonicMs
    return aheadMs === undefined ? undefined : Math.round(aheadMs + this.#clock.monotonic())
  }

  /** It has just said what time it is. */
  hear(time: number): void {
    this.#aheadOfMonotonicMs = time - this.#clock.monotonic()
    const behindMs = time - this.#clock.now()
    this.#apart = Math.abs(behindMs) > TOLD_MS ? this.#apart + 1 : 0
    if (this.#apart !== TOLD_AFTER) return
    const seconds = Math.round(Math.abs(behindMs) / 1_000)
    this.#onWarning(
      `the clock of this machine is ${seconds} s ${behindMs > 0 ? 'behind' : 'ahead of'} the lease store's: events get its times, and timers and schedules go by it. Set the one that is wrong.`,
    )
  }
}
