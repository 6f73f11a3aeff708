/** Bounds how much is under way: whoever reads faster than the aggregates answer waits here. */
export class Window {
  readonly #size: number
  #underWay = 0
  #onFree: () => void = () => undefined
  #onEmpty: () => void = () => undefined

  constructor(size: number) {
    this.#size = size
  }

  /** Resolves when there is room for one more, and takes it. One caller at a time. */
  async enter(): Promise<void> {
    if (this.#underWay === this.#size) await new Promise<void>((resolve) => (this.#onFree = resolve))
    this.#underWay += 1
  }

  leave(): void {
    this.#underWay -= 1
    this.#onFree()
    if (this.#underWay === 0) this.#onEmpty()
  }

  /** Resolves when nothing is under way any more. */
  async drained(): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#onEmpty = resolve))
  }
}
