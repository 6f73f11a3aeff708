/**
 * Which event of a shard is the last that does not stand behind a place: what a reader that begins there goes on from, so
 * that it misses an event also where that was to be the first (I4).
 *
 * All that an owner has not carried over has a greater position than its opening, and all before has not; and the opening
 * has the `seq` of the last event before it. So little is read: indexes of closed segments, and one segment at the most
 * where they do not tell.
 *
 * What is damaged at the place itself, by more than a bit, cannot be told from what is missing behind it: the events of a
 * shard go on with a greater `seq` than the last that can be read, and whether the reader once had those between is not
 * known. Then it stops as well, until they are mended or accepted as lost.
 */
import type { Catalog, SegmentIndex } from '../log/catalog.ts'
import type { ShardExtent } from '../log/segment-index.ts'
import { RecordKind, type Address, type LogRecord } from '../log/record.ts'
import { isBefore, isWithin, type Place, type Reign } from '../log/reign.ts'
import { carriedBehind, recordsOf } from './journal-records.ts'
import type { Written } from './losses-between.ts'
import { inOrder, type OrderedPlace } from './source.ts'

/** An event, or the opening of a shard that has as many events before it. */
export interface Counted extends Written {
  readonly seq: number
}

/** An event, or what stands where one would. */
export type Next = Counted & Pick<LogRecord, 'shard'>

export interface FirstEvent {
  readonly place: OrderedPlace
  /** The first that is met behind the place. */
  readonly next: Next
  /** Its segment was read from the beginning, and has no event of its reign up to the place. Default: nobody knows. */
  readonly isSegmentRead?: boolean
}

/** The end of a reign, or as much of it as is asked about. */
interface Search {
  readonly catalog: Catalog
  readonly reign: Reign
  readonly shard: number
  readonly place: OrderedPlace
  readonly end: Place
}

/**
 * The last event of the shard up to the place, before `next`, which stands behind it in one of the reigns. Of the beginning
 * it is the opening of the shard's first owner, with `seq` 0.
 * @throws PenholdError `LogCorrupt` where something cannot be read
 */
export async function lastBefore(
  catalog: Catalog,
  reigns: readonly Reign[],
  { place, next, isSegmentRead = false }: FirstEvent,
): Promise<Counted> {
  const { shard, epoch, address } = next
  const first = reigns.findLastIndex((reign) => isWithin(reign, epoch, address))
  for (let i = place.position === 0 ? -1 : first; i >= 0; i -= 1) {
    const reign = reigns[i]!
    const opened: Address = { journal: reign.journal, ...reign.from }
    const opening = await catalog.record(opened)
    const isOpenedUpTo = inOrder(opening, place) <= 0
    if (isOpenedUpTo) {
      const search = { catalog, reign, shard, place, end: i === first ? address : (reign.until ?? address) }
      const closed = await lastInClosed(search)
      // Where that is all, what may still be written to need not be read.
      const isAll = closed?.seq === next.seq - 1 || (isSegmentRead && i === first)
      const last = (isAll ? undefined : await lastInSegment(search, search.end.segment)) ?? closed
      if (last !== undefined) return last
    }
    // They may have been read before anybody told that they count.
    const carried = await carriedBehind(catalog, opened)
    const last = carried.findLast((event) => isUpTo(event, reign, place))
    if (last !== undefined) return last
    if (isOpenedUpTo) return opening
  }
  const { epoch: oldest, journal, from } = reigns[0]!
  return { seq: 0, epoch: oldest, address: { journal, ...from } }
}

/** In the segments before the last; undefined where they have none. */
async function lastInClosed(search: Search): Promise<Counted | undefined> {
  const { catalog, reign, shard, place, end } = search
  for (let segment = end.segment - 1; segment >= reign.from.segment; segment -= 1) {
    const index = await catalog.index(reign.journal, segment, undefined)
    const extent = index.extents.get(shard)
    if (extent === undefined || extent.positionFirst === 0 || extent.positionFirst > place.position) continue
    const last = isAllUpTo(index, extent, search)
      ? {
          seq: extent.seqLast,
          epoch: reign.epoch,
          address: { journal: reign.journal, segment, offset: extent.lastRecord },
        }
      : await lastInSegment(search, segment)
    if (last !== undefined) return last
  }
  return undefined
}

/**
 * Whether all that the segment has of the shard is of this reign, and up to the place. Where something is harmed nobody knows:
 * its last event may be missing, while a snapshot behind that has its `seq`.
 */
function isAllUpTo(
  { segment, gaps, harmed }: SegmentIndex,
  { opened, positionLast }: ShardExtent,
  { reign, shard, place }: Search,
): boolean {
  if (gaps.length > 0 || harmed.size > 0) return false
  const isOfReign = segment > reign.from.segment && opened.length === 0
  return isOfReign && inOrder({ position: positionLast, shard }, place) <= 0
}

async function lastInSegment(
  { catalog, reign, shard, place, end }: Search,
  segment: number,
): Promise<Counted | undefined> {
  const { journal, until } = reign
  // What stands behind a seal is not looked at, harmed or not.
  const to = until?.segment === segment ? until : { segment, offset: Infinity }
  const stretch = { journal, from: { segment, offset: 0 }, to, isDurable: false }
  let last: LogRecord | undefined
  for await (const { at, records } of recordsOf(catalog, stretch)) {
    if (!isBefore(at, end)) break
    for (const record of records) {
      if (record.shard !== shard || !isBefore(record, end)) continue
      if (isUpTo(record, reign, place)) last = record
    }
  }
  return last
}

function isUpTo(record: LogRecord, reign: Reign, place: OrderedPlace): boolean {
  const { kind, epoch } = record
  return kind === RecordKind.event && isWithin(reign, epoch, record) && inOrder(record, place) <= 0
}
