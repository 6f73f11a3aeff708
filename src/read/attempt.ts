/** One attempt to apply a row of events to a read model, and which of them could not be. */
import { isThenable } from '../aggregate/synchronous.ts'
import type { FeedEvent } from './event-feed.ts'
import type { ProjectionHandler } from './projection.ts'

type Handlers<Model> = (event: FeedEvent) => ProjectionHandler<any, Model> | undefined

export interface HandlerFailure {
  readonly event: FeedEvent
  readonly error: unknown
}

export class Attempt<Model> {
  readonly #events: readonly FeedEvent[]
  readonly #handlers: Handlers<Model>
  #failure: HandlerFailure | undefined

  constructor(events: readonly FeedEvent[], handlers: Handlers<Model>) {
    this.#events = events
    this.#handlers = handlers
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
      if (isThenable(returned)) return this.#goOn(index, returned, model)
    }
  }

  async #goOn(first: number, returned: unknown, model: Model): Promise<void> {
    let index = first
    try {
      await returned
      for (index = first + 1; index < this.#events.length; index += 1) await this.#handle(index, model)
    } catch (error) {
      this.#failure ??= { event: this.#events[index]!, error }
      throw error
    }
  }

  #handle(index: number, model: Model): unknown {
    const event = this.#events[index]!
    try {
      return this.#handlers(event)?.(event, model)
    } catch (error) {
      this.#failure = { event, error }
      throw error
    }
  }
}
