/** Passivation: which actors leave memory, and when: those that nobody has used for long, and those beyond the bound. */
import type { Cancel, Clock } from '../log/clock.ts'
import type { ActiveActors } from './active-actors.ts'
import type { ActorLimits } from './limits.ts'

/** Idle actors are looked for so many times in the time after which they are passivated. */
const CHECKS = 4

export class Passivation {
  readonly #clock: Clock
  readonly #actors: ActiveActors
  readonly #limits: ActorLimits
  #stop: Cancel = () => undefined

  constructor(clock: Clock, actors: ActiveActors, limits: ActorLimits) {
    this.#clock = clock
    this.#actors = actors
    this.#limits = limits
    this.#schedule()
  }

  /** Lets go of the least recently used beyond the bound. */
  overflow(): void {
    let excess = this.#actors.size - this.#limits.activeActorsMax
    if (excess > 0) this.#actors.passivate(() => excess-- > 0)
  }

  stop(): void {
    this.#stop()
  }

  #schedule(): void {
    const { passivateAfterMs } = this.#limits
    this.#stop = this.#clock.after(passivateAfterMs / CHECKS, () => {
      const before = this.#clock.monotonic() - passivateAfterMs
      this.#actors.passivate((actor) => actor.lastUsed < before)
      this.#schedule()
    })
  }
}
