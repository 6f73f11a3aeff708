/** Time that passes only when it is told to, over code that runs on the event loop: what follows from each moment comes before the next. */
import type { Cancel, Clock } from '../log/clock.ts'
import { DueHeap } from '../react/due-heap.ts'

interface Timer {
  readonly due: number
  callback: (() => void) | undefined
}

export class VirtualClock implements Clock {
  #now: number
  readonly #start: number
  readonly #timers = new DueHeap<Timer>()
  /** What is to happen in this moment still. */
  #deferred = 0

  constructor(now: number) {
    this.#now = now
    this.#start = now
  }

  now(): number {
    return this.#now
  }
  monotonic(): number {
    return this.#now - this.#start
  }

  after(ms: number, callback: () => void): Cancel {
    const timer: Timer = { due: this.#now + Math.max(0, ms), callback }
    this.#timers.push(timer)
    return () => {
      timer.callback = undefined
    }
  }

  afterAlive(ms: number, callback: () => void): Cancel {
    return this.after(ms, callback)
  }

  defer(callback: () => void): void {
    this.#deferred += 1
    setImmediate(() => {
      this.#deferred -= 1
      callback()
    })
  }

  yield(): Promise<void> {
    return new Promise((resolve) => this.defer(resolve))
  }

  /** Lets time pass, and all happen that comes due, in order. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    await this.#settle()
    for (let next = this.#timers.first; next !== undefined && next.due <= end; next = this.#timers.first) {
      this.#now = Math.max(this.#now, next.due)
      while ((this.#timers.first?.due ?? Number.POSITIVE_INFINITY) <= this.#now) {
        // Called in the order of their times; those of one moment follow each other without a turn between.
        this.#timers.pop()?.callback?.()
      }
      await this.#settle()
    }
    this.#now = end
  }

  async #settle(): Promise<void> {
    do {
      await new Promise<void>((resolve) => {
        setImmediate(resolve)
      })
    } while (this.#deferred > 0)
  }
}
