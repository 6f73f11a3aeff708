/** So many at once. Whoever finds none free is called when one is, in the order in which they came. */
export class Slots {
  #free: number
  readonly #waiting = new Set<() => void>()

  constructor(count: number) {
    this.#free = count
  }

  /** Whether there was one. Else the caller is called back once there may be, if it is not to be already. */
  take(wake: () => void): boolean {
    if (this.#free === 0) {
      this.#waiting.add(wake)
      return false
    }
    this.#free -= 1
    return true
  }

  release(): void {
    this.#free += 1
    // Whoever is called may want none any more.
    for (const next of this.#waiting) {
      if (this.#free === 0) return
      this.#waiting.delete(next)
      next()
    }
  }
}
