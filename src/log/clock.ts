/** The port to time and timers. */
export interface Clock {
  /** Milliseconds since 1970, as the machine believes. May jump; nothing safe may depend on it. */
  now(): number
  /** Milliseconds since some fixed moment, the same for all threads of a process; never goes back. */
  monotonic(): number
  /** Runs the callback once after so many milliseconds. A pending timer does not keep the process alive. */
  after(ms: number, callback: () => void): Cancel
  /** The same, for what somebody waits for: the process stays until it has run. */
  afterAlive(ms: number, callback: () => void): Cancel
  /** Runs the callback once everything that has already arrived from outside was taken in, and its consequences. */
  defer(callback: () => void): void
  /** Resolves once others have had their turn: for long work that must not hold up the thread. */
  yield(): Promise<void>
}

export type Cancel = () => void

/** Calls back again and again, each time after so many milliseconds. */
export function every(clock: Clock, ms: number, callback: () => void): Cancel {
  let cancel = clock.after(ms, again)
  function again(): void {
    cancel = clock.after(ms, again)
    callback()
  }
  return () => cancel()
}

/** Resolves when the work is done, or after `ms`. Rejects where the work fails before. */
export async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  let cancel: Cancel = () => undefined
  const late = new Promise<void>((resolve) => (cancel = clock.after(ms, resolve)))
  await Promise.race([work, late]).finally(() => cancel())
}

/** For somebody who waits: the process stays meanwhile. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.afterAlive(ms, resolve))
}
