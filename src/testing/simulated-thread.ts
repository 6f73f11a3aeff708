/**
 * A thread in the simulator: a place where code runs that can be stopped, woken up and killed between any two steps.
 * What comes to it from outside (timers, frames, completions of the disk) waits while it is stopped, and is dropped
 * when it is dead: nothing of a dead thread ever runs again.
 */
import type { Clock } from '../log/clock.ts'
import type { Cancel, Kernel } from './kernel.ts'

/** What wall clocks that are right say when the simulation begins. */
export const WALL_MS: number = Date.UTC(2026, 0, 1)

/** A machine's clock, shared by all threads of a process. */
export interface MachineClock {
  /** What the wall clock is off by; jumps when it is set. */
  wallMs: number
  /** How fast its seconds pass, 1 being right. */
  readonly rate: number
}

export class SimulatedThread {
  readonly clock: Clock
  readonly #kernel: Kernel
  #state: 'running' | 'stopped' | 'dead' = 'running'
  /** What came while it was stopped, in order. */
  #waiting: (() => void)[] = []

  constructor(kernel: Kernel, machine: MachineClock) {
    this.#kernel = kernel
    this.clock = {
      now: () => Math.floor(machine.wallMs + kernel.now * machine.rate),
      monotonic: () => kernel.now * machine.rate,
      after: (ms, callback) => this.after(ms / machine.rate, callback),
      afterAlive: (ms, callback) => this.after(ms / machine.rate, callback),
      defer: (callback) => void this.after(0, callback),
      yield: () => new Promise((resolve) => this.after(0, resolve)),
    }
  }

  get isDead(): boolean {
    return this.#state === 'dead'
  }
  get isRunning(): boolean {
    return this.#state === 'running'
  }

  /** Runs something that has arrived from outside. */
  run(callback: () => void): void {
    if (this.#state === 'running') callback()
    else if (this.#state === 'stopped') this.#waiting.push(callback)
  }

  after(ms: number, callback: () => void): Cancel {
    return this.#kernel.after(ms, () => this.run(callback))
  }

  /** Resolves when the thread runs; never, where it is dead. */
  awake(): Promise<void> {
    return new Promise((resolve) => this.run(resolve))
  }

  stop(): void {
    if (this.#state === 'running') this.#state = 'stopped'
  }

  wake(): void {
    if (this.#state !== 'stopped') return
    this.#state = 'running'
    // One at a time, as they came, with all that follows from each before the next.
    for (const callback of this.#waiting.splice(0)) this.after(0, callback)
  }

  kill(): void {
    this.#state = 'dead'
    this.#waiting = []
  }
}
