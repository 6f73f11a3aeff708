/**
 * The head of an `.idx` file: what a segment holds, and where in the file each shard's section stands. Read with
 * distrust, although it has a CRC: an index is derived, so that one that another version wrote, or a bug, is made again.
 */
import { BadEncoding, decode, encode } from './codec.ts'
import { isCount } from './count.ts'
import type { ShardExtent } from './segment-index.ts'

/** Hash high, hash low, offset. */
export const ENTRY_BYTES = 12

/** A shard's part of the file. `offset` counts from the end of the head. */
export interface Section extends ShardExtent {
  readonly offset: number
  readonly filterBytes: number
  readonly entries: number
  readonly crc: number
}

export interface Head {
  readonly journal: number
  readonly segment: number
  readonly end: number
  readonly lastBatchOffset: number
  readonly lastBatchNumber: number
  readonly firstBatchNumber: number
  readonly positionLast: number
  /** The segment's last batch is in it: what has the index has all of the segment. */
  readonly isLast: boolean
  /** The segment's own writer made it, behind its syncs. What others make may have a batch that is in the page cache alone. */
  readonly isDurable: boolean
  readonly eventTypes: readonly string[]
  readonly sections: readonly Section[]
}

export function encodeHead(head: Head): Uint8Array {
  return encode(head)
}

/** Undefined where that is no head of a file with so many bytes of sections. */
export function decodeHead(bytes: Uint8Array, sectionBytes: number): Head | undefined {
  let head: unknown
  try {
    head = decode(bytes)
  } catch (error) {
    if (error instanceof BadEncoding) return undefined
    throw error
  }
  return isHead(head, sectionBytes) ? head : undefined
}

function isHead(value: unknown, sectionBytes: number): value is Head {
  const head = (value ?? {}) as Partial<Record<keyof Head, unknown>>
  const { end, lastBatchOffset, lastBatchNumber, firstBatchNumber, positionLast, eventTypes, sections } = head
  return (
    [head.journal, head.segment, end, lastBatchOffset, lastBatchNumber, firstBatchNumber, positionLast].every(
      isCount,
    ) &&
    typeof head.isLast === 'boolean' &&
    typeof head.isDurable === 'boolean' &&
    isBatches(head as Head) &&
    Array.isArray(eventTypes) &&
    eventTypes.every((type) => typeof type === 'string') &&
    Array.isArray(sections) &&
    sections.every((section) => isSection(section, head as Head, sectionBytes))
  )
}

/** Either none, or a row of them that ends where the last one does. */
function isBatches({ end, lastBatchOffset, lastBatchNumber, firstBatchNumber }: Head): boolean {
  if (end === 0) return firstBatchNumber === 0 && lastBatchNumber === 0 && lastBatchOffset === 0
  return lastBatchOffset < end && firstBatchNumber > 0 && firstBatchNumber <= lastBatchNumber
}

function isSection(value: unknown, { end }: Head, sectionBytes: number): value is Section {
  const section = (value ?? {}) as Partial<Record<keyof Section, unknown>>
  const { shard, seqBefore, seqLast, positionFirst, positionLast, lastRecord, opened } = section
  const { offset, filterBytes, entries, crc } = section as Section
  return (
    [shard, seqLast, positionFirst, positionLast, offset, filterBytes, entries, crc].every(isCount) &&
    [seqBefore, lastRecord].every((number) => number === -1 || isCount(number)) &&
    Array.isArray(opened) &&
    opened.every((place) => isOpened(place, end)) &&
    filterBytes > 0 &&
    filterBytes % 8 === 0 &&
    offset + filterBytes + entries * ENTRY_BYTES <= sectionBytes
  )
}

/** Where an owner opened the shard: epoch and offset. */
function isOpened(value: unknown, end: number): boolean {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [epoch, offset] = value as readonly unknown[]
  return isCount(epoch) && isCount(offset) && offset < end
}
