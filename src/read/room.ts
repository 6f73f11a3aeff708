/**
 * Room in memory for what the lanes of a node have read ahead, all together: bytes, as events take them in the log. A lane that
 * has nothing at hand reads its next page whether there is room or not, so that none waits for another.
 */
import type { Bell } from './bell.ts'

const BYTES_MAX = 64 * 1024 * 1024

export class Room {
  readonly #bytesMax: number
  readonly #awaited = new Set<Bell>()
  #bytes = 0

  constructor(bytesMax: number = BYTES_MAX) {
    this.#bytesMax = bytesMax
  }

  /** Whether there is some left. Where there is none, this bell is rung once there is. */
  isFor(bell: Bell): boolean {
    if (this.#bytes < this.#bytesMax) return true
    this.#awaited.add(bell)
    return false
  }

  take(bytes: number): void {
    this.#bytes += bytes
  }

  give(bytes: number): void {
    this.#bytes -= bytes
    if (this.#bytes >= this.#bytesMax) return
    for (const bell of this.#awaited) bell.ring()
    this.#awaited.clear()
  }
}
