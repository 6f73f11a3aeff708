/**
 * What damage to a journal's segments means for its shards.
 *
 * A stretch that cannot be read hides which records stood in it. A shard is known to have lost nothing there if its
 * `seq` goes on behind the stretch where it was before (I4: it counts the shard's events without a gap). So a shard is
 * refused where its `seq` jumps, or where nothing of it follows that could show that it does not; all others are served.
 * A loss that was accepted (losses.ts) is no longer asked about.
 */
import type { PenholdError } from '../aggregate/error.ts'
import { logCorrupt } from './error.ts'
import { segmentPath } from './path.ts'
import type { Place } from './reign.ts'
import type { ShardExtent } from './segment-index.ts'

/** A stretch of a segment that cannot be read, though something was written there. */
export interface Gap {
  readonly segment: number
  readonly from: number
  /** Infinity where it reaches to the segment's end. */
  readonly to: number
  readonly problem: string
  readonly isAccepted: boolean
}

/** What keeps a shard from being opened, and where. */
export interface Flaw {
  readonly segment: number
  readonly offset: number
  readonly problem: string
}

/** What is known of one segment of a journal. */
export interface SegmentView {
  readonly segment: number
  readonly extents: ReadonlyMap<number, ShardExtent>
  readonly gaps: readonly Gap[]
  /** Shards that have lost something for certain. */
  readonly harmed: ReadonlyMap<number, Flaw>
}

/** What keeps a shard closed that was owned by the journal's writer, up to its seal. The views are in order. */
export function flawOf(shard: number, views: readonly SegmentView[], until?: Place): Flaw | undefined {
  const counts = ({ segment, offset }: Place): boolean =>
    until === undefined || segment < until.segment || (segment === until.segment && offset < until.offset)
  let seq: number | undefined
  /** The gaps since the shard's last record. */
  let open: Gap[] = []
  for (const view of views) {
    const harmed = view.harmed.get(shard)
    if (harmed !== undefined && counts(harmed)) return harmed
    const gaps = view.gaps.filter(({ segment, from }) => counts({ segment, offset: from }))
    const extent = view.extents.get(shard)
    // Where something behind the seal cannot be read, its first record may stand behind that.
    const isHarmedBehind = harmed !== undefined || gaps.length < view.gaps.length
    if (extent === undefined || (isHarmedBehind && !counts({ segment: view.segment, offset: lastOf(extent) }))) {
      open.push(...gaps)
      continue
    }
    const { seqBefore } = extent
    if (seq !== undefined && seqBefore >= 0 && seqBefore !== seq && !isExcused([...open, ...gaps])) {
      const problem = `shard ${shard} goes from seq ${seq} to what comes after seq ${seqBefore}`
      return open.find(({ isAccepted }) => !isAccepted) === undefined
        ? { segment: view.segment, offset: 0, problem }
        : toFlaw(
            open.find(({ isAccepted }) => !isAccepted)!,
            problem,
          )
    }
    seq = extent.seqLast
    open = gaps.filter(({ to }) => to > lastOf(extent))
  }
  const unknown = open.find(({ isAccepted }) => !isAccepted)
  return unknown === undefined
    ? undefined
    : toFlaw(unknown, `${unknown.problem}, and shard ${shard} may have been there`)
}

/** Whether a shard may have lost events over these gaps without that being news. */
export function isExcused(gaps: readonly Gap[]): boolean {
  return gaps.length > 0 && gaps.every(({ isAccepted }) => isAccepted)
}

/** Where the last record of the shard begins in its segment. */
export function lastOf({ lastRecord, opened }: ShardExtent): number {
  return Math.max(lastRecord, opened.at(-1)?.[1] ?? -1)
}

/** As whoever wants something of the shard is told. */
export function corruptAt(journal: number, { segment, offset, problem }: Flaw): PenholdError {
  return logCorrupt(segmentPath(journal, segment), offset, problem)
}

function toFlaw({ segment, from }: Gap, problem: string): Flaw {
  return { segment, offset: from, problem }
}
