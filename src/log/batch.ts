/**
 * The batch: what one group commit writes, whole or not at all. A header of 48 bytes, then records.
 *
 *      0 magic u32   4 length u32   8 CRC-32 of everything after it   12 format version u16   14 header bytes u16
 *     16 journal u32   20 segment u32   24 offset u32   28 record count u32   32 number u64   40 cluster u64
 *
 * The top bit of the record count says that this is its segment's last batch: the file of the next segment was made, and
 * durably named, before this batch was written. So a last file that is lost leaves a trace.
 *
 * The CRC covers where the batch stands and whose it is, so that zeroes, misplaced blocks and another cluster's files
 * never parse. `number` counts the journal's batches 1, 2, 3 …: a writer appends a batch only once the one before it is
 * synced, so whoever finds a batch knows that all before it are durable.
 */
import { assert } from '../aggregate/assert.ts'
import { crc32 } from 'node:zlib'
import { Block, isRecord, isSound, lengthAt, LogRecord, recordLength, recordOf, writeRecord } from './record.ts'
import type { Address, RecordParts, RecordStream } from './record.ts'
import type { Slice } from './slice.ts'
import type { StreamHash } from './stream.ts'

export const BATCH_HEADER_BYTES: number = 48
/** No command is added to a batch that has reached this size. */
export const BATCH_BYTES_MAX: number = 4 * 1024 * 1024
/** What claims to be longer than this is no batch. */
export const BATCH_BYTES_LIMIT: number = 64 * 1024 * 1024
export const FORMAT_VERSION = 1

export const BATCH_MAGIC = 0x31484e50 // 'PNH1'
const LAST_OF_SEGMENT = 0x80000000
const FIRST_CAPACITY = 64 * 1024

/** Where the next batch of a journal will stand. */
export interface BatchPlace extends Address {
  readonly number: number
}

/** A batch under construction: records are written straight to where they will stand. */
export class BatchBuilder {
  readonly #cluster: StreamHash
  #block = new Block(new Uint8Array(FIRST_CAPACITY))
  #place: BatchPlace = { journal: 0, segment: 0, offset: 0, number: 0 }
  #length = BATCH_HEADER_BYTES
  #addresses: Address[] = []

  constructor(cluster: StreamHash) {
    this.#cluster = cluster
  }

  /** Starts over, for a batch at this place. The bytes of the batch before are overwritten. */
  begin(place: BatchPlace): void {
    assert(place.offset % 8 === 0, 'batches stand on 8-byte boundaries')
    this.#place = place
    this.#length = BATCH_HEADER_BYTES
    this.#addresses = []
  }

  get place(): BatchPlace {
    return this.#place
  }
  get isEmpty(): boolean {
    return this.#addresses.length === 0
  }
  get length(): number {
    return this.#length
  }
  get recordCount(): number {
    return this.#addresses.length
  }
  get isFull(): boolean {
    return this.#length >= BATCH_BYTES_MAX
  }

  /** Adds a record and returns where it will stand. */
  add(stream: RecordStream, parts: RecordParts): Address {
    const at = this.#length
    this.#ensure(at + recordLength(stream, parts))
    const { journal, segment, offset } = this.#place
    const address = { journal, segment, offset: offset + at }
    this.#length += writeRecord(this.#block, { at, address }, stream, parts)
    this.#addresses.push(address)
    return address
  }

  /** The records that have been added, in order; valid until the next `begin`. */
  records(): LogRecord[] {
    return this.#addresses.map(({ offset }) => new LogRecord(this.#block, offset - this.#place.offset, this.#place))
  }

