/**
 * Which workers of a node the ring counts on. One that is replaced within `graceMs` is counted on meanwhile, so that its
 * shards stay. One that was away for longer, or has ended again and again for so long, has to serve for as long first.
 */
import type { Clock } from '../log/clock.ts'

/** All on the monotonic clock. */
interface Attendance {
  /** Since when it has not been here for `graceMs` without a break. */
  troubledSince: number
  /** Undefined while it does not serve. */
  hereSince: number | undefined
}

export class Presence {
  readonly #clock: Clock
  readonly #graceMs: number
  readonly #workers: readonly Attendance[]

  constructor(clock: Clock, { workers, graceMs }: { readonly workers: number; readonly graceMs: number }) {
    this.#clock = clock
    this.#graceMs = graceMs
    const troubledSince = clock.monotonic()
    this.#workers = Array.from({ length: workers }, () => ({ troubledSince, hereSince: undefined }))
  }

  came(worker: number): void {
    this.went(worker)
    const attendance = this.#workers[worker]
    if (attendance !== undefined) attendance.hereSince = this.#clock.monotonic()
  }

  went(worker: number): void {
    const attendance = this.#workers[worker]
    if (attendance === undefined) return
    if (this.#isSteady(attendance)) attendance.troubledSince = this.#clock.monotonic()
    attendance.hereSince = undefined
  }

  /** The workers that are not counted on, increasing. */
  away({ isAlone }: { readonly isAlone: boolean }): readonly number[] {
    const away = this.#numbers((attendance) => !this.#isCountedOn(attendance))
    if (!isAlone || away.length < this.#workers.length) return away
    // With nobody to turn to, one that may end again is better than none.
    return this.#numbers(({ hereSince }) => hereSince === undefined)
  }

  #numbers(is: (attendance: Attendance) => boolean): readonly number[] {
    return this.#workers.flatMap((attendance, worker) => (is(attendance) ? [worker] : []))
  }

  #isCountedOn(attendance: Attendance): boolean {
    const { troubledSince, hereSince } = attendance
    return this.#isSteady(attendance) || (hereSince ?? this.#clock.monotonic()) - troubledSince <= this.#graceMs
  }

  #isSteady({ hereSince }: Attendance): boolean {
    return hereSince !== undefined && this.#clock.monotonic() - hereSince >= this.#graceMs
  }
}
