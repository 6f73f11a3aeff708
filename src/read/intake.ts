/**
 * Reads a feed ahead of whoever commits what it gives: while one batch is committed the next comes in, and then all that
 * is there is taken at once. Nobody waits for a batch to be full. So much is read ahead, and then the feed stands still.
 */
import type { AllPlace } from './all.ts'
import { Bell } from './bell.ts'
import type { FeedEvent, Page } from './event-feed.ts'

export interface Taken {
  readonly events: readonly FeedEvent[]
  /** All of the row up to here was taken. */
  readonly place: AllPlace
}

export class Intake {
  readonly #batchMax: number
  readonly #controller = new AbortController()
  readonly #bell = new Bell()
  #events: FeedEvent[] = []
  /** Up to where the events go, where that was not taken yet. */
  #place: AllPlace | undefined
  /** Why the feed has ended. */
  #failure: { readonly error: unknown } | undefined

  constructor(open: (signal: AbortSignal) => AsyncIterable<Page>, batchMax: number) {
    this.#batchMax = batchMax
    void this.#read(open)
  }

  /**
   * What is there, up to so many events; waits where nothing is. Undefined once it is closed.
   * @throws what has ended the feed, once all was taken that came before
   */
  async take(most: number = this.#batchMax): Promise<Taken | undefined> {
    while (this.#place === undefined) {
      if (this.#isClosed) return undefined
      if (this.#failure !== undefined) throw this.#failure.error
      await this.#bell.rung()
    }
    if (this.#isClosed) return undefined
    const events = this.#events.slice(0, most)
    this.#events = this.#events.slice(most)
    this.#bell.ring()
    if (this.#events.length > 0) {
      const { position, shard } = events.at(-1)!
      return { events, place: { position, shard } }
    }
    const place = this.#place
    this.#place = undefined
    return { events, place }
  }

  /** Lets go of the feed, and does not wait for it: it may be what hangs. */
  close(): void {
    this.#controller.abort()
    this.#bell.ring()
  }

  get #isClosed(): boolean {
    return this.#controller.signal.aborted
  }

  async #read(open: (signal: AbortSignal) => AsyncIterable<Page>): Promise<void> {
    try {
      for await (const { events, place } of open(this.#controller.signal)) {
        if (this.#isClosed) return
        for (const event of events) this.#events.push(event)
        this.#place = place
        this.#bell.ring()
        while (this.#events.length >= this.#batchMax && !this.#isClosed) await this.#bell.rung()
      }
      throw new Error('the feed has ended, which it never should')
    } catch (error) {
      this.#failure = { error }
      this.#bell.ring()
    }
  }
}
