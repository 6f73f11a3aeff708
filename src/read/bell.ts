/** Wakes those who wait for something to change. They look again for themselves whether it has. */
import type { Clock } from '../log/clock.ts'

export class Bell {
  #waiting = new Set<() => void>()

  ring(): void {
    const waiting = this.#waiting
    this.#waiting = new Set()
    for (const wake of waiting) wake()
  }

  /** Resolves when it rings next. */
  rung(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve))
  }

  /** Resolves when it rings next, or after `ms`. */
  rungWithin(clock: Clock, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.after(ms, wake)
      const waiting = this.#waiting
      waiting.add(wake)
      function wake(): void {
        cancel()
        waiting.delete(wake)
        resolve()
      }
    })
  }
}
