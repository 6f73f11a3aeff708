/**
 * One attempt to apply a row of events to a read model, and which of them could not be. A handler that returns a promise has
 * a bounded time to keep it; after that, and once the attempt is given up, whatever it comes to is of no account.
 */
import { isThenable } from '../aggregate/synchronous.ts'
import type { Cancel, Clock } from '../log/clock.ts'
import { handlerTimedOut } from './error.ts'
import type { FeedEvent } from './event-feed.ts'
import { unchanging } from './feed-event.ts'
import type { handlersOf, Projection } from './projection.ts'

export interface AttemptOptions<Model> extends Pick<Projection, 'handlerTimeoutMs'> {
  readonly handlers: ReturnType<typeof handlersOf<Model>>
  readonly clock: Clock
}

export interface HandlerFailure {
  readonly event: FeedEvent
  readonly error: unknown
}

export class Attempt<Model> {
  readonly #events: readonly FeedEvent[]
  readonly #options: AttemptOptions<Model>
  #failure: HandlerFailure | undefined
  /** Why nothing more of it is to happen. */
  #givenUp: { readonly reason: unknown } | undefined
  /** Ends the waiting for the handler that is under way. */
  #interrupt: (reason: unknown) => void = () => undefined

  constructor(events: readonly FeedEvent[], options: AttemptOptions<Model>) {
    this.#events = events
    this.#options = options
  }

  /** Which event's handler has failed; then what `apply` has changed must be undone. */
  get failure(): HandlerFailure | undefined {
    return this.#failure
  }

  /** In order, each after the one before has ended. Synchronous where the handlers are. Throws what a handler throws. */
  apply(model: Model): void | Promise<void> {
    // A store may do it again from the start, where it has undone what it did before.
    this.#failure = undefined
    for (let index = 0; index < this.#events.length; index += 1) {
      const returned = this.#handle(index, model)
      if (!isThenable(returned)) continue
      const rest = this.#goOn(index, returned, model)
      // A store that cannot wait has thrown by then.
      rest.catch(() => undefined)
      return rest
    }
  }

  get isGivenUp(): boolean {
    return this.#givenUp !== undefined
  }

  /** No other handler begins, and the one that is under way is not waited for: `apply` throws the reason, if it has not ended. */
  giveUp(reason: unknown): void {
    this.#givenUp ??= { reason }
    this.#interrupt(reason)
  }

  async #goOn(first: number, returned: unknown, model: Model): Promise<void> {
    let index = first
    try {
      await this.#settled(index, returned)
      for (index = first + 1; index < this.#events.length; index += 1) {
        const next = this.#handle(index, model)
        if (isThenable(next)) await this.#settled(index, next)
      }
    } catch (error) {
      if (this.#givenUp === undefined) this.#failure ??= { event: this.#events[index]!, error }
      throw error
    }
  }

  /** Once a handler's promise is kept. @throws what it is broken with, or that it was not kept in time */
  #settled(index: number, returned: unknown): Promise<void> {
    const { clock, handlerTimeoutMs } = this.#options
    return new Promise((resolve, reject) => {
      const late = (): void => reject(handlerTimedOut(this.#events[index]!, handlerTimeoutMs))
      const cancel: Cancel = clock.after(handlerTimeoutMs, late)
      const fail = (reason: unknown): void => {
        cancel()
        reject(reason)
      }
      const done = (): void => {
        cancel()
        resolve()
      }
      this.#interrupt = fail
      Promise.resolve(returned).then(done, fail)
    })
  }

  #handle(index: number, model: Model): unknown {
    if (this.#givenUp !== undefined) throw this.#givenUp.reason
    const event = this.#events[index]!
    try {
      return this.#options.handlers(event)?.(unchanging(event), model)
    } catch (error) {
      this.#failure = { event, error }
      throw error
    }
  }
}
