/**
 * The record: the log's unit. Fixed binary header, then the stream's name, the event's type, MessagePack data and
 * metadata, zero bytes up to a multiple of 8. Little-endian; the offsets below are the format (docs/format.md).
 *
 * Each record can be read alone: its check covers all its words and is seeded with the place it stands at, so that
 * bytes that were misplaced, zeroed or flipped never pass for a record. Batches have a CRC of their own (batch.ts).
 */
import { assert } from '../aggregate/assert.ts'
import type { StreamHash } from './stream.ts'
import { BadEncoding, decode } from './codec.ts'
import { logCorrupt } from './error.ts'
import { isIdAt } from './identity.ts'
import { segmentPath } from './path.ts'
import { shortText } from './short-text.ts'
import type { Slice } from './slice.ts'
import { TextCache } from './text-cache.ts'

export const RecordKind = {
  /** A fact of a stream. Counts in `seq` and in the stream's versions. */
  event: 1,
  /** A stream's state at a version: data is the state, typeVersion the aggregate's state version. */
  snapshot: 2,
  /** A shard's new owner has begun; data is its `Opening` (reign.ts). Has no stream. */
  opened: 3,
  /** The journal's writer has ended on purpose: everything before it is durable. Has no stream, and no shard. */
  closed: 4,
  /** Every later position of the journal is greater than this one. Has no stream, and no shard. */
  marked: 5,
} as const
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind]

/** Where a record stands. `journal` 0 is nowhere: the chain ends. */
export interface Address {
  readonly journal: number
  readonly segment: number
  readonly offset: number
}

export const NOWHERE: Address = { journal: 0, segment: 0, offset: 0 }
export const RECORD_HEADER_BYTES = 116
/** One record may take so many bytes at most; what claims to be longer is no record. */
export const RECORD_BYTES_MAX: number = 16 * 1024 * 1024

const AT = {
  length: 0,
  check: 4,
  /** kind u8, bytes of the event's type u8, shard u16 */
  kind: 8,
  epoch: 12,
  hashHigh: 16,
  hashLow: 20,
  version: 24,
  payloadHash: 28,
  seq: 32,
  position: 40,
  previousJournal: 48,
  previousSegment: 52,
  previousOffset: 56,
  /** bytes of the stream's name u16, version of the event's shape u16 */
  streamBytes: 60,
  time: 64,
  eventId: 72,
  commandId: 88,
  dataBytes: 104,
  metadataBytes: 108,
  reserved: 112,
} as const

/** Whose record it is. Records without a stream have an empty one that names their shard. */
export interface RecordStream {
  readonly shard: number
  readonly hash: StreamHash
  readonly bytes: Uint8Array
}

/** What a record is written from. Ids are 16 bytes each. */
export interface RecordParts {
  readonly kind: RecordKind
  /** Given by the log when the record is added. */
  epoch: number
  seq: number
  readonly version: number
  readonly payloadHash: number
  readonly position: number
  readonly previous: Address
  readonly time: number
  readonly eventId: Uint8Array
  readonly commandId: Slice
  readonly typeVersion: number
  readonly type: Uint8Array
  readonly data: Slice
  readonly metadata: Uint8Array
}

/** The bytes that a record of these parts takes. */
export function recordLength({ bytes }: RecordStream, { type, data, metadata }: RecordParts): number {
  return align(RECORD_HEADER_BYTES + bytes.length + type.length + (data.end - data.start) + metadata.length)
}

/** Writes the record that will stand at `address` into the block at `at`, and returns its length. */
export function writeRecord(
  block: Block,
  { at, address }: { readonly at: number; readonly address: Address },
  stream: RecordStream,
  parts: RecordParts,
): number {
  const length = recordLength(stream, parts)
  assert(length <= RECORD_BYTES_MAX && at % 8 === 0, 'a record keeps within its bounds')
  block.put(at + AT.length, length)
  block.put(at + AT.kind, parts.kind | (parts.type.length << 8) | (stream.shard << 16))
  block.put(at + AT.epoch, parts.epoch)
  block.put(at + AT.hashHigh, stream.hash.high)
  block.put(at + AT.hashLow, stream.hash.low)
  block.put(at + AT.version, parts.version)
  block.put(at + AT.payloadHash, parts.payloadHash)
  block.putSafe(at + AT.seq, parts.seq)
  block.putSafe(at + AT.position, parts.position)
  block.put(at + AT.previousJournal, parts.previous.journal)
  block.put(at + AT.previousSegment, parts.previous.segment)
  block.put(at + AT.previousOffset, parts.previous.offset)
  block.put(at + AT.streamBytes, stream.bytes.length | (parts.typeVersion << 16))
  block.putSafe(at + AT.time, parts.time)
  block.put(at + AT.dataBytes, parts.data.end - parts.data.start)
  block.put(at + AT.metadataBytes, parts.metadata.length)
  block.put(at + AT.reserved, 0)
  writeBody(block.bytes, at, stream.bytes, parts)
  block.put(at + AT.check, checksum(block.words, at, at + length, address))
  return length
}

