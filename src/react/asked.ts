/**
 * What a handler has asked, and whether it looks at what becomes of that: where it does not, as an `await` was forgotten, a
 * failure is the event's, and not lost.
 */
export class Asked<Answer> extends Promise<Answer> {
  #isLookedAt = false
  #hasFailed = false

  /** What is derived from it is looked at by whoever does that. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  static of<Answer>(answer: Promise<Answer>): Asked<Answer> {
    const asked = new Asked<Answer>((resolve) => resolve(answer))
    answer.catch(() => (asked.#hasFailed = true))
    // No stray error, whoever looks at it.
    void super.prototype.then.call(asked, undefined, () => undefined)
    return asked
  }

  /** Its failure is with whoever has looked at it. */
  get isDealtWith(): boolean {
    return this.#hasFailed && this.#isLookedAt
  }

  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise
  override then<Result = Answer, Other = never>(
    onAnswer?: ((answer: Answer) => Result | PromiseLike<Result>) | null,
    onFailure?: ((reason: unknown) => Other | PromiseLike<Other>) | null,
  ): Promise<Result | Other> {
    this.#isLookedAt = true
    return super.then(onAnswer, onFailure)
  }
}