  /** What has been added since the batch had this length; valid until the next `begin`. */
  since(length: number): Slice {
    return { bytes: this.#block.bytes, start: length, end: this.#length }
  }

  /**
   * Completes the header and returns the whole batch; valid until the next `begin`. `isLast`: the next segment's file
   * exists, and the next batch will stand there.
   */
  finish(isLast: boolean): Uint8Array {
    assert(this.#length <= BATCH_BYTES_LIMIT, 'a batch is no longer than a reader takes')
    const block = this.#block
    block.put(0, BATCH_MAGIC)
    block.put(4, this.#length)
    block.put(12, FORMAT_VERSION | (BATCH_HEADER_BYTES << 16))
    block.put(16, this.#place.journal)
    block.put(20, this.#place.segment)
    block.put(24, this.#place.offset)
    block.put(28, this.#addresses.length | (isLast ? LAST_OF_SEGMENT : 0))
    block.putSafe(32, this.#place.number)
    block.put(40, this.#cluster.low)
    block.put(44, this.#cluster.high)
    block.put(8, crc32(block.bytes.subarray(12, this.#length)))
    return block.bytes.subarray(0, this.#length)
  }

  /** Forgets memory that only an unusually large batch needed. */
  shrink(): void {
    if (this.#block.bytes.length > 4 * BATCH_BYTES_MAX) this.#block = new Block(new Uint8Array(FIRST_CAPACITY))
  }

  #ensure(length: number): void {
    let capacity = this.#block.bytes.length
    if (length <= capacity) return
    while (capacity < length) capacity *= 2
    const grown = new Uint8Array(capacity)
    grown.set(this.#block.bytes.subarray(0, this.#length))
    this.#block = new Block(grown)
  }
}

/** A batch that was read. */
export interface Batch extends BatchPlace {
  readonly length: number
  /** The file of the next segment was made before this was written. */
  readonly isLast: boolean
  readonly records: readonly LogRecord[]
}

/** What is needed to tell a segment's own batches from anything else. */
export interface SegmentIdentity {
  readonly journal: number
  readonly segment: number
  readonly cluster: StreamHash
}

export type BatchReading =
  | { readonly kind: 'batch'; readonly batch: Batch }
  /** Nothing, or not a whole batch, stands here. `needs` is set where more bytes might tell. */
  | { readonly kind: 'none'; readonly needs?: number }
  /** Written by a later Penhold. */
  | { readonly kind: 'format'; readonly version: number }

/** Reads the batch that should stand at `offset` of a segment, found at `at` in the block. */
export function readBatch(
  block: Block,
  at: number,
  identity: SegmentIdentity & { readonly offset: number },
): BatchReading {
  const { bytes } = block
  if (at + BATCH_HEADER_BYTES > bytes.length) return { kind: 'none', needs: BATCH_HEADER_BYTES }
  const length = block.u32(at + 4)
  if (block.u32(at) !== BATCH_MAGIC || length < BATCH_HEADER_BYTES || length % 8 !== 0) return { kind: 'none' }
  // Before anything is read on its word: events may hold what looks like a batch's beginning, any number of times.
  if (length > BATCH_BYTES_LIMIT || !belongs(block, at, identity)) return { kind: 'none' }
  if (at + length > bytes.length) return { kind: 'none', needs: length }
  if (block.u32(at + 8) !== crc32(bytes.subarray(at + 12, at + length))) return { kind: 'none' }
  const version = block.u32(at + 12) & 0xffff
  if (version !== FORMAT_VERSION) return { kind: 'format', version }
  if (block.u32(at + 12) >>> 16 !== BATCH_HEADER_BYTES || block.u32(at + 36) >= 2 ** 21) return { kind: 'none' }
  const { journal, segment, offset } = identity
  const number = block.safe(at + 32)
  const records = splitRecords(block, at, length, { journal, segment, offset: offset - at })
  const count = block.u32(at + 28)
  const isLast = count >= LAST_OF_SEGMENT
  if (records?.length !== count % LAST_OF_SEGMENT) return { kind: 'none' }
  return { kind: 'batch', batch: { journal, segment, offset, number, length, isLast, records } }
}

/** The next place from `from` on where a batch's magic stands; -1 where there is none. */
export function findMagic(block: Block, from: number): number {
  const magic = Buffer.alloc(4)
  magic.writeUInt32LE(BATCH_MAGIC)
  let at = block.bytes.indexOf(magic, from)
  while (at !== -1 && at % 8 !== 0) at = block.bytes.indexOf(magic, at + 1)
  return at
}

/** What says so stands at the same place in every version of the format. */
function belongs(block: Block, at: number, identity: SegmentIdentity & { readonly offset: number }): boolean {
  return (
    block.u32(at + 16) === identity.journal &&
    block.u32(at + 20) === identity.segment &&
    block.u32(at + 24) === identity.offset &&
    block.u32(at + 40) === identity.cluster.low &&
    block.u32(at + 44) === identity.cluster.high
  )
}

function splitRecords(block: Block, from: number, length: number, origin: Address): LogRecord[] | undefined {
  const records: LogRecord[] = []
  const end = from + length
  for (let at = from + BATCH_HEADER_BYTES; at < end;) {
    const size = lengthAt(block, at)
    if (size === 0 || at + size > end || !isSound(block, at)) return undefined
    records.push(new LogRecord(block, at, origin))
    at += size
  }
  return records
}

/** The record at `at`, verified; undefined where no unharmed record of that address stands. */
export function recordAt(block: Block, at: number, address: Address): LogRecord | undefined {
  return isRecord(block, at, address) ? recordOf(block, at, address) : undefined
}
