/**
 * Tells whoever is warned what a consumer has parked: the first few one by one, and what comes within the same minute together.
 * A bug may park thousands, and each is in the log, with its reason.
 */
import { reasonOf } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import type { FeedEvent } from '../read/event-feed.ts'

export interface ParkedWarningsOptions {
  readonly clock: Clock
  readonly onWarning: (message: string) => void
}

/** So many are told one by one within so long. */
export const TOLD_MAX = 10
export const TOLD_WITHIN_MS = 60_000
/** What those who have parked something are told to do. */
export const ADVICE = 'Mend that, and have it retried or skipped (retryParked, skipParked; penhold parked).'

export class ParkedWarnings {
  readonly #who: string
  readonly #clock: Clock
  readonly #onWarning: (message: string) => void
  /** Since then, on the monotonic clock, so many were told, and so many were not; and the last of these. */
  #since = Number.NEGATIVE_INFINITY
  #told = 0
  #untold = 0
  #last = ''

  constructor(who: string, { clock, onWarning }: ParkedWarningsOptions) {
    this.#who = who
    this.#clock = clock
    this.#onWarning = onWarning
  }

  parked({ shard, stream, version, type }: FeedEvent, error: unknown): void {
    this.look()
    const now = this.#clock.monotonic()
    if (now - this.#since >= TOLD_WITHIN_MS) {
      this.#since = now
      this.#told = 0
    }
    const what = `'${type}', version ${version} of ${stream}`
    if (this.#told < TOLD_MAX) {
      this.#told += 1
      return this.#warn(
        `, shard ${shard}: has parked ${what}, and parks what follows there: ${reasonOf(error)}. ${ADVICE}`,
      )
    }
    this.#untold += 1
    this.#last = `${what}: ${reasonOf(error)}`
  }

  /** Called now and then: tells what was not told one by one. */
  look(): void {
    if (this.#untold > 0 && this.#clock.monotonic() - this.#since >= TOLD_WITHIN_MS) this.tellRest()
  }

  /** Now, as nobody may come to tell it later. */
  tellRest(): void {
    if (this.#untold === 0) return
    const streams = this.#untold === 1 ? '1 more stream' : `${this.#untold} more streams`
    this.#warn(` has parked events of ${streams}, the last ${this.#last}. ${ADVICE}`)
    this.#untold = 0
  }

  /** Whoever is told ends nothing. */
  #warn(message: string): void {
    try {
      this.#onWarning(`${this.#who}${message}`)
    } catch {
      // It is in the log as well.
    }
  }
}
