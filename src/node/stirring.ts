/**
 * Stirring: how a worker's thread shows whether it is held by a call to the disk that does not return. It stirs by a timer,
 * and with each call that has returned; and says so where one has been under way for too long, though others return.
 */
import { every, type Clock } from '../log/clock.ts'
import type { FileCalls } from '../platform/file-calls.ts'

const STIR_MS = 250
/** A disk that takes longer has answered others meanwhile. */
const CALL_MS_MAX = 2_500

export class Stirring {
  readonly #clock: Clock
  readonly #stir: (isOverdue: boolean) => void
  /** When each call that is under way began, the oldest first, on the monotonic clock. */
  readonly #underWay = new Map<number, number>()
  #calls = 0

  constructor(clock: Clock, stir: (isOverdue: boolean) => void) {
    this.#clock = clock
    this.#stir = stir
    every(clock, STIR_MS, () => this.#tell())
  }

  /** The same calls, watched. */
  watch(calls: FileCalls): FileCalls {
    const watched = Object.entries(calls).map(([name, call]) => {
      return [name, (...given: readonly unknown[]) => this.#during(() => call(...given))]
    })
    return Object.fromEntries(watched) as FileCalls
  }

  async #during(call: () => Promise<unknown>): Promise<unknown> {
    const number = (this.#calls += 1)
    this.#underWay.set(number, this.#clock.monotonic())
    try {
      return await call()
    } finally {
      this.#underWay.delete(number)
      this.#tell()
    }
  }

  #tell(): void {
    const [oldest] = this.#underWay.values()
    this.#stir(oldest !== undefined && this.#clock.monotonic() - oldest >= CALL_MS_MAX)
  }
}
