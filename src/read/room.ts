/**
 * Room in memory for what the lanes of a node have read, all together: bytes, as events take them in the log. A lane that
 * has nothing at hand reads its next page whether there is room or not, so that none waits for another.
 */
import type { Bell } from './bell.ts'

const BYTES_MAX = 64 * 1024 * 1024
const REST = 7 / 8

export class Room {
  readonly #bytesMax: number
  readonly #awaited = new Set<Bell>()
  #bytes = 0

  constructor(bytesMax: number = BYTES_MAX) {
    this.#bytesMax = bytesMax
  }

  /** Whether there is some left. Where there is none, this bell is rung once there is again, an eighth at least. */
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
    // Each that waits looks again: not for every event that is done.
    if (this.#awaited.size === 0 || this.#bytes > this.#bytesMax * REST) return
    for (const bell of this.#awaited) bell.ring()
    this.#awaited.clear()
  }
}
