/**
 * What a segment holds: for each stream its newest record, for each shard its extent, and the event types present.
 * `OpenIndex` is the one in memory of a segment being written or scanned; index-file.ts writes it down when the segment
 * is closed and reads it there. Derived from the segment and from nothing else: lost or damaged, it is made again.
 */
import type { Batch } from './batch.ts'
import { isExcused, lastOf, type Flaw, type Gap } from './damage.ts'
import { RecordKind, type LogRecord } from './record.ts'
import { StreamTable } from './stream-table.ts'
import { streamType, type StreamHash } from './stream.ts'

const SLASH = 0x2f

/** What a segment holds of one shard. */
export interface ShardExtent {
  readonly shard: number
  /** The seq that the shard must have had before this segment; -1 where an owner has opened it here. */
  seqBefore: number
  /** The seq of the shard's last record in the segment, and the positions of its first and last event. */
  seqLast: number
  positionFirst: number
  positionLast: number
  /** The offset of the shard's last event or snapshot; -1 where there is none. */
  lastRecord: number
  /** Where owners opened the shard in this segment: [epoch, offset]. */
  readonly opened: [number, number][]
}

export class OpenIndex {
  readonly journal: number
  readonly segment: number
  readonly streams: StreamTable = new StreamTable()
  readonly extents: Map<number, ShardExtent> = new Map()
  /** `account/MoneyDeposited@1` for each event type and version in the segment. */
  readonly eventTypes: Set<string> = new Set()
  /** Where the last whole batch begins and ends, and its number; 0 for an empty segment. */
  lastBatchOffset = 0
  lastBatchNumber = 0
  firstBatchNumber = 0
  end = 0
  /** The greatest position of any record, also of those that are not events. */
  positionLast = 0
  /** The last whole batch says that the next segment's file was made. */
  isLast = false
  /** All that it has is known to be on the disk: its segment's own writer made it. */
  isDurable = false
  readonly gaps: Gap[] = []
  readonly harmed: Map<number, Flaw> = new Map()
  #typesSeen = new Set<number>()

  constructor(journal: number, segment: number) {
    this.journal = journal
    this.segment = segment
  }

  /** Whether nothing in the segment contradicts the log's rules. */
  get isSound(): boolean {
    return this.gaps.length === 0 && this.harmed.size === 0
  }

  /** Takes in a batch that is whole and, for a journal's own writer, durable. */
  add({ offset, number, length, isLast }: Pick<Batch, 'offset' | 'number' | 'length' | 'isLast'>): void {
    if (this.firstBatchNumber === 0) this.firstBatchNumber = number
    else if (number !== this.lastBatchNumber + 1 && this.gaps.at(-1)?.to !== offset) {
      const problem = `batch ${this.lastBatchNumber + 1} is missing`
      this.gaps.push({ segment: this.segment, from: offset, to: offset, problem, isAccepted: false })
    }
    this.lastBatchOffset = offset
    this.lastBatchNumber = number
    this.isLast = isLast
    this.end = offset + length
  }

  /** Takes in a stretch that cannot be read, before the records that are whole in it. */
  addGap(gap: Gap): void {
    this.gaps.push(gap)
  }

  /** Takes in that a shard has lost something. */
  harm(shard: number, offset: number, problem: string): void {
    if (!this.harmed.has(shard)) this.harmed.set(shard, { segment: this.segment, offset, problem })
  }

  /** Takes in one record of the batch. */
  addRecord(record: LogRecord): void {
    const { kind } = record
    if (record.position > this.positionLast) this.positionLast = record.position
    if (record.isOfJournal) return
    const isFirst = !this.extents.has(record.shard)
    const extent = this.#extent(record.shard)
    // No gaps (I4): whatever a shard's seq jumps over was written and is gone.
    if (!isFirst && kind !== RecordKind.opened && record.seq !== extent.seqLast + (kind === RecordKind.event ? 1 : 0)) {
      this.#jump(record, extent)
    }
    extent.seqLast = record.seq
    if (isFirst) extent.seqBefore = kind === RecordKind.opened ? -1 : record.seq - (kind === RecordKind.event ? 1 : 0)
    if (kind === RecordKind.opened) {
      extent.opened.push([record.epoch, record.offset])
      return
    }
    extent.lastRecord = record.offset
    this.streams.set(record.hashHigh, record.hashLow, record.offset)
    if (kind !== RecordKind.event) return
    const { position } = record
    if (extent.positionFirst === 0) extent.positionFirst = position
    extent.positionLast = position
    this.#addType(record)
  }

  /** The offset of the stream's newest record here. */
  find(hash: StreamHash): number | undefined {
    return this.streams.get(hash.high, hash.low)
  }

  #jump({ shard, seq, offset: at }: LogRecord, extent: ShardExtent): void {
    const between = this.gaps.filter(({ from, to }) => to > lastOf(extent) && from < at)
    if (isExcused(between)) return
    const offset = between.find(({ isAccepted }) => !isAccepted)?.from ?? at
    this.harm(shard, offset, `shard ${shard} goes from seq ${extent.seqLast} to ${seq}`)
  }

  #extent(shard: number): ShardExtent {
    let extent = this.extents.get(shard)
    if (extent === undefined) {
      extent = { shard, seqBefore: -1, seqLast: 0, positionFirst: 0, positionLast: 0, lastRecord: -1, opened: [] }
      this.extents.set(shard, extent)
    }
    return extent
  }

  /** Making the type's text costs more than all else here, so that a 53-bit hash says whether it was seen. */
  #addType(record: LogRecord): void {
    let a = record.typeVersion
    let b = 0x811c9dc5
    const { bytes, start, end } = record.typeSlice
    for (let i = start; i < end; i += 1) {
      a = Math.imul(a ^ bytes[i]!, 0x01000193)
      b = Math.imul(b ^ bytes[i]!, 0x85ebca6b)
    }
    const stream = record.streamSlice
    for (let i = stream.start; bytes[i] !== SLASH && i < stream.end; i += 1) {
      a = Math.imul(a ^ bytes[i]!, 0x01000193)
      b = Math.imul(b ^ bytes[i]!, 0x85ebca6b)
    }
    const seen = (a >>> 0) * 2 ** 21 + (b >>> 11)
    if (this.#typesSeen.has(seen)) return
    this.#typesSeen.add(seen)
    this.eventTypes.add(`${streamType(record.stream)}/${record.type}@${record.typeVersion}`)
  }
}
