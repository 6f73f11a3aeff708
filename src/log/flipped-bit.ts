/**
 * A batch that one flipped bit keeps from being whole, and which bit that is.
 *
 * It tells damage from a write that a crash interrupted: what is left of such a write is hardly ever one bit away from a
 * batch that matches its CRC, says that it stands where it does, and is made of records that match checks of their own. It
 * is where all that is lost are zeroes and that bit: so of a journal's last batch nobody can tell which of the two it is
 * (catalog.ts). It takes one pass over the batch, because a CRC is linear: the difference between the CRC that stands there
 * and the one that the bytes give leads back to the bit.
 */
import { crc32 } from 'node:zlib'
import { BATCH_BYTES_LIMIT, BATCH_HEADER_BYTES, BATCH_MAGIC, readBatch } from './batch.ts'
import type { Batch, SegmentIdentity } from './batch.ts'
import { Block, isRecord, recordOf, type LogRecord } from './record.ts'

export interface FlippedBit {
  /** Where in the segment the byte stands, and the bit of it that is wrong. */
  readonly offset: number
  readonly mask: number
  /** It is zero and was one: what was not written yet is all zeroes. */
  readonly isMissing: boolean
  /** The batch, with those of its records that are whole as they stand. */
  readonly batch: Batch
  /** The batch as it was written. */
  readonly written: Batch
  /** The record that has the bit, as it was written; undefined where the bit is in the batch's header. */
  readonly harmed: LogRecord | undefined
}

interface Bit {
  /** Counted from the batch's beginning. */
  readonly at: number
  readonly mask: number
}

const LENGTH_AT = 4
const CRC_AT = 8
const CHECKED_FROM = 12

/** Looks at what should be the batch at `offset` of a segment and was found at `at` in the block. */
export function findFlippedBit(
  block: Block,
  at: number,
  identity: SegmentIdentity & { readonly offset: number },
): FlippedBit | undefined {
  if (!mayBeMagic(block, at)) return undefined
  for (const bit of candidates(block, at)) {
    const written = mended(block, at, bit, identity)
    if (written === undefined) continue
    const isWhole = ({ at: within, address }: LogRecord): boolean => isRecord(block, at + within, address)
    const records = written.records
      .filter(isWhole)
      .map(({ at: within, address }) => recordOf(block, at + within, address))
    const harmed = written.records.find((record) => !isWhole(record))
    const isMissing = (block.bytes[at + bit.at]! & bit.mask) === 0
    return {
      offset: identity.offset + bit.at,
      mask: bit.mask,
      isMissing,
      batch: { ...written, records },
      written,
      harmed,
    }
  }
  return undefined
}

/** Whether a batch may begin there, of which at most one bit is wrong. */
export function mayBeMagic(block: Block, at: number): boolean {
  if (at + BATCH_HEADER_BYTES > block.bytes.length) return false
  const difference = (block.u32(at) ^ BATCH_MAGIC) >>> 0
  return difference === 0 || isPowerOfTwo(difference)
}

/** The batch that stands there once the bit is set right; undefined where there is still none. */
function mended(
  block: Block,
  at: number,
  bit: Bit,
  identity: SegmentIdentity & { readonly offset: number },
): Batch | undefined {
  const head = Uint8Array.from(block.bytes.subarray(at, at + BATCH_HEADER_BYTES))
  if (bit.at < BATCH_HEADER_BYTES) head[bit.at]! ^= bit.mask
  const length = new Block(head).u32(LENGTH_AT)
  if (!fits(block, at, length)) return undefined
  const bytes = Uint8Array.from(block.bytes.subarray(at, at + length))
  bytes[bit.at]! ^= bit.mask
  const copy = new Block(bytes)
  const reading = readBatch(copy, 0, identity)
  if (reading.kind !== 'batch') return undefined
  const isSound = reading.batch.records.every((record) => isRecord(copy, record.at, record.address))
  return isSound ? reading.batch : undefined
}

/** The bits that may be the one, by what must be in the header. */
function* candidates(block: Block, at: number): Generator<Bit> {
  const magic = (block.u32(at) ^ BATCH_MAGIC) >>> 0
  if (magic !== 0) {
    yield bitOfWord(0, magic)
    return
  }
  const length = block.u32(at + LENGTH_AT)
  for (let bit = 0; bit < 32; bit += 1) {
    if (fits(block, at, (length ^ (1 << bit)) >>> 0)) yield bitOfWord(LENGTH_AT, (1 << bit) >>> 0)
  }
  if (!fits(block, at, length)) return
  const checked = block.bytes.subarray(at + CHECKED_FROM, at + length)
  const difference = (block.u32(at + CRC_AT) ^ crc32(checked)) >>> 0
  if (isPowerOfTwo(difference)) yield bitOfWord(CRC_AT, difference)
  const found = bitBehind(difference, checked.length)
  if (found !== undefined) yield { at: CHECKED_FROM + found.at, mask: found.mask }
}

function fits(block: Block, at: number, length: number): boolean {
  const isLength = length >= BATCH_HEADER_BYTES && length % 8 === 0 && length <= BATCH_BYTES_LIMIT
  return isLength && at + length <= block.bytes.length
}

function isPowerOfTwo(word: number): boolean {
  return word !== 0 && (word & (word - 1)) === 0
}

function bitOfWord(at: number, word: number): Bit {
  const byte = Math.floor(Math.log2(word) / 8)
  return { at: at + byte, mask: word >>> (byte * 8) }
}

/** For each byte what it adds to a CRC-32, and the byte that adds a word with this top byte. */
const ADDED = Uint32Array.from({ length: 256 }, (_, byte) => {
  let word = byte
  for (let bit = 0; bit < 8; bit += 1) word = (word & 1) === 0 ? word >>> 1 : (word >>> 1) ^ 0xedb88320
  return word
})
const BYTE_OF_TOP = new Uint8Array(256)
ADDED.forEach((word, byte) => (BYTE_OF_TOP[word >>> 24] = byte))

/**
 * The single bit, among so many bytes, whose flipping changes their CRC-32 by this difference. Takes the CRC's steps
 * back from the last byte on: where what is left is one bit of one byte, that byte is where the difference came in.
 */
function bitBehind(difference: number, length: number): Bit | undefined {
  if (difference === 0) return undefined
  let left = difference
  for (let at = length - 1; at >= 0; at -= 1) {
    const byte = BYTE_OF_TOP[left >>> 24]!
    left = (((left ^ ADDED[byte]!) << 8) | byte) >>> 0
    if (left < 256 && isPowerOfTwo(left)) return { at, mask: left }
  }
  return undefined
}