function writeBody(bytes: Uint8Array, at: number, stream: Uint8Array, parts: RecordParts): void {
  const { type, data, metadata } = parts
  copy(bytes, at + AT.eventId, parts.eventId, 0, 16)
  copy(bytes, at + AT.commandId, parts.commandId.bytes, parts.commandId.start, parts.commandId.end)
  let to = copy(bytes, at + RECORD_HEADER_BYTES, stream, 0, stream.length)
  to = copy(bytes, to, type, 0, type.length)
  to = copy(bytes, to, data.bytes, data.start, data.end)
  to = copy(bytes, to, metadata, 0, metadata.length)
  for (; to % 8 !== 0; to += 1) bytes[to] = 0
}

/** Copies a part and returns where it ends. Short runs are copied faster by a loop than by a call out of JavaScript. */
function copy(into: Uint8Array, to: number, from: Uint8Array, start: number, end: number): number {
  if (end - start > 64) into.set(from.subarray(start, end), to)
  else for (let i = start; i < end; i += 1) into[to + i - start] = from[i]!
  return to + end - start
}

/**
 * A run of the log in memory. Numbers are read and written as words of the machine, which is ten times faster than
 * through a DataView and the same on every little-endian machine.
 */
export class Block {
  readonly bytes: Buffer
  readonly words: Int32Array

  /** `bytes` starts on a 4-byte boundary. */
  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2)
  }

  /** The unsigned word at a place that is a multiple of 4, and so below. */
  u32(at: number): number {
    return this.words[at >>> 2]! >>> 0
  }

  put(at: number, value: number): void {
    this.words[at >>> 2] = value
  }

  /** A safe integer in 8 bytes. */
  safe(at: number): number {
    return this.u32(at + 4) * 2 ** 32 + this.u32(at)
  }

  putSafe(at: number, value: number): void {
    this.words[at >>> 2] = value
    this.words[(at >>> 2) + 1] = Math.floor(value / 2 ** 32)
  }
}

assert(new Uint8Array(new Uint32Array([1]).buffer)[0] === 1, 'Penhold runs on little-endian machines')

/** Of streams and of events. */
const typeNames = new TextCache(1024)
const SLASH = '/'.charCodeAt(0)
const DOLLAR = '$'.charCodeAt(0)

/** One record in a block: getters over its header, the body decoded when asked for. */
export class LogRecord {
  readonly block: Block
  readonly at: number
  readonly #origin: Address

  /** `origin` is where the block's first byte stands: an address for each record would take as long to make as the record. */
  constructor(block: Block, at: number, origin: Address) {
    this.block = block
    this.at = at
    this.#origin = origin
  }

  get address(): Address {
    return { journal: this.journal, segment: this.segment, offset: this.offset }
  }
  get journal(): number {
    return this.#origin.journal
  }
  get segment(): number {
    return this.#origin.segment
  }
  get offset(): number {
    return this.#origin.offset + this.at
  }

