/**
 * What a lane waits with that is no event's fault, its store or the log: told at any time to who asks, and to who is warned as
 * soon as it comes, and then now and then.
 */
import { reasonOf } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import { backOffMs } from './back-off.ts'
import type { Bell } from './bell.ts'
import type { Trouble } from './lane-status.ts'

/** The same warning again is told no sooner. */
const WARNING_MS = 10_000

export interface LaneTroubleOptions {
  readonly clock: Clock
  readonly onWarning: (message: string) => void
  /** Whether it says itself that the lane waits. Default true. */
  readonly isTold?: boolean
}

export class LaneTrouble {
  readonly #who: string
  readonly #clock: Clock
  readonly #onWarning: (message: string) => void
  readonly #isTold: boolean
  #trouble: Trouble | undefined
  #warnedAt = Number.NEGATIVE_INFINITY

  constructor(who: string, { clock, onWarning, isTold = true }: LaneTroubleOptions) {
    this.#who = who
    this.#clock = clock
    this.#onWarning = onWarning
    this.#isTold = isTold
  }

  /** Undefined where it waits with nothing. */
  get now(): Trouble | undefined {
    return this.#trouble
  }

  over(): void {
    this.#trouble = undefined
  }

  /** It was tried so often; once more than before where nobody says. */
  tell(error: unknown, attempts: number = (this.#trouble?.attempts ?? 0) + 1): void {
    this.#trouble = { message: reasonOf(error), attempts, event: undefined }
    if (!this.#isTold || this.#clock.monotonic() - this.#warnedAt < WARNING_MS) return
    this.#warnedAt = this.#clock.monotonic()
    this.warn(`waits and tries again: ${reasonOf(error)}`)
  }

  /** Until it is to be tried again, or the bell rings. */
  async rest(bell: Bell): Promise<void> {
    await bell.rungWithin(this.#clock, backOffMs(this.#trouble?.attempts ?? 1))
  }

  /** Whoever is told does not end the lane. */
  warn(message: string): void {
    try {
      this.#onWarning(`${this.#who}: ${message}`)
    } catch {
      // It is in the status as well.
    }
  }
}
