/** Time that passes only when it is told to. Turns end, and threads are yielded, as on the real clock. */
import type { Cancel, Clock } from '../log/clock.ts'

interface Timer {
  readonly at: number
  readonly order: number
  readonly callback: () => void
}

export class SimulatedClock implements Clock {
  #now: number
  #monotonic = 0
  #order = 0
  readonly #timers = new Set<Timer>()

  constructor(now: number = Date.UTC(2026, 0, 1)) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }
  monotonic(): number {
    return this.#monotonic
  }

  after(ms: number, callback: () => void): Cancel {
    const timer = { at: this.#monotonic + ms, order: (this.#order += 1), callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  afterAlive(ms: number, callback: () => void): Cancel {
    return this.after(ms, callback)
  }

  defer(callback: () => void): void {
    void Promise.resolve().then(callback)
  }

  yield(): Promise<void> {
    return Promise.resolve()
  }

  /** Lets time pass, and runs the timers that come due, in order. */
  advance(ms: number): void {
    const end = this.#monotonic + ms
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at || a.order - b.order)
      const [next] = due
      if (next === undefined) break
      this.#timers.delete(next)
      this.#now += next.at - this.#monotonic
      this.#monotonic = next.at
      next.callback()
    }
    this.#now += end - this.#monotonic
    this.#monotonic = end
  }

  /** The machine's clock is set, forward or back; nothing else notices. */
  jump(ms: number): void {
    this.#now += ms
  }
}
