/** How long somebody waits for an answer: so many milliseconds from the beginning, and until they give up. */
import type { PenholdError } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import { waitAborted } from './error.ts'

export interface PatienceOptions {
  readonly clock: Clock
  /** Of which projection, for messages. */
  readonly projection: string
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

/** A timer of Node's ends at once where it is to take longer than these 24 days. */
const TIMER_MS_MAX = 2 ** 31 - 1

/**
 * What the work comes to, unless the caller gives up before.
 * @throws PenholdError `Aborted`
 */
export function unlessAborted<Result>(
  work: Promise<Result>,
  { projection, signal }: Pick<PatienceOptions, 'projection' | 'signal'>,
): Promise<Result> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(waitAborted(projection, signal.reason))
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

export class Patience {
  readonly timeoutMs: number
  readonly #options: PatienceOptions
  /** On the monotonic clock. */
  readonly #end: number

  constructor(options: PatienceOptions) {
    this.#options = options
    this.timeoutMs = options.timeoutMs
    this.#end = options.clock.monotonic() + options.timeoutMs
  }

  get leftMs(): number {
    return Math.min(TIMER_MS_MAX, Math.max(0, this.#end - this.#options.clock.monotonic()))
  }

  /** @throws PenholdError `Aborted`; what `late` makes, where the time is over */
  check(late: () => PenholdError): void {
    const { projection, signal } = this.#options
    if (signal?.aborted === true) throw waitAborted(projection, signal.reason)
    if (this.leftMs === 0) throw late()
  }

  /**
   * What the work comes to in time. Where it comes too late nobody hears of it.
   * @throws PenholdError what `late` makes; `Aborted`
   */
  wait<Result>(work: Promise<Result>, late: () => PenholdError): Promise<Result> {
    const { clock, projection, signal } = this.#options
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        cancel()
        signal?.removeEventListener('abort', abort)
      }
      const abort = (): void => fail(waitAborted(projection, signal?.reason))
      const fail = (error: unknown): void => {
        stop()
        reject(error)
      }
      const cancel = clock.after(this.leftMs, () => fail(late()))
      signal?.addEventListener('abort', abort, { once: true })
      if (signal?.aborted === true) abort()
      work.then((result) => {
        stop()
        resolve(result)
      }, fail)
    })
  }
}
