/**
 * Segments that hold no event of a type that a reader wants: their indexes say so, and they are not read.
 *
 * That no event is missing is asserted all the same (I4). A segment is passed over only where it is known which events of
 * each shard it has: where all that it has of a shard stands within one reign, so that it counts, or nothing of it does. The
 * events that are passed over have their numbers (`seq`) in a row, with which those that are read go on.
 */
import type { Catalog, SegmentIndex } from '../log/catalog.ts'
import type { ShardExtent } from '../log/segment-index.ts'
import type { Reign } from '../log/reign.ts'
import type { Stretch } from './journal-records.ts'
import type { ShardReigns } from './shard-reigns.ts'

/** Numbers of events of a shard, both ends of it. */
interface Run {
  readonly from: number
  readonly to: number
}

export interface PassedOverOptions {
  readonly catalog: Catalog
  readonly reigns: ShardReigns
  /** Whether events of this type are wanted, where it is given as `category/Type@version`. */
  readonly isWanted: (eventType: string) => boolean
}

export class PassedOver {
  readonly #options: PassedOverOptions
  /** By shard, in order. */
  readonly #runs = new Map<number, Run[]>()

  constructor(options: PassedOverOptions) {
    this.#options = options
  }

  /**
   * Passes over a segment where nothing in it is wanted and all of it lies below a position, up to which it is known who
   * owned what. Resolves to whether it did.
   */
  async take(stretch: Stretch, segment: number, until: number): Promise<boolean> {
    const { catalog, isWanted } = this.#options
    const isLast = segment === stretch.to.segment
    // Of what is still being written there is no index.
    if (isLast && stretch.isDurable) return false
    const index = await catalog.index(stretch.journal, segment, isLast ? stretch.to.offset : undefined)
    // Where its end is gone, it may have had what is wanted.
    if (isLast ? index.end < stretch.to.offset : !index.isLast) return false
    if (index.positionLast > until || index.gaps.length > 0 || index.harmed.size > 0) return false
    if ([...index.eventTypes].some(isWanted)) return false
    const runs: [shard: number, run: Run][] = []
    for (const extent of index.extents.values()) {
      const counted = await this.#countedOf(index, extent)
      if (counted === 'unknown') return false
      if (counted.from <= counted.to) runs.push([extent.shard, counted])
    }
    for (const [shard, run] of runs) this.#add(shard, run)
    return true
  }

  /** The last of the events behind this one that were all passed over; this one, where the next was not. */
  lastBehind(shard: number, seq: number): number {
    const runs = this.#runs.get(shard) ?? []
    while (runs[0] !== undefined && runs[0].to <= seq) runs.shift()
    return runs[0] !== undefined && runs[0].from <= seq + 1 ? runs[0].to : seq
  }

  /** Which events of a shard the segment has that count. */
  async #countedOf(index: SegmentIndex, extent: ShardExtent): Promise<Run | 'unknown'> {
    const { journal, segment, end } = index
    const { shard, seqBefore, seqLast } = extent
    const touching = this.#options.reigns.of(shard).filter((reign) => doesTouch(reign, journal, segment))
    const [reign] = touching
    if (reign === undefined) return { from: 1, to: 0 }
    if (touching.length > 1) return 'unknown'
    const { from, until } = reign
    if (until !== undefined && until.segment === segment && until.offset < end) return 'unknown'
    if (from.segment < segment) return seqBefore < 0 ? 'unknown' : { from: seqBefore + 1, to: seqLast }
    // Its opening has the number of the last event before it, also of what was carried over.
    if (extent.opened.length !== 1) return 'unknown'
    const { seq } = await this.#options.catalog.record({ journal, ...from })
    return { from: seq + 1, to: seqLast }
  }

  #add(shard: number, run: Run): void {
    const runs = this.#runs.get(shard) ?? []
    this.#runs.set(shard, runs)
    // Journals are read side by side, each in order.
    let at = runs.length
    while (at > 0 && runs[at - 1]!.from > run.from) at -= 1
    const [before, next] = [runs[at - 1], runs[at]]
    const joined = {
      from: before !== undefined && before.to + 1 >= run.from ? before.from : run.from,
      to: next !== undefined && run.to + 1 >= next.from ? next.to : run.to,
    }
    const first = joined.from < run.from ? at - 1 : at
    runs.splice(first, at - first + (joined.to > run.to ? 1 : 0), joined)
  }
}

function doesTouch({ journal, from, until }: Reign, ofJournal: number, segment: number): boolean {
  if (journal !== ofJournal || from.segment > segment) return false
  return until === undefined || until.segment > segment || (until.segment === segment && until.offset > 0)
}
