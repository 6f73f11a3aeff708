/**
 * Makes the checks right again after bytes were changed, so that what lies behind them is reached: as a bug, another
 * version or somebody with write access would leave it.
 */
import { crc32 } from 'node:zlib'

const BATCH_HEADER_BYTES = 48
const RECORD_HEADER_BYTES = 116

export interface Place {
  readonly journal: number
  readonly segment: number
  readonly offset: number
}

/** Of every record that can be walked to by its length, and of the batch around them. */
export function resealBatch(bytes: Buffer, { journal, segment, offset }: Place): void {
  if (bytes.length < BATCH_HEADER_BYTES) return
  const end = Math.min(bytes.length, bytes.readUInt32LE(4))
  for (let at = BATCH_HEADER_BYTES; at + RECORD_HEADER_BYTES <= end;) {
    const length = bytes.readUInt32LE(at)
    if (length < RECORD_HEADER_BYTES || length % 8 !== 0 || at + length > end) break
    bytes.writeUInt32LE(recordCheck(bytes, at, at + length, { journal, segment, offset: offset + at }), at + 4)
    at += length
  }
  if (end >= 12) bytes.writeUInt32LE(crc32(bytes.subarray(12, end)), 8)
}

/** MurmurHash3 as docs/format.md gives it, written once more: the writer's own would agree with itself. */
function recordCheck(bytes: Buffer, start: number, end: number, { journal, segment, offset }: Place): number {
  const words = [journal, segment, offset, bytes.readUInt32LE(start)]
  for (let at = start + 8; at < end; at += 4) words.push(bytes.readUInt32LE(at))
  let hash = 0x50656e68
  for (const word of words) {
    let k = Math.imul(word, 0xcc9e2d51)
    k = (k << 15) | (k >>> 17)
    hash ^= Math.imul(k, 0x1b873593)
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Every batch of a segment that can be walked to. */
export function resealSegment(bytes: Buffer, place: Omit<Place, 'offset'>): void {
  for (let offset = 0; offset + BATCH_HEADER_BYTES <= bytes.length;) {
    const length = bytes.readUInt32LE(offset + 4)
    if (length < BATCH_HEADER_BYTES || length % 8 !== 0) break
    resealBatch(bytes.subarray(offset), { ...place, offset })
    offset += length
  }
}

/** The head of an index. */
export function resealIndex(bytes: Buffer): void {
  if (bytes.length < 16) return
  bytes.writeUInt32LE(crc32(bytes.subarray(16, 16 + bytes.readUInt32LE(8))), 4)
}

export function resealClaim(text: string): string {
  const [content = ''] = text.split('\n')
  return `${content}\n${crc32(content).toString(16).padStart(8, '0')}\n`
}
