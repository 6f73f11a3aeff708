/**
 * A subscription that calls a handler: one event at a time, in order. The next is read once the handler is done with the one
 * before, so that a slow one costs no memory.
 */

/** What a subscription does with each event; what it returns is waited for where that is a promise. */
export type EventHandler<Event> = (event: Event) => unknown

/** A running subscription. `After` is what the reading goes on behind: a place in the log, or a stream's version. */
export interface Subscription<After> extends AsyncDisposable {
  /**
   * Give it as `after` to go on behind the last event that the handler was done with. Before there was any it is the
   * `after` that the subscription was given; undefined where it was given none. Whoever keeps it keeps it with what was
   * made of the event.
   */
  readonly after: After | undefined
  /**
   * Resolves once it has ended on purpose: it was stopped, its signal aborted, its node closed. Rejects with what has ended
   * it otherwise, the handler's error or that of the reading; if nobody has looked, Node ends the process with it.
   */
  readonly closed: Promise<void>
  /** Ends it: the handler gets nothing more. `closed` says when it is done with what it has. */
  stop(): void
}

export interface SubscriptionSource<Event, After> {
  /** Ends once the signal is aborted. */
  readonly events: AsyncGenerator<Event, void>
  /** Behind what it begins; undefined for the beginning. */
  readonly after: After | undefined
  readonly stopping: AbortController
  readonly onEvent: EventHandler<Event>
  readonly afterOf: (event: Event) => After
}

export class RunningSubscription<Event, After> implements Subscription<After> {
  readonly closed: Promise<void>
  readonly #source: SubscriptionSource<Event, After>
  #after: After | undefined

  constructor(source: SubscriptionSource<Event, After>) {
    this.#source = source
    this.#after = source.after
    this.closed = this.#run()
  }

  get after(): After | undefined {
    return this.#after
  }

  stop(): void {
    this.#source.stopping.abort()
  }

  /** Stops it, and waits until the handler is done. What has ended it before is for `closed` to say. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stop()
    await Promise.allSettled([this.closed])
  }

  async #run(): Promise<void> {
    const { events, stopping, onEvent, afterOf } = this.#source
    for await (const event of events) {
      if (stopping.signal.aborted) return
      await onEvent(event)
      this.#after = afterOf(event)
    }
  }
}
