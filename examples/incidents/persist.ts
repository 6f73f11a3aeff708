/** Asking again: what fails only for a while (a full mailbox, a worker that is being replaced) is tried again. */
import { setTimeout } from 'node:timers/promises'
import { PenholdError } from '../../src/index.ts'

const TRIES_MAX = 10
/** The first pause; each is twice the one before. */
const PAUSE_MS = 50
const PAUSE_MS_MAX = 2_000

/**
 * What `ask` resolves to, after as many tries as it takes. A command is asked with the same id each time, so that it is
 * safe whatever became of the tries before.
 * @throws the last error, once it is not retryable, or after the last try, or when the signal tells to stop
 */
export async function persist<T>(ask: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask()
    } catch (error) {
      const isWorthIt = error instanceof PenholdError && error.retryable && tries < TRIES_MAX
      if (!isWorthIt || signal?.aborted === true) throw error
      await setTimeout(Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** (tries - 1)))
    }
  }
}
