/** Places in the order of `$all`: how they compare, and as text, `<position>.<shard>`, for those who keep them. */
import { POSITION_MAX } from '../log/position.ts'
import { describe } from '../aggregate/error.ts'
import { restorationBefore, type Restoration } from '../log/restoration.ts'
import { BEGINNING, type AllPlace } from './all.ts'
import { badPlace, placeAhead } from './error.ts'

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

const LAST_DIGITS = 1e7
let first = 0
let firstText = ''

export function formatPlace({ position, shard }: AllPlace): string {
  // Positions that follow each other begin alike, and to write 16 digits anew for each event takes twice as long.
  const digits = Math.floor(position / LAST_DIGITS)
  if (digits === 0) return `${position}.${shard}`
  if (digits !== first) {
    first = digits
    firstText = String(digits)
  }
  // With a digit before them that is cut off, so that zeroes stay.
  const last = String(LAST_DIGITS + (position - digits * LAST_DIGITS)).slice(1)
  return `${firstText}${last}.${shard}`
}

/**
 * That what was read up to a position is in the log. One that was restored goes on behind all that it has lost, so that a
 * later head alone does not tell.
 * @throws PenholdError `PlaceAhead`
 */
export function checkPlace(
  position: number,
  { head, restorations }: { readonly head: number; readonly restorations: readonly Restoration[] },
): void {
  const restoration = restorationBefore(restorations, position)
  if (restoration !== undefined) throw placeAhead(position, { restoration })
  if (position > head) throw placeAhead(position, { head })
}

/** The place; the beginning where none is given. @throws PenholdError `BadPlace` */
export function parsePlace(text: unknown): AllPlace {
  if (text === undefined) return BEGINNING
  const parts = typeof text === 'string' ? /^(\d{1,16})\.(\d{1,5})$/.exec(text) : null
  const [position, shard] = [Number(parts?.[1]), Number(parts?.[2])]
  if (parts === null || position > POSITION_MAX || shard > SHARD_LAST) {
    throw badPlace(`${describe(text)} is no place in the log`)
  }
  return { position, shard }
}
