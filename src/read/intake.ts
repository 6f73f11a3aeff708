/**
 * Reads a feed ahead of whoever commits what it gives: while one batch is committed the next comes in, and then all that
 * is there is taken at once. Nobody waits for a batch to be full. So much is read ahead, in events and in bytes, and then the
 * feed stands still.
 */
import type { AllPlace } from './all.ts'
import { Bell } from './bell.ts'
import type { FeedEvent, Page } from './event-feed.ts'
import type { Room } from './room.ts'

export interface IntakeOptions {
  /** So many events are read ahead. */
  readonly batchMax: number
  /** What is read ahead is in it, and what was taken last. */
  readonly room: Room
}

export interface Taken {
  readonly events: readonly FeedEvent[]
  /** All of the row up to here was taken. */
  readonly place: AllPlace
  /** What the events take in the log. */
  readonly bytes: number
}

/** So many bytes a batch has at most, where it is no single event, and so many more are read ahead of it. */
const BATCH_BYTES = 4 * 1024 * 1024

export class Intake {
  readonly #options: IntakeOptions
  readonly #controller = new AbortController()
  readonly #bell = new Bell()
  /** What was read ahead. One without events is the only one. */
  #pages: Page[] = []
  #events = 0
  #bytes = 0
  /** The bytes of what was taken last. */
  #bytesTaken = 0
  /** Why the feed has ended. */
  #failure: { readonly error: unknown } | undefined

  constructor(open: (signal: AbortSignal) => AsyncIterable<Page>, options: IntakeOptions) {
    this.#options = options
    void this.#read(open)
  }

  /**
   * What is there, up to so many events; waits where nothing is. Undefined once it is closed. What was taken before is done
   * with.
   * @throws what has ended the feed, once all was taken that came before
   */
  async take(most: number = this.#options.batchMax): Promise<Taken | undefined> {
    this.#giveBack()
    while (this.#pages.length === 0) {
      if (this.#isClosed) return undefined
      if (this.#failure !== undefined) throw this.#failure.error
      await this.#bell.rung()
    }
    if (this.#isClosed) return undefined
    const taken = this.#batch(most)
    this.#bell.ring()
    return taken
  }

  /** Lets go of the feed, and does not wait for it: it may be what hangs. */
  close(): void {
    if (this.#isClosed) return
    this.#controller.abort()
    this.#giveBack()
    this.#options.room.give(this.#bytes)
    this.#bell.ring()
  }

  get #isClosed(): boolean {
    return this.#controller.signal.aborted
  }

  #giveBack(): void {
    const bytes = this.#bytesTaken
    this.#bytesTaken = 0
    this.#options.room.give(bytes)
  }

  /** Of the pages that are there. */
  #batch(most: number): Taken {
    const events: FeedEvent[] = []
    let { place } = this.#pages[0]!
    while (this.#pages[0] !== undefined && events.length < most) {
      const page = this.#pages[0]
      if (events.length > 0 && this.#bytesTaken + page.bytes > BATCH_BYTES) break
      const [part, rest] = split(page, most - events.length)
      this.#pages.splice(0, 1, ...rest)
      for (const event of part.events) events.push(event)
      this.#bytesTaken += part.bytes
      place = part.place
    }
    this.#events -= events.length
    this.#bytes -= this.#bytesTaken
    return { events, place, bytes: this.#bytesTaken }
  }

  async #read(open: (signal: AbortSignal) => AsyncIterable<Page>): Promise<void> {
    try {
      for await (const page of open(this.#controller.signal)) {
        if (this.#isClosed) return
        this.#add(page)
        this.#bell.ring()
        while (!this.#isClosed && this.#hasEnough()) await this.#bell.rung()
      }
      throw new Error('the feed has ended, which it never should')
    } catch (error) {
      this.#failure = { error }
      this.#bell.ring()
    }
  }

  #add(page: Page): void {
    const { events, bytes, place } = page
    const last = this.#pages.at(-1)
    if (last === undefined) this.#pages.push(page)
    else if (events.length === 0) this.#pages[this.#pages.length - 1] = { ...last, place }
    else if (last.events.length === 0) this.#pages[this.#pages.length - 1] = page
    else this.#pages.push(page)
    this.#events += events.length
    this.#bytes += bytes
    this.#options.room.take(bytes)
  }

  #hasEnough(): boolean {
    if (this.#events === 0) return false
    return this.#events >= this.#options.batchMax || this.#bytes >= BATCH_BYTES || !this.#options.room.isFor(this.#bell)
  }
}

/** The first events of a page, and what is left. Of its bytes each has its share, about. */
function split(page: Page, count: number): [part: Page, rest: readonly Page[]] {
  const { events, bytes } = page
  if (events.length <= count) return [page, []]
  const { position, shard } = events[count - 1]!
  const share = Math.floor((bytes * count) / events.length)
  const part = { events: events.slice(0, count), place: { position, shard }, bytes: share }
  return [part, [{ ...page, events: events.slice(count), bytes: bytes - share }]]
}
