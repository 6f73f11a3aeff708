/** Whether a rebuilt generation has all that the live one has, and what the log has where that one is no measure. */
import { BEGINNING, type AllPlace } from './all.ts'
import { isLasting } from './error.ts'
import type { Feeds } from './event-feed.ts'
import { comparePlaces } from './place.ts'
import type { ReadModel } from './read-model.ts'

/**
 * As the store has it, in all lanes, also those that run elsewhere. A live one that cannot be used, or is ahead of the log,
 * holds nothing back that has all of the log.
 */
export async function isLevel(
  { readModel, feeds }: { readonly readModel: ReadModel<any>; readonly feeds: Feeds },
  { live, rebuild }: { readonly live: number; readonly rebuild: number },
): Promise<boolean> {
  const rebuilt = await readModel.places(rebuild)
  const places = await placesIfUsable(readModel, live)
  const behind = feeds.lanes.filter((lane) => {
    return places === undefined || comparePlaces(placeIn(rebuilt, lane), placeIn(places, lane)) < 0
  })
  for (const lane of behind) {
    const head = await feeds.feed(lane).head()
    const isNoMeasure = places === undefined || placeIn(places, lane).position > head
    if (!isNoMeasure || placeIn(rebuilt, lane).position < head) return false
  }
  return true
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

function placeIn(places: ReadonlyMap<string, AllPlace>, lane: string): AllPlace {
  return places.get(lane) ?? BEGINNING
}
