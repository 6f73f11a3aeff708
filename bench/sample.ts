/** What is said about measured times. */

/** How fast a closed loop ran: events or accepted commands a second, and how long each turn of it took. */
export interface Figures {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Measured times. Kept in a typed array, so that measuring leaves no garbage behind. */
export class Sample {
  #values = new Float64Array(1024)
  #count = 0

  get count(): number {
    return this.#count
  }

  add(value: number): void {
    if (this.#count === this.#values.length) {
      const grown = new Float64Array(2 * this.#count)
      grown.set(this.#values)
      this.#values = grown
    }
    this.#values[this.#count] = value
    this.#count += 1
  }

  /** The smallest value that so many percent of the values do not exceed. NaN where there are none. */
  percentile(percent: number): number {
    const sorted = this.#values.subarray(0, this.#count).toSorted()
    return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? NaN
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >>> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Before a measurement, so that it does not pay for what came before. */
export function collectGarbage(): void {
  globalThis.gc?.()
}
