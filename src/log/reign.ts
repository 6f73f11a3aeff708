/**
 * A reign: one owner's time at a shard, from where it opened the shard in its journal to where its successor sealed it.
 * The shard's history is its row of reigns; a record counts if it stands within the reign it names (I1).
 */
import { encode } from './codec.ts'
import { isCount } from './count.ts'
import type { Address } from './record.ts'

export interface Reign {
  readonly epoch: number
  readonly journal: number
  readonly from: Place
  /** The seal: the first place that no longer counts. The living owner's reign has none. */
  readonly until: Place | undefined
}

/** A place in a journal. */
export interface Place {
  readonly segment: number
  readonly offset: number
}

/** What a shard's owner writes down when it opens the shard. */
export interface Opening {
  readonly shard: number
  readonly epoch: number
  /** Those before its own, oldest first. */
  readonly reigns: readonly Reign[]
  /** So many events follow that it has carried over. 0 also where they were not counted yet. */
  readonly carried: number
}

export function isBefore(a: Place, b: Place): boolean {
  return a.segment < b.segment || (a.segment === b.segment && a.offset < b.offset)
}

/** Whether a record of this epoch at this address counts. */
export function isWithin(reign: Reign, epoch: number, address: Address): boolean {
  return (
    reign.epoch === epoch &&
    reign.journal === address.journal &&
    !isBefore(address, reign.from) &&
    (reign.until === undefined || isBefore(address, reign.until))
  )
}

export function encodeOpening(opening: Opening): Uint8Array {
  const reigns = opening.reigns.map(({ epoch, journal, from, until }) => {
    const end = until ?? from
    return [epoch, journal, from.segment, from.offset, end.segment, end.offset]
  })
  return encode({ shard: opening.shard, epoch: opening.epoch, reigns, carried: opening.carried })
}

/** Undefined where that is no opening. */
export function decodeOpening(data: unknown): Opening | undefined {
  const { shard, epoch, reigns, carried = 0 } = (data ?? {}) as { readonly [part: string]: unknown }
  if (!isCount(shard) || !isCount(epoch) || !isCount(carried) || !Array.isArray(reigns)) return undefined
  const decoded = reigns.map(decodeReign)
  return decoded.includes(undefined) ? undefined : { shard, epoch, reigns: decoded as Reign[], carried }
}

function decodeReign(numbers: unknown): Reign | undefined {
  if (!Array.isArray(numbers) || numbers.length !== 6 || !numbers.every(isCount)) return undefined
  const [epoch, journal, fromSegment, fromOffset, untilSegment, untilOffset] = numbers as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  return {
    epoch,
    journal,
    from: { segment: fromSegment, offset: fromOffset },
    until: { segment: untilSegment, offset: untilOffset },
  }
}
