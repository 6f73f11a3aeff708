/**
 * Whether a generation that is being rebuilt has all that the live one has, in every lane, wherever they run; and what the
 * log has where that one is no measure.
 */
import { pause, type Clock } from '../log/clock.ts'
import { BEGINNING, type AllPlace } from './all.ts'
import type { Bell } from './bell.ts'
import { isLasting } from './error.ts'
import type { Feeds } from './event-feed.ts'
import type { Generation } from './control.ts'
import { comparePlaces } from './place.ts'
import type { Projection } from './projection.ts'
import type { Projector } from './projector.ts'
import type { ReadModel } from './read-model.ts'

export interface LevelOptions {
  readonly projection: Projection
  readonly readModel: ReadModel<any>
  /** The live generation. */
  readonly live: Generation
  readonly feeds: Feeds
  readonly clock: Clock
  /** Rings whenever a lane that runs here has come further. */
  readonly changes: Bell
  /** Nobody wants to know any more. */
  readonly isOver: () => boolean
}

type Goal = ReadonlyMap<string, AllPlace>

/** One that is level comes so soon to where the live one stands; and a live one is held so long for it, at most. */
const LEVEL_MS = 1_000
const POLL_MS = 50

/** Whether it comes soon to where the live generation stands now. */
export async function comesLevel(
  rebuild: Pick<Projector<any>, 'generation' | 'place'>,
  options: LevelOptions,
): Promise<boolean> {
  const { readModel, clock, changes, isOver } = options
  const goal = await goalOf(options)
  const end = clock.monotonic() + LEVEL_MS
  while (!isOver()) {
    // What is known here is not asked of the store.
    if (hasCome(goal, (lane) => rebuild.place(lane) ?? goal.get(lane)!)) {
      const places = await readModel.places(rebuild.generation)
      if (hasCome(goal, (lane) => places.get(lane) ?? BEGINNING)) return true
      await pause(clock, POLL_MS)
    }
    const left = end - clock.monotonic()
    if (left <= 0) return false
    await changes.rungWithin(clock, Math.min(left, POLL_MS))
  }
  return false
}

/**
 * Where the live generation stands. One of another order, or that cannot be used, stands still, and so does a lane that is
 * ahead of the log: it is to be replaced by all that there is.
 */
async function goalOf({ projection, readModel, live, feeds }: LevelOptions): Promise<Goal> {
  const places = await placesIfUsable(readModel, live.number)
  const isMeasure = places !== undefined && (live.order ?? projection.order) === projection.order
  const stands = new Map(isMeasure ? [...places].filter(([lane]) => feeds.lanes.includes(lane)) : [])
  if (isMeasure && stands.size === 0) return stands
  const heads = await feeds.heads()
  const goal = [...heads].map(([lane, position]): [string, AllPlace] => {
    const place = isMeasure ? (stands.get(lane) ?? BEGINNING) : undefined
    return [lane, place !== undefined && place.position <= position ? place : { position, shard: 0 }]
  })
  return new Map(goal)
}

async function placesIfUsable(
  readModel: ReadModel<any>,
  generation: number,
): Promise<ReadonlyMap<string, AllPlace> | undefined> {
  try {
    return await readModel.places(generation)
  } catch (error) {
    if (isLasting(error)) return undefined
    throw error
  }
}

function hasCome(goal: Goal, place: (lane: string) => AllPlace): boolean {
  return [...goal].every(([lane, to]) => comparePlaces(place(lane), to) >= 0)
}
