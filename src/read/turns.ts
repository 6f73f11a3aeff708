/** One after the other, in the order in which they came. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs the work once all that came before has ended, well or not. */
  take<T>(work: () => Promise<T> | T): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }

  /** Resolves once all that came before has ended. */
  async over(): Promise<void> {
    await this.take(() => undefined)
  }
}
