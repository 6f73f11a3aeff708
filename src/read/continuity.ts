/**
 * Whether a row of events goes on as its feed promises: of the lane's shard, and in order. That no event is missing (I4) the
 * readers of the log assert, which know what was accepted as lost.
 */
import type { AllPlace } from './all.ts'
import { feedBroken } from './error.ts'
import type { FeedEvent } from './event-feed.ts'
import { comparePlaces } from './place.ts'

/** What a lane gets next from its feed, which has given all up to `from`, and gives all up to `to`. @throws PenholdError `FeedBroken` */
export function checkContinuity(
  lane: string,
  from: AllPlace,
  { events, place: to }: { readonly events: readonly FeedEvent[]; readonly place: AllPlace },
): void {
  const shard = lane === 'all' ? undefined : Number(lane)
  let before = from
  for (const event of events) {
    if (shard !== undefined && shard !== event.shard) {
      throw feedBroken(lane, from, `${textOf(event)} is not of this lane`)
    }
    if (comparePlaces(event, before) <= 0) {
      throw feedBroken(lane, from, `${textOf(event)} comes behind position ${before.position} of shard ${before.shard}`)
    }
    before = event
  }
  if (comparePlaces(to, before) < 0) {
    throw feedBroken(lane, from, `the feed goes back from position ${before.position} to ${to.position}`)
  }
}

function textOf({ stream, version, shard, position }: FeedEvent): string {
  return `version ${version} of ${stream}, in shard ${shard} at position ${position},`
}
