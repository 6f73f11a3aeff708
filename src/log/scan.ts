/**
 * Reading a segment from its beginning: its batches, what of it cannot be read, and how it ends. Nothing is ever cut or
 * mended here.
 */
import { BATCH_BYTES_LIMIT, BATCH_HEADER_BYTES, findMagic, readBatch, recordAt } from './batch.ts'
import type { Batch, BatchReading, SegmentIdentity } from './batch.ts'
import { dataFormat } from './error.ts'
import type { FilePool } from './file-pool.ts'
import { findFlippedBit, mayBeMagic, type FlippedBit } from './flipped-bit.ts'
import { segmentPath } from './path.ts'
import { Block, lengthAt, RECORD_HEADER_BYTES, type LogRecord } from './record.ts'

/** What is read at once. It dies young with what was made of it: chunks of some MiB make the engine collect all of its memory. */
const CHUNK_BYTES = 512 * 1024

/** What a segment is made of, in order. The last piece is the end. */
export type SegmentPiece =
  | { readonly kind: 'batch'; readonly batch: Batch }
  /** A batch with one wrong bit. */
  | { readonly kind: 'flipped'; readonly flipped: FlippedBit }
  /** Bytes that are no whole batch, with a whole batch behind them at `to`. `salvage` reads what is whole in there. */
  | { readonly kind: 'damage'; readonly from: number; readonly to: number }
  /**
   * What follows the last batch: nothing but zeroes (`clean`), or bytes that are no batch (`torn`), as a crash in the
   * middle of a write leaves them.
   */
  | { readonly kind: 'end'; readonly from: number; readonly isTorn: boolean }

/** A part of a segment that begins and ends between batches. */
export interface Part {
  readonly from: number
  /** Nothing is read from here on. */
  readonly to: number
}

const WHOLE: Part = { from: 0, to: Number.POSITIVE_INFINITY }

/** The records of a piece stay valid as long as they are kept. A part that is read to its end has no end piece. */
export async function* readSegment(
  files: FilePool,
  identity: SegmentIdentity,
  { from, to }: Part = WHOLE,
): AsyncGenerator<SegmentPiece> {
  const window = new Window(files, identity, to)
  let offset = from
  while (offset < to) {
    const reading = await window.batchAt(offset)
    if (reading.kind === 'batch') {
      yield { kind: 'batch', batch: reading.batch }
      offset += reading.batch.length
      continue
    }
    const flipped = await window.flippedAt(offset)
    if (flipped !== undefined) {
      yield { kind: 'flipped', flipped }
      offset += flipped.batch.length
      continue
    }
    const { next, isZero } = await window.batchBehind(offset)
    if (next === undefined) {
      yield { kind: 'end', from: offset, isTorn: !isZero }
      return
    }
    // A living writer has written the batch that stands behind only once this one was whole: look again.
    window.forget()
    if ((await window.batchAt(offset)).kind === 'batch') continue
    yield { kind: 'damage', from: offset, to: next }
    offset = next
  }
}

/** The records that are whole by themselves in a stretch that is no whole batch, in order. */
export async function* salvage(
  files: FilePool,
  identity: SegmentIdentity,
  { from, to }: { readonly from: number; readonly to: number },
): AsyncGenerator<LogRecord> {
  const window = new Window(files, identity, to)
  for (let offset = from; offset + RECORD_HEADER_BYTES <= to;) {
    const record = await window.recordAt(offset, to)
    if (record !== undefined) yield record
    offset += record?.length ?? 8
  }
}

/** A part of the segment in memory that moves on as it is read. */
class Window {
  readonly #files: FilePool
  readonly #identity: SegmentIdentity
  readonly #path: string
  #block = new Block(new Uint8Array())
  #start = 0
  /** Nothing follows the block. */
  #isEnd = false
  /** What stands from here on is not asked for, but where something before it cannot be read. */
  readonly #to: number

  constructor(files: FilePool, identity: SegmentIdentity, to: number) {
    this.#files = files
    this.#identity = identity
    this.#to = to
    this.#path = segmentPath(identity.journal, identity.segment)
  }