  get length(): number {
    return this.#u32(AT.length)
  }
  get kind(): RecordKind {
    return (this.#u32(AT.kind) & 0xff) as RecordKind
  }
  get shard(): number {
    return this.#u32(AT.kind) >>> 16
  }
  get epoch(): number {
    return this.#u32(AT.epoch)
  }
  get hash(): StreamHash {
    return { high: this.#u32(AT.hashHigh), low: this.#u32(AT.hashLow) }
  }
  get hashHigh(): number {
    return this.#u32(AT.hashHigh)
  }
  get hashLow(): number {
    return this.#u32(AT.hashLow)
  }
  /** Whether it is the journal's, and no shard's. */
  get isOfJournal(): boolean {
    return this.kind >= RecordKind.closed
  }
  get version(): number {
    return this.#u32(AT.version)
  }
  get payloadHash(): number {
    return this.#u32(AT.payloadHash)
  }
  get seq(): number {
    return this.block.safe(this.at + AT.seq)
  }
  get position(): number {
    return this.block.safe(this.at + AT.position)
  }
  get previous(): Address {
    return {
      journal: this.#u32(AT.previousJournal),
      segment: this.#u32(AT.previousSegment),
      offset: this.#u32(AT.previousOffset),
    }
  }
  get time(): number {
    return this.block.safe(this.at + AT.time)
  }
  /** Version of the event's shape, or of the state's in a snapshot. */
  get typeVersion(): number {
    return this.#u32(AT.streamBytes) >>> 16
  }
  get eventId(): Uint8Array {
    return this.#bytes(AT.eventId, 16)
  }
  /** Without a view of its own, which takes as long to make as the id's text. */
  get eventIdSlice(): Slice {
    const start = this.at + AT.eventId
    return { bytes: this.block.bytes, start, end: start + 16 }
  }
  get commandId(): Slice {
    const start = this.at + AT.commandId
    return { bytes: this.block.bytes, start, end: start + 16 }
  }
  /** Where the stream's name, and behind it the event's type, stand in the block. */
  get streamSlice(): Slice {
    const start = this.at + RECORD_HEADER_BYTES
    return { bytes: this.block.bytes, start, end: start + this.#streamLength }
  }
  get typeSlice(): Slice {
    const start = this.at + RECORD_HEADER_BYTES + this.#streamLength
    return { bytes: this.block.bytes, start, end: start + this.#typeLength }
  }
  get streamBytes(): Uint8Array {
    return this.#bytes(RECORD_HEADER_BYTES, this.#streamLength)
  }
  get stream(): string {
    const start = this.at + RECORD_HEADER_BYTES
    const end = start + this.#streamLength
    return shortText(this.block.bytes, start, end) ?? this.block.bytes.toString('utf8', start, end)
  }
  /** Whether its stream is one of Penhold's own: `isInternal` of its name, which is not made for it. */
  get isInternal(): boolean {
    return this.block.bytes[this.at + RECORD_HEADER_BYTES] === DOLLAR
  }
  /** The stream's category, which is an aggregate's type: its name up to the slash. */
  get category(): string {
    const { bytes, start, end } = this.streamSlice
    let slash = start
    while (slash < end && bytes[slash] !== SLASH) slash += 1
    return typeNames.text(this.block.bytes, start, slash) ?? this.#fail("its stream's category is no UTF-8")
  }
  get type(): string {
    const { start, end } = this.typeSlice
    return typeNames.text(this.block.bytes, start, end) ?? this.#fail("its event's type is no UTF-8")
  }
  get typeBytes(): Uint8Array {
    return this.#bytes(RECORD_HEADER_BYTES + this.#streamLength, this.#typeLength)
  }
  get dataBytes(): Uint8Array {
    return this.#bytes(RECORD_HEADER_BYTES + this.#streamLength + this.#typeLength, this.#u32(AT.dataBytes))
  }
  get metadataBytes(): Uint8Array {
    return this.#bytes(this.#metadataAt, this.#u32(AT.metadataBytes))
  }
  /** The decoded data: an event's payload, a snapshot's state; undefined where there is none. @throws PenholdError `LogCorrupt` */
  get data(): unknown {
    const length = this.#u32(AT.dataBytes)
    if (length === 0) return undefined
    const start = this.at + RECORD_HEADER_BYTES + this.#streamLength + this.#typeLength
    return this.#decode(start, start + length)
  }
  /** The caller's own metadata; undefined where there is none. @throws PenholdError `LogCorrupt` */
  get metadata(): Readonly<Record<string, unknown>> | undefined {
    const length = this.#u32(AT.metadataBytes)
    if (length === 0) return undefined
    const start = this.at + this.#metadataAt
    return this.#decode(start, start + length) as Readonly<Record<string, unknown>>
  }
  /** The record's own bytes, as they stand in the log. */
  get bytes(): Uint8Array {
    return this.block.bytes.subarray(this.at, this.at + this.length)
  }

  get #streamLength(): number {
    return this.#u32(AT.streamBytes) & 0xffff
  }
  get #typeLength(): number {
    return (this.#u32(AT.kind) >>> 8) & 0xff
  }
  get #metadataAt(): number {
    return RECORD_HEADER_BYTES + this.#streamLength + this.#typeLength + this.#u32(AT.dataBytes)
  }
  #decode(start: number, end: number): unknown {
    try {
      return decode(this.block.bytes, start, end)
    } catch (error) {
      if (error instanceof BadEncoding) this.#fail(error.message)
      throw error
    }
  }
  /** Its check is right, so that it was written as it stands: by something that is no Penhold, or with a bug. */
  #fail(problem: string): never {
    throw logCorrupt(
      segmentPath(this.journal, this.segment),
      this.offset,
      `a record that nobody should have written: ${problem}`,
    )
  }
  #u32(at: number): number {
    return this.block.u32(this.at + at)
  }
  #bytes(at: number, length: number): Uint8Array {
    return this.block.bytes.subarray(this.at + at, this.at + at + length)
  }
}

