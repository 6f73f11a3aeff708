/**
 * One question for all who ask it at the same time. One is put at a time; who comes while it is on its way shares the next,
 * so that no answer is older than they are.
 */
export class SharedLook<Answer> {
  readonly #ask: () => Promise<Answer>
  /** The one that is not put yet. */
  #next: Promise<Answer> | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(ask: () => Promise<Answer>) {
    this.#ask = ask
  }

  answer(): Promise<Answer> {
    this.#next ??= this.#put()
    return this.#next
  }

  async #put(): Promise<Answer> {
    await this.#last
    this.#next = undefined
    const answer = this.#ask()
    this.#last = answer.catch(() => undefined)
    return await answer
  }
}
