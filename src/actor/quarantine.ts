/**
 * Aggregates whose handlers held a thread: each is left alone for a while, twice as long with every time, up to ten minutes.
 * One that has held none for an hour since begins anew, so that what was mended, or happens once a month, costs a second.
 */
import type { Clock } from '../log/clock.ts'

/** An aggregate, and for how many more milliseconds it is left alone. */
export interface Quarantined {
  readonly stream: string
  readonly ms: number
}

const FIRST_MS = 1_000
const LONGEST_MS = 10 * 60_000
/** Long enough that whoever does it again and again has no more of the thread by pausing now and then. */
const FORGOTTEN_MS = 60 * 60_000
const STREAMS_MAX = 1_000

export class Quarantine {
  readonly #clock: Clock
  readonly #streams = new Map<string, { readonly until: number; readonly ms: number }>()

  constructor(clock: Clock, quarantined: readonly Quarantined[] = []) {
    this.#clock = clock
    for (const { stream, ms } of quarantined) this.#set(stream, ms)
  }

  add(stream: string): void {
    this.#forget()
    const ms = Math.min(LONGEST_MS, (this.#streams.get(stream)?.ms ?? FIRST_MS / 2) * 2)
    this.#streams.delete(stream)
    this.#set(stream, ms)
    if (this.#streams.size > STREAMS_MAX) {
      const [oldest] = this.#streams.keys()
      this.#streams.delete(oldest!)
    }
  }

  /** For how many more milliseconds the aggregate is left alone; 0 where it is not. */
  remainingMs(stream: string): number {
    const entry = this.#streams.get(stream)
    return entry === undefined ? 0 : Math.max(0, entry.until - this.#clock.monotonic())
  }

  /** All that are left alone now. */
  list(): Quarantined[] {
    const all = [...this.#streams.keys()].map((stream) => ({ stream, ms: this.remainingMs(stream) }))
    return all.filter(({ ms }) => ms > 0)
  }

  #forget(): void {
    const now = this.#clock.monotonic()
    for (const [stream, { until }] of this.#streams) if (now - until >= FORGOTTEN_MS) this.#streams.delete(stream)
  }

  #set(stream: string, ms: number): void {
    this.#streams.set(stream, { until: this.#clock.monotonic() + ms, ms })
  }
}
