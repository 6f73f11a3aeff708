/**
 * Those who wait for the live generation of a read model to come to a place, in each of its lanes, wherever these run. Where
 * lanes stand that run elsewhere is asked of the store once for all of them.
 */
import type { PenholdError } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import { BEGINNING, type AllPlace } from './all.ts'
import type { Bell } from './bell.ts'
import { projectionBehind, projectionBusy, projectionClosed, waitsInVain } from './error.ts'
import type { Feeds } from './event-feed.ts'
import { Goal } from './goal.ts'
import type { Patience } from './patience.ts'
import { comparePlaces } from './place.ts'
import type { Projection } from './projection.ts'
import type { Projector } from './projector.ts'
import type { ReadModel } from './read-model.ts'
import { refuseLost, refuseUnknown } from './refused-place.ts'
import { SharedLook } from './shared-look.ts'

export interface ComingOptions {
  readonly projection: Projection
  readonly readModel: ReadModel<any>
  readonly feeds: Feeds
  readonly clock: Clock
  /** The generation that is live at the moment. */
  readonly live: () => Projector<any>
  /** Rings whenever a lane that runs here has come further, and when it is closed. */
  readonly changes: Bell
  /** Nothing comes any more. */
  readonly isClosed: () => boolean
}

/** Lanes that run elsewhere are looked at so often. */
const POLL_MS = 50
/** Whoever waits so long looks whether the log has what they wait for. */
const CHECKED_MS = 1_000
/** Each is woken by whatever changes. */
export const WAITING_MAX = 4_000

/** Where the lanes of a generation stand. */
interface Sighting {
  readonly live: Projector<any>
  readonly places: ReadonlyMap<string, AllPlace>
}

/** Somebody who waits. */
interface Wait {
  readonly goal: Goal
  readonly patience: Patience
  /** Those that have not come there, as far as it is known. */
  lanes: readonly string[]
}

export class Coming {
  readonly #options: ComingOptions
  readonly #sightings: SharedLook<Sighting>
  #waiting = 0

  constructor(options: ComingOptions) {
    const { readModel } = options
    this.#options = options
    const look = async (): Promise<Sighting> => {
      const live = options.live()
      return { live, places: await readModel.places(live.generation) }
    }
    this.#sightings = new SharedLook(look)
  }

  /**
   * Resolves to the number of the live generation, once it has come there.
   * @throws PenholdError `ProjectionBehind`, `ProjectionBusy`, `ProjectionHalted`, `PlaceAhead`, `Aborted`
   */
  async to(after: number | AllPlace, patience: Patience): Promise<number> {
    const { feeds, changes, projection } = this.#options
    const { name, order } = projection
    if (this.#waiting >= WAITING_MAX) throw projectionBusy(name, this.#waiting)
    const goal = new Goal(after, { feeds, order, onKnown: () => changes.ring() })
    const wait: Wait = { goal, patience, lanes: goal.lanes }
    this.#waiting += 1
    try {
      return await patience.wait(this.#come(after, wait), () => this.#late(wait))
    } finally {
      this.#waiting -= 1
    }
  }

  async #come(after: number | AllPlace, wait: Wait): Promise<number> {
    const { clock, feeds, changes, projection, isClosed } = this.#options
    const { goal, patience } = wait
    await refuseLost(feeds, after)
    const checkedAt = clock.monotonic() + Math.min(patience.timeoutMs / 2, CHECKED_MS)
    let isChecked = false
    for (;;) {
      const live = await this.#look(wait)
      if (wait.lanes.length === 0) return live.generation
      if (isClosed()) throw projectionClosed(projection.name)
      patience.check(() => this.#late(wait))
      const halted = goal.isExact ? live.halted(wait.lanes) : undefined
      if (halted !== undefined) throw waitsInVain(projection.name, halted)
      // What was acknowledged is in the log: what does not come soon may be none of it.
      if (!isChecked && clock.monotonic() >= checkedAt) {
        isChecked = true
        await refuseUnknown(feeds, goal.position)
      }
      goal.seek()
      const isHere = goal.isExact && wait.lanes.every((lane) => live.place(lane) !== undefined)
      const untilChecked = isChecked ? patience.leftMs : checkedAt - clock.monotonic()
      // At the same moment as others, so that they share a look.
      const untilPoll = POLL_MS - (clock.monotonic() % POLL_MS)
      await changes.rungWithin(clock, isHere ? Math.min(patience.leftMs, untilChecked) : untilPoll)
    }
  }

  #late({ goal, lanes, patience: { timeoutMs } }: Wait): PenholdError {
    return projectionBehind(this.#options.projection.name, { lanes, after: goal.position, timeoutMs })
  }

  /** Which lanes have not come there, of the generation that is live now. */
  async #look(wait: Wait): Promise<Projector<any>> {
    const { goal } = wait
    const here = this.#options.live()
    const isHere = goal.lanes.every((lane) => here.place(lane) !== undefined)
    const { live, places } = isHere ? { live: here, places: undefined } : await this.#sightings.answer()
    wait.lanes = goal.lanes.filter((lane) => {
      const at = live.place(lane) ?? places?.get(lane) ?? BEGINNING
      return comparePlaces(at, goal.of(lane)) < 0
    })
    return live
  }
}
