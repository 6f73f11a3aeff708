/** Places in the order of `$all`: how they compare, and as text, `<position>.<shard>`, for those who keep them. */
import { POSITION_MAX } from '../log/position.ts'
import { describe } from '../aggregate/error.ts'
import { isCount } from '../log/count.ts'
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

/** Positions that follow each other begin with the same digits, up to the last four. */
const ENDINGS: readonly string[] = Array.from({ length: 10_000 }, (_, number) => String(number).padStart(4, '0'))
const SHARDS: readonly string[] = Array.from({ length: 1_024 }, (_, shard) => `.${shard}`)
let first = 0
let firstText = ''

/** Each event that is read has one: put together from texts that are there it takes a third of the time. */
export function formatPlace({ position, shard }: AllPlace): string {
  const digits = Math.floor(position / 10_000)
  if (digits === 0) return `${position}.${shard}`
  if (digits !== first) {
    first = digits
    firstText = String(digits)
  }
  // The short ones first: what they come to is copied, and only the long text is made of two.
  return firstText + (ENDINGS[position - digits * 10_000]! + (SHARDS[shard] ?? `.${shard}`))
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

/** What a query waits for: a position alone, or the place of one event. @throws PenholdError `BadPlace` */
export function parseAwaited(after: unknown): number | AllPlace {
  if (typeof after === 'string') return parsePlace(after)
  if (isCount(after)) return after
  const { position, shard } = Object(after) as { readonly position?: unknown; readonly shard?: unknown }
  if (isCount(position) && isCount(shard)) return { position, shard }
  throw badPlace(`after is ${describe(after)}, which is neither a position nor a place nor { position, shard }`)
}
