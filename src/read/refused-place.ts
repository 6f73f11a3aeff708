/** Positions that a caller waits for and that the log will never have: what it has lost, and what it never gave. */
import type { AllPlace } from './all.ts'
import type { Feeds } from './event-feed.ts'
import { checkPlace } from './place.ts'

/** A restored log comes to positions behind one that it has lost. @throws PenholdError `PlaceAhead` */
export async function refuseLost(feeds: Feeds, after: number | AllPlace): Promise<void> {
  const position = typeof after === 'number' ? after : after.position
  checkPlace(position, { head: Number.POSITIVE_INFINITY, restorations: await feeds.restorations() })
}

/** What was acknowledged is in the log. Nothing is refused where its end is not known. @throws PenholdError `PlaceAhead` */
export async function refuseUnknown(feeds: Feeds, position: number): Promise<void> {
  // All are asked at once.
  const heads = await feeds.heads().catch(() => undefined)
  if (heads === undefined) return
  checkPlace(position, { head: Math.max(...heads.values()), restorations: [] })
}
