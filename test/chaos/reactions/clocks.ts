/** How far nodes' wall clocks were set, so that what is said of times can allow for it. */
import type { NodeProcess } from '../node.ts'

export class Clocks {
  #ahead = 0
  #behind = 0
  /** So far ahead what was set in earlier rounds may be due, by a clock that nobody has any more. */
  #owed = 0
  /** Until then all said the same, in milliseconds since 1970. */
  agreedUntil: number = Number.POSITIVE_INFINITY

  /** Sets the wall clock of a node to so many milliseconds before or after the machine's. */
  move(node: NodeProcess, ms: number): void {
    this.agreedUntil = Math.min(this.agreedUntil, Date.now())
    this.#ahead = Math.max(this.#ahead, ms)
    this.#behind = Math.min(this.#behind, ms)
    node.moveClock(ms)
  }

  /** So far any two were apart since they were reset. */
  get apartMs(): number {
    return this.#ahead - this.#behind
  }

  /** Sets all to the one that was furthest ahead: what is due by any is due then. */
  level(nodes: readonly NodeProcess[]): void {
    const ms = Math.max(this.#ahead, this.#owed)
    if (this.apartMs === 0 && ms === 0) return
    for (const node of nodes) this.move(node, ms)
  }

  /** All nodes have ended, and whoever starts has the machine's. */
  reset(): void {
    this.#owed = Math.max(this.#owed, this.#ahead)
    this.#ahead = 0
    this.#behind = 0
    this.agreedUntil = Number.POSITIVE_INFINITY
  }
}
