/**
 * What comes in pages, one by one: to its reader an async generator, at less than half the price of one. A generator that
 * yields each event costs as much as it does to decode it; so what is at hand is handed out here, in promises that are kept
 * already.
 */
import { Turns } from './turns.ts'

export interface OneByOneOptions<Item, Result> {
  readonly pages: AsyncGenerator<readonly Item[]>
  /** What is handed out for an item; undefined for one that is left out. What it throws ends the reading. */
  readonly read: (item: Item) => Result | undefined
  /** Once it is aborted nothing more is handed out. */
  readonly signal: AbortSignal
}

/** A page that is handed out has so many at most: few enough that to decode them all at once is brief. */
export const PAGE_MAX = 1024

export class OneByOne<Item, Result> implements AsyncGenerator<Result, void> {
  readonly #options: OneByOneOptions<Item, Result>
  /** What was asked for is answered in the order in which it was, as a generator does it. */
  readonly #turns = new Turns()
  #waiting = 0
  #page: readonly Item[] = []
  /** So many of the page were read. */
  #taken = 0

  constructor(options: OneByOneOptions<Item, Result>) {
    this.#options = options
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Result, void>> {
    if (this.#waiting > 0) return this.#inTurn(() => this.#next())
    try {
      const value = this.#atHand()
      return value === undefined ? this.#inTurn(() => this.#next()) : Promise.resolve({ value, done: false })
    } catch (error) {
      return this.throw(error)
    }
  }

  /** What was not handed out yet, some at a time: none of them empty, and the end of it the end of all. */
  async *pages(): AsyncGenerator<readonly Result[], void> {
    try {
      for (;;) {
        const page = await this.#inTurn(() => this.#nextPage())
        if (page.length === 0) return
        yield page
      }
    } finally {
      await this.return()
    }
  }

  /** Ends the reading. */
  return(): Promise<IteratorResult<Result, void>> {
    return this.#inTurn(() => this.#end())
  }

  throw(error: unknown): Promise<IteratorResult<Result, void>> {
    return this.#inTurn(() => this.#fail(error))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting += 1
    try {
      return await this.#turns.take(work)
    } finally {
      this.#waiting -= 1
    }
  }

  async #next(): Promise<IteratorResult<Result, void>> {
    try {
      do {
        const value = this.#atHand()
        if (value !== undefined) return { value, done: false }
      } while (await this.#fill())
    } catch (error) {
      return await this.#fail(error)
    }
    return await this.#end()
  }

  /** Empty at the end. */
  async #nextPage(): Promise<readonly Result[]> {
    const results: Result[] = []
    try {
      do {
        for (let value = this.#atHand(); value !== undefined; value = this.#atHand()) {
          results.push(value)
          if (results.length === PAGE_MAX) return results
        }
      } while (results.length === 0 && (await this.#fill()))
    } catch (error) {
      if (results.length === 0) return await this.#fail(error)
      // What comes before it is handed out first, and then it is met again.
      this.#taken -= 1
    }
    if (results.length === 0) await this.#end()
    return results
  }

  /** Takes in the next page; false where there is none. */
  async #fill(): Promise<boolean> {
    const { pages, signal } = this.#options
    if (signal.aborted) return false
    const page = await pages.next()
    if (page.done === true) return false
    this.#page = page.value
    this.#taken = 0
    return true
  }

  /** Of the page that is there; undefined where nothing is left of it. */
  #atHand(): Result | undefined {
    const { read, signal } = this.#options
    const page = this.#page
    while (this.#taken < page.length && !signal.aborted) {
      const item = page[this.#taken]!
      this.#taken += 1
      const result = read(item)
      if (result !== undefined) return result
    }
    return undefined
  }

  async #end(): Promise<IteratorResult<Result, void>> {
    this.#page = []
    await this.#options.pages.return(undefined)
    return { value: undefined, done: true }
  }

  async #fail(error: unknown): Promise<never> {
    await this.#end()
    throw error
  }
}
