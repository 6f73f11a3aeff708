/** The machine's clock and its chance. */
import { randomFillSync } from 'node:crypto'
import type { Clock } from '../log/clock.ts'
import type { Random } from '../log/random.ts'

/**
 * performance.now() counts from the start of its thread; the high-resolution time is the same for all threads of a
 * process, but costs five times as much to read.
 */
const SHARED_CLOCK_OFFSET_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now()

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() + SHARED_CLOCK_OFFSET_MS,
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
  afterAlive(ms, callback) {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
  // Not process.nextTick, which would come between two messages that have both arrived.
  defer: (callback) => void setImmediate(callback),
  yield: () => new Promise((resolve) => setImmediate(resolve)),
}

export const systemRandom: Random = {
  fill: (bytes) => void randomFillSync(bytes),
}
