/** The records of a journal, in the order in which its writer wrote them. Which of them count is another's to say. */
import type { PenholdError } from '../aggregate/error.ts'
import type { SegmentIdentity } from '../log/batch.ts'
import type { Catalog } from '../log/catalog.ts'
import { isLogCorrupt, logCorrupt } from '../log/error.ts'
import { isAccepted } from '../log/losses.ts'
import { segmentPath } from '../log/path.ts'
import { RecordKind, type Address, type LogRecord } from '../log/record.ts'
import type { Place } from '../log/reign.ts'
import { readSegment, salvage, type SegmentPiece } from '../log/scan.ts'

/** A part of a journal that begins and ends between batches. */
export interface Stretch {
  readonly journal: number
  readonly from: Place
  readonly to: Place
  /**
   * Somebody has told that all of it is durable. Where heirs have sealed it alone, its last batch may be gone: they have
   * set the seal behind one that was in doubt where it had nothing of their shard.
   */
  readonly isDurable: boolean
}

/** Records that stand together, and where. */
export interface Run {
  readonly at: Place
  readonly records: readonly LogRecord[]
  /** One of these. Whom it concerns stops before it. */
  readonly harmed?: Harmed | undefined
  /** Others may have stood among them, nobody knows of which shards. */
  readonly isPart?: boolean
  /** The same, where it is not accepted as lost. */
  readonly missing?: PenholdError | undefined
}

/** A record as it was written, of which one bit is flipped now. */
export interface Harmed {
  readonly record: LogRecord
  /** `LogCorrupt`, for whoever stops there. */
  readonly error: PenholdError
}

/**
 * The records of a stretch, batch by batch. Where something cannot be read, those that are whole in there: that none is
 * missing shows in the shards' `seq`. Segments that are passed over are left out, where they are not in the middle.
 * @throws PenholdError `LogCorrupt` where the stretch ends too early
 */
export async function* recordsOf(
  catalog: Catalog,
  { journal, from, to, isDurable }: Stretch,
  passesOver: (segment: number) => Promise<boolean> = async () => false,
): AsyncGenerator<Run> {
  for (let { segment } = from; segment <= to.segment; segment += 1) {
    const isBegun = segment === from.segment && from.offset > 0
    if (!isBegun && (await passesOver(segment))) continue
    const part = {
      from: segment === from.segment ? from.offset : 0,
      to: segment === to.segment ? to.offset : Number.POSITIVE_INFINITY,
    }
    const identity = catalog.identity(journal, segment)
    for await (const piece of readSegment(catalog.files, identity, part)) {
      if (piece.kind === 'damage') {
        const records = await Array.fromAsync(salvage(catalog.files, identity, piece))
        const missing = await missingIn(catalog, identity, piece)
        yield { at: { segment, offset: piece.from }, records, isPart: true, missing }
      } else if (piece.kind !== 'end') {
        yield runOf(piece, segmentPath(journal, segment))
      } else if (segment === to.segment && isDurable) {
        throw logCorrupt(segmentPath(journal, segment), piece.from, `what was durable up to byte ${to.offset} is gone`)
      } else if (segment < to.segment && piece.isTorn) {
        const missing = await missingBehind(catalog, identity, piece.from)
        if (missing !== undefined) yield { at: { segment, offset: piece.from }, records: [], isPart: true, missing }
      }
    }
  }
}

async function missingIn(
  catalog: Catalog,
  { journal, segment }: SegmentIdentity,
  { from, to }: SegmentPiece & { readonly kind: 'damage' },
): Promise<PenholdError | undefined> {
  if (isAccepted(await catalog.losses(journal), { segment, from, to })) return undefined
  return logCorrupt(segmentPath(journal, segment), from, `what stands there up to byte ${to} is not what was written`)
}

/** What its writer has left was written to its end: where that is torn now, it may be that nothing follows that would show it. */
async function missingBehind(
  catalog: Catalog,
  { journal, segment }: SegmentIdentity,
  from: number,
): Promise<PenholdError | undefined> {
  const index = await catalog.index(journal, segment, undefined)
  // Where the index was lost as well, the next segment tells.
  const next = await catalog.index(journal, segment + 1, 0)
  const isWhole =
    index.end <= from && (next.firstBatchNumber === 0 || next.firstBatchNumber === index.lastBatchNumber + 1)
  if (isWhole || isAccepted(await catalog.losses(journal), { segment, from, to: Number.POSITIVE_INFINITY }))
    return undefined
  return logCorrupt(segmentPath(journal, segment), from, 'what stands there up to its end is not what was written')
}

function runOf(piece: SegmentPiece & { readonly kind: 'batch' | 'flipped' }, path: string): Run {
  if (piece.kind === 'batch') return { at: piece.batch, records: piece.batch.records }
  const { batch, harmed: record, offset } = piece.flipped
  if (record === undefined) return { at: batch, records: batch.records }
  const records = [...batch.records, record].sort((a, b) => a.offset - b.offset)
  return { at: batch, records, harmed: { record, error: logCorrupt(path, offset, 'one bit of this byte is flipped') } }
}

/**
 * The events that a shard's owner has carried over from the owner before: they follow its opening, with the positions
 * that they had there, which are all less than the opening's.
 */
export async function carriedBehind(catalog: Catalog, opened: Address): Promise<readonly LogRecord[]> {
  const opening = await catalog.record(opened)
  const events: LogRecord[] = []
  for (let record = opening; ;) {
    const next = await followerAt(catalog, { ...opened, offset: record.offset + record.length })
    const isCarried = next?.shard === opening.shard && next.epoch === opening.epoch && next.position <= opening.position
    if (!isCarried || (next.kind !== RecordKind.event && next.kind !== RecordKind.snapshot)) return events
    if (next.kind === RecordKind.event) events.push(next)
    record = next
  }
}

/** Undefined where the batch ends before. */
async function followerAt(catalog: Catalog, address: Address): Promise<LogRecord | undefined> {
  try {
    return await catalog.record(address)
  } catch (error) {
    if (isLogCorrupt(error)) return undefined
    throw error
  }
}
