/**
 * Which parked streams are tried again, or looked into, one after the other: the order in which somebody asked. One that has
 * to wait lets all others go before it. It has each stream once, and so no more than are parked.
 */
import type { Clock } from '../log/clock.ts'

export interface RetryTurn {
  readonly stream: string
  /** Whether it is tried again. If not, it is looked whether anything of it waits. */
  readonly isAsked: boolean
}

export class RetryQueue {
  readonly #clock: Clock
  readonly #turns = new Map<string, { readonly isAsked: boolean; readonly dueAt: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** One that waits keeps its turn. */
  add({ stream, isAsked }: RetryTurn): void {
    const known = this.#turns.get(stream)
    this.#turns.set(stream, { isAsked: isAsked || known?.isAsked === true, dueAt: known?.dueAt ?? 0 })
  }

  /** It goes on after so long, behind all others. Somebody may have asked for it again meanwhile. */
  again({ stream, isAsked }: RetryTurn, ms: number): void {
    const known = this.#turns.get(stream)
    this.#turns.delete(stream)
    const dueAt = this.#clock.monotonic() + ms
    this.#turns.set(stream, { isAsked: isAsked || known?.isAsked === true, dueAt })
  }

  /** The next whose time has come; while it is held none that is tried again. */
  take(isHeld: boolean): RetryTurn | undefined {
    const now = this.#clock.monotonic()
    for (const [stream, { isAsked, dueAt }] of this.#turns) {
      if (dueAt > now || (isHeld && isAsked)) continue
      this.#turns.delete(stream)
      return { stream, isAsked }
    }
    return undefined
  }

  get isEmpty(): boolean {
    return this.#turns.size === 0
  }

  /** So long until another may be taken, at most `most`. */
  msToNext(most: number): number {
    const now = this.#clock.monotonic()
    const dues = [...this.#turns.values()].map(({ dueAt }) => dueAt - now).filter((ms) => ms > 0)
    return Math.min(most, ...dues)
  }
}
