/** Which lanes of a generation somebody still waits for, who waits for a position or a place. */
import { BEGINNING, type AllPlace } from './all.ts'
import type { Feeds } from './event-feed.ts'
import { behind, comparePlaces } from './place.ts'
import type { Projection } from './projection.ts'
import type { Projector } from './projector.ts'
import type { ReadModel } from './read-model.ts'

interface Where {
  readonly projection: Projection
  readonly feeds: Feeds
  readonly readModel: ReadModel<any>
}

/** The lanes that have not come to a place, wherever they run. */
export async function lanesNotAt(
  after: number | AllPlace,
  live: Projector<any>,
  { projection, feeds, readModel }: Where,
): Promise<readonly string[]> {
  const isAll = projection.order === 'all'
  const lanes = isAll || typeof after === 'number' ? feeds.lanes : [String(after.shard)]
  // A position alone may be several shards' events'.
  const place = typeof after !== 'number' ? after : isAll ? behind(after) : { position: after, shard: 0 }
  const isHere = lanes.every((lane) => live.place(lane) !== undefined)
  const places = isHere ? undefined : await readModel.places(live.generation)
  return lanes.filter((lane) => {
    const at = live.place(lane) ?? places?.get(lane) ?? BEGINNING
    return comparePlaces(at, place) < 0
  })
}

export function positionOf(after: number | AllPlace): number {
  return typeof after === 'number' ? after : after.position
}
