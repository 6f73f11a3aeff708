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
    const { pages, signal } = this.#options
    try {
      while (!signal.aborted) {
        const value = this.#atHand()
        if (value !== undefined) return { value, done: false }
        const page = await pages.next()
        if (page.done === true) break
        this.#page = page.value
        this.#taken = 0
      }
    } catch (error) {
      return await this.#fail(error)
    }
    return await this.#end()
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
