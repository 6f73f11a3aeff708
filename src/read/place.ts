/** Places in the order of `$all`, and how they compare. */
import type { AllPlace } from './all.ts'

/** No shard's number is greater. */
const SHARD_LAST = 0xffff

/** Negative where `a` comes before `b`. */
export function comparePlaces(a: AllPlace, b: AllPlace): number {
  return a.position - b.position || a.shard - b.shard
}

/** The place behind all that stands at a position, whichever shards it is of. */
export function behind(position: number): AllPlace {
  return { position, shard: SHARD_LAST }
}
