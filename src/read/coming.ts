/** Waiting for the live generation of a read model to come to a place, in each of its lanes, wherever these run. */
import type { Clock } from '../log/clock.ts'
import { BEGINNING, type AllPlace } from './all.ts'
import type { Bell } from './bell.ts'
import { projectionBehind, waitAborted, waitsInVain } from './error.ts'
import type { Feeds } from './event-feed.ts'
import { Goal } from './goal.ts'
import { comparePlaces } from './place.ts'
import type { Projection } from './projection.ts'
import type { Projector } from './projector.ts'
import type { ReadModel } from './read-model.ts'
import { refuseUnknown } from './refused-place.ts'

/** How long somebody waits. */
export interface Patience {
  /** On the monotonic clock. */
  readonly end: number
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

export interface ComingOptions {
  readonly projection: Projection
  readonly readModel: ReadModel<any>
  readonly feeds: Feeds
  readonly clock: Clock
  /** The generation that is live at the moment. */
  readonly live: () => Projector<any>
  /** Rings whenever a lane that runs here has come further. */
  readonly changes: Bell
}

/** Lanes that run elsewhere are looked at so often. */
const POLL_MS = 50
/** Whoever waits so long looks whether the log has what they wait for. */
const CHECKED_MS = 1_000

/**
 * Resolves to the number of the live generation, once it has come there.
 * @throws PenholdError `ProjectionBehind`, `ProjectionHalted`, `PlaceAhead`, `Aborted`
 */
export async function comesTo(
  after: number | AllPlace,
  { end, timeoutMs, signal }: Patience,
  options: ComingOptions,
): Promise<number> {
  const { clock, feeds, changes } = options
  const { name, order } = options.projection
  const wake = (): void => changes.ring()
  const goal = new Goal(after, { feeds, order, onKnown: wake })
  let isChecked = false
  signal?.addEventListener('abort', wake, { once: true })
  try {
    for (;;) {
      const live = options.live()
      const lanes = await lanesNotAt(goal, live, options)
      if (lanes.length === 0) return live.generation
      if (signal?.aborted === true) throw waitAborted(name, signal.reason)
      const halted = goal.isExact ? live.halted(lanes) : undefined
      if (halted !== undefined) throw waitsInVain(name, halted)
      const left = end - clock.monotonic()
      // What was acknowledged is in the log: what does not come soon may be none of it.
      if (!isChecked && timeoutMs - left >= Math.min(timeoutMs, CHECKED_MS)) {
        isChecked = true
        await refuseUnknown(feeds, goal.position)
      }
      if (left <= 0) throw projectionBehind(name, { lanes, after: goal.position, timeoutMs })
      goal.seek()
      const isHere = goal.isExact && lanes.every((lane) => live.place(lane) !== undefined)
      const most = isChecked ? left : Math.min(left, CHECKED_MS)
      await changes.rungWithin(clock, isHere ? most : Math.min(left, POLL_MS))
    }
  } finally {
    signal?.removeEventListener('abort', wake)
  }
}

/** The lanes that have not come to a goal. */
async function lanesNotAt(
  goal: Goal,
  live: Projector<any>,
  { readModel }: Pick<ComingOptions, 'readModel'>,
): Promise<readonly string[]> {
  const isHere = goal.lanes.every((lane) => live.place(lane) !== undefined)
  const places = isHere ? undefined : await readModel.places(live.generation)
  return goal.lanes.filter((lane) => {
    const at = live.place(lane) ?? places?.get(lane) ?? BEGINNING
    return comparePlaces(at, goal.of(lane)) < 0
  })
}