/** The record that stands at `at` in the block, and at `address` in the log. */
export function recordOf(block: Block, at: number, { journal, segment, offset }: Address): LogRecord {
  return new LogRecord(block, at, { journal, segment, offset: offset - at })
}

/** The length that stands at `at`, where a record could begin; 0 where none could. */
export function lengthAt(block: Block, at: number): number {
  if (at + RECORD_HEADER_BYTES > block.bytes.length) return 0
  const length = block.u32(at)
  return length < RECORD_HEADER_BYTES || length % 8 !== 0 || length > RECORD_BYTES_MAX ? 0 : length
}

/** Whether a whole, unharmed record stands at `at`, for a record that should stand at `address` in the log. */
export function isRecord(block: Block, at: number, address: Address): boolean {
  const length = lengthAt(block, at)
  if (length === 0 || at + length > block.bytes.length) return false
  return isSound(block, at) && block.u32(at + AT.check) === checksum(block.words, at, at + length, address)
}

/** Whether a record, all of which is at hand, is of a kind there is and its fields fit each other. */
export function isSound(block: Block, at: number): boolean {
  const kind = block.u32(at + AT.kind) & 0xff
  if (kind < RecordKind.event || kind > RecordKind.marked) return false
  const bodyBytes = block.u32(at + AT.dataBytes) + block.u32(at + AT.metadataBytes)
  const length = lengthFrom(block.u32(at + AT.kind), block.u32(at + AT.streamBytes), bodyBytes)
  const unsafeBits = block.u32(at + AT.seq + 4) | block.u32(at + AT.position + 4) | block.u32(at + AT.time + 4)
  return length === block.u32(at + AT.length) && unsafeBits >>> 21 === 0
}

/** Whether these bytes, which may stand anywhere in memory, are events, one after the other. */
export function areEvents({ bytes, start, end }: Slice): boolean {
  for (let at = start; at < end;) {
    if (end - at < RECORD_HEADER_BYTES) return false
    const length = wordOf(bytes, at + AT.length)
    const bodyBytes = wordOf(bytes, at + AT.dataBytes) + wordOf(bytes, at + AT.metadataBytes)
    if (length > end - at || bytes[at + AT.kind] !== RecordKind.event) return false
    if (length !== lengthFrom(wordOf(bytes, at + AT.kind), wordOf(bytes, at + AT.streamBytes), bodyBytes)) return false
    const unsafeBits =
      wordOf(bytes, at + AT.seq + 4) | wordOf(bytes, at + AT.position + 4) | wordOf(bytes, at + AT.time + 4)
    if (unsafeBits >>> 21 !== 0) return false
    if (!isIdAt(bytes, at + AT.eventId) || !isIdAt(bytes, at + AT.commandId)) return false
    at += length
  }
  return true
}

/** The length that a record has by its other fields. */
function lengthFrom(kindWord: number, streamWord: number, bodyBytes: number): number {
  const bytes = RECORD_HEADER_BYTES + (streamWord & 0xffff) + ((kindWord >>> 8) & 0xff) + bodyBytes
  // Not by `align`, which is for lengths below 2^31.
  return Math.ceil(bytes / 8) * 8
}

function wordOf(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

/**
 * MurmurHash3 x86_32 (Austin Appleby, public domain) over the record's words but the check, seeded with its address.
 * Each step is a bijection, so that a change within one word is always found, any other but once in 2^32. It costs a
 * quarter of a call to zlib's CRC for records of this size (docs/decisions/record-check.md).
 */
function checksum(words: Int32Array, start: number, end: number, address: Address): number {
  let hash = step(step(step(0x50656e68, address.journal), address.segment), address.offset)
  hash = step(hash, words[start >>> 2]!)
  const last = end >>> 2
  for (let i = (start >>> 2) + 2; i < last; i += 1) hash = step(hash, words[i]!)
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

function step(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51)
  k = (k << 15) | (k >>> 17)
  const h = hash ^ Math.imul(k, 0x1b873593)
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

export function align(length: number): number {
  return (length + 7) & ~7
}
