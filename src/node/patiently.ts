/** A lease store, or its machine, that stalls for a moment, and a node that starts: nobody may be there to start it again. */
import { PenholdError } from '../aggregate/error.ts'
import { pause, type Clock } from '../log/clock.ts'

const PATIENCE_MS = 5_000
const PAUSE_MS = 100

/**
 * Asks again, for a few seconds, what the lease store did not answer.
 * @throws what it failed with in the end, or at once where that has another reason
 */
export async function patiently(clock: Clock, ask: () => Promise<void>): Promise<void> {
  const until = clock.monotonic() + PATIENCE_MS
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      const isAway = error instanceof PenholdError && error.code === 'LeasesUnavailable'
      if (!isAway || clock.monotonic() >= until) throw error
    }
    await pause(clock, PAUSE_MS)
  }
}
