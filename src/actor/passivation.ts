/** Passivation: which actors leave memory, and when: those that nobody has used for long, and those beyond the bound. */
import { every, type Cancel, type Clock } from '../log/clock.ts'
import type { ActiveActors } from './active-actors.ts'
import type { ActorLimits } from './limits.ts'

/** Idle actors are looked for so many times in the time after which they are passivated. */
const CHECKS = 4

export class Passivation {
  readonly #actors: ActiveActors
  readonly #limits: ActorLimits
  readonly #stop: Cancel

  constructor(clock: Clock, actors: ActiveActors, limits: ActorLimits) {
    this.#actors = actors
    this.#limits = limits
    const { passivateAfterMs } = limits
    this.#stop = every(clock, passivateAfterMs / CHECKS, () => {
      const before = clock.monotonic() - passivateAfterMs
      actors.passivate((actor) => actor.lastUsed < before)
    })
  }

  /** Lets go of the least recently used beyond the bound. */
  overflow(): void {
    let excess = this.#actors.size - this.#limits.activeActorsMax
    if (excess > 0) this.#actors.passivate(() => excess-- > 0)
  }

  stop(): void {
    this.#stop()
  }
}
