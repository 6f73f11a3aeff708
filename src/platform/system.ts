/** The machine's clock and its chance. */
import { randomFillSync } from 'node:crypto'
import type { Clock } from '../log/clock.ts'
import type { Random } from '../log/random.ts'

export const systemClock: Clock = {
  now: () => Date.now(),
  // The one clock that all threads of a process share.
  monotonic: () => Number(process.hrtime.bigint() / 1000n) / 1000,
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
  // Not process.nextTick, which would come between two messages that have both arrived.
  defer: (callback) => void setImmediate(callback),
  yield: () => new Promise((resolve) => setImmediate(resolve)),
}

export const systemRandom: Random = {
  fill: (bytes) => void randomFillSync(bytes),
}