  forget(): void {
    this.#block = new Block(new Uint8Array())
    this.#isEnd = false
  }

  async batchAt(offset: number): Promise<BatchReading> {
    const read = (): BatchReading => readBatch(this.#block, offset - this.#start, { ...this.#identity, offset })
    await this.#cover(offset, BATCH_HEADER_BYTES)
    let reading = read()
    if (reading.kind === 'none' && reading.needs !== undefined) {
      await this.#cover(offset, reading.needs)
      reading = read()
    }
    if (reading.kind === 'format') throw laterFormat(this.#path, reading.version)
    return reading
  }

  async flippedAt(offset: number): Promise<FlippedBit | undefined> {
    await this.#cover(offset, BATCH_HEADER_BYTES)
    if (!mayBeMagic(this.#block, offset - this.#start)) return undefined
    // Where the bit is in the length the batch may be as long as any.
    await this.#cover(offset, BATCH_BYTES_LIMIT)
    return findFlippedBit(this.#block, offset - this.#start, { ...this.#identity, offset })
  }

  /** The next whole batch behind a place, and whether nothing but zeroes follows where there is none. */
  async batchBehind(end: number): Promise<{ readonly next: number | undefined; readonly isZero: boolean }> {
    let isZero = true
    // Chunks overlap by a header, so that no batch's beginning is cut in two.
    for (let offset = end; ; offset += CHUNK_BYTES - BATCH_HEADER_BYTES) {
      const bytes = await this.#files.read(this.#path, offset, CHUNK_BYTES)
      if (bytes === undefined || bytes.length === 0) break
      if (isZero) isZero = isAllZero(bytes)
      const block = new Block(bytes)
      for (let at = findMagic(block, 0); at !== -1; at = findMagic(block, at + 8)) {
        if (offset + at > end && (await this.#isBatch(offset + at))) return { next: offset + at, isZero }
      }
      if (bytes.length < CHUNK_BYTES) break
    }
    return { next: undefined, isZero }
  }

  async recordAt(offset: number, end: number): Promise<LogRecord | undefined> {
    const { journal, segment } = this.#identity
    await this.#cover(offset, RECORD_HEADER_BYTES)
    const length = lengthAt(this.#block, offset - this.#start)
    if (length === 0 || offset + length > end) return undefined
    await this.#cover(offset, length)
    return recordAt(this.#block, offset - this.#start, { journal, segment, offset })
  }

  async #isBatch(offset: number): Promise<boolean> {
    const window = new Window(this.#files, this.#identity, Number.POSITIVE_INFINITY)
    return (await window.batchAt(offset)).kind === 'batch'
  }

  /** Has so many bytes from `offset` on in memory, or all that there are. */
  async #cover(offset: number, length: number): Promise<void> {
    const end = this.#start + this.#block.bytes.length
    if (offset >= this.#start && (offset + length <= end || (this.#isEnd && offset <= end))) return
    // What would not be there need not be made room for.
    const rest = length > CHUNK_BYTES ? ((await this.#files.size(this.#path)) ?? 0) - offset : 0
    const asked = offset + length <= this.#to ? Math.min(CHUNK_BYTES, this.#to - offset) : CHUNK_BYTES
    const want = Math.max(asked, Math.min(length, rest))
    const bytes = (await this.#files.read(this.#path, offset, want)) ?? new Uint8Array()
    this.#block = new Block(bytes)
    this.#start = offset
    this.#isEnd = bytes.length < want
  }
}

/** Compares the bytes with themselves, one further: at memory's speed, where a look at each byte takes 15 ms a MiB. */
function isAllZero(bytes: Uint8Array): boolean {
  return bytes[0] === 0 && Buffer.compare(bytes.subarray(0, -1), bytes.subarray(1)) === 0
}

function laterFormat(path: string, version: number): Error {
  return dataFormat(`${path} has format ${version}, which this Penhold cannot read. Use the version that wrote it.`, {
    path,
    version,
  })
}
