/**
 * The `.idx` file of a closed segment.
 *
 *     0 magic u32   4 CRC-32 of the head u32   8 length of the head u32   12 zero u32   16 head (MessagePack)
 *     then, for each shard in the head, its section: filter, then 12-byte entries (hash high, low, offset)
 *     sorted by hash
 *
 * Opening reads the head alone; a shard's section is checked against its CRC when it is first needed, and from then on
 * its filter stays in memory and its entries on disk. What is read of these later is checked as well, against CRCs of blocks
 * that were made then: an entry that is wrong, or missing, would hide what was acknowledged. There another file may take its place at any time: that of a segment
 * that was written on, by its writer or by whoever has read more of it. So the head is looked at again whenever the file
 * was opened anew.
 */
import { crc32 } from 'node:zlib'
import type { Flaw, Gap } from './damage.ts'
import { isLogCorrupt } from './error.ts'
import { addToFilter, createFilter, mayContain } from './filter.ts'
import { decodeHead, encodeHead, ENTRY_BYTES, type Head, type Section } from './index-head.ts'
import { indexPath } from './path.ts'
import type { OpenIndex } from './segment-index.ts'
import type { FilePool } from './file-pool.ts'
import type { ReadFile } from './storage.ts'
import type { StreamHash } from './stream.ts'

const MAGIC = 0x31585850 // 'PXX1'
const PREFIX_BYTES = 16
/** So many entries are checked together. Two such blocks are read, so that half of one at least is on each side of where a hash is expected. */
const BLOCK_ENTRIES = 128
const BLOCK_BYTES: number = BLOCK_ENTRIES * ENTRY_BYTES
const HEAD_BYTES_MAX = 64 * 1024 * 1024

interface Entry extends StreamHash {
  readonly offset: number
}

/** What is kept in memory of a section that was checked. */
interface Checked {
  readonly filter: Uint8Array
  /** Of each block of its entries. */
  readonly crcs: readonly number[]
}

/** Writes an index down. Yields between shards, because sorting a full segment's streams takes a tenth of a second. */
export async function encodeIndex(
  index: OpenIndex,
  shardOf: (low: number) => number,
  pause: () => Promise<void>,
): Promise<Uint8Array> {
  const byShard = new Map<number, Entry[]>()
  for (const entry of index.streams.entries()) {
    const shard = shardOf(entry.low)
    const entries = byShard.get(shard)
    if (entries === undefined) byShard.set(shard, [entry])
    else entries.push(entry)
  }
  const sections: Section[] = []
  const bodies: Uint8Array[] = []
  let offset = 0
  for (const extent of [...index.extents.values()].toSorted((a, b) => a.shard - b.shard)) {
    const entries = byShard.get(extent.shard) ?? []
    const { filterBytes, body } = encodeSection(entries)
    sections.push({ ...extent, offset, filterBytes, entries: entries.length, crc: crc32(body) })
    bodies.push(body)
    offset += body.length
    await pause()
  }
  const { journal, segment, end, lastBatchOffset, lastBatchNumber, firstBatchNumber, isLast, isDurable } = index
  const { positionLast } = index
  const eventTypes = [...index.eventTypes].toSorted()
  const batches = { end, lastBatchOffset, lastBatchNumber, firstBatchNumber, isLast, isDurable }
  const head = encodeHead({ journal, segment, ...batches, positionLast, eventTypes, sections })
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix.writeUInt32LE(MAGIC, 0)
  prefix.writeUInt32LE(crc32(head), 4)
  prefix.writeUInt32LE(head.length, 8)
  return Buffer.concat([prefix, head, ...bodies])
}

function encodeSection(entries: Entry[]): { filterBytes: number; body: Uint8Array } {
  entries.sort((a, b) => a.high - b.high || a.low - b.low)
  const filter = createFilter(entries.length)
  const body = Buffer.alloc(filter.length + entries.length * ENTRY_BYTES)
  entries.forEach((entry, i) => {
    addToFilter(filter, entry.high, entry.low)
    const at = filter.length + i * ENTRY_BYTES
    body.writeUInt32LE(entry.high, at)
    body.writeUInt32LE(entry.low, at + 4)
    body.writeUInt32LE(entry.offset, at + 8)
  })
  body.set(filter, 0)
  return { filterBytes: filter.length, body }
}

/** A closed segment's index, on disk. */
export class IndexFile {
  readonly journal: number
  readonly segment: number
  readonly end: number
  readonly lastBatchOffset: number
  readonly lastBatchNumber: number
  readonly firstBatchNumber: number
  readonly positionLast: number
  readonly isLast: boolean
  readonly isDurable: boolean
  readonly eventTypes: readonly string[]
  readonly extents: ReadonlyMap<number, Section>
  /** A segment with damage gets no index file: it is read anew each time, so that the damage is not forgotten. */
  readonly gaps: readonly Gap[] = []
  readonly harmed: ReadonlyMap<number, Flaw> = new Map()
  readonly #files: FilePool
  /** The file's first bytes, which no other index of the segment has: the CRC of the head is among them. */
  readonly #prefix: Uint8Array
  readonly #sectionsAt: number
  /** The file as it was opened when its first bytes were looked at last. */
  #seen: ReadFile | undefined
  /** By shard. */
  readonly #checked = new Map<number, Checked>()

  private constructor(files: FilePool, head: Head, { prefix, sectionsAt }: { prefix: Uint8Array; sectionsAt: number }) {
    this.#files = files
    this.#prefix = prefix
    this.#sectionsAt = sectionsAt
    this.journal = head.journal
    this.segment = head.segment
    this.end = head.end
    this.lastBatchOffset = head.lastBatchOffset
    this.lastBatchNumber = head.lastBatchNumber
    this.firstBatchNumber = head.firstBatchNumber
    this.positionLast = head.positionLast
    this.isLast = head.isLast
    this.isDurable = head.isDurable
    this.eventTypes = head.eventTypes
    this.extents = new Map(head.sections.map((section) => [section.shard, section]))
  }

  /** Opens a segment's index; undefined where it is missing, unreadable or not whole, so that it must be made again. */
  static async open(files: FilePool, journal: number, segment: number): Promise<IndexFile | undefined> {
    try {
      return await IndexFile.#open(files, journal, segment)
    } catch (error) {
      if (isLogCorrupt(error)) return undefined
      throw error
    }
  }

  static async #open(files: FilePool, journal: number, segment: number): Promise<IndexFile | undefined> {
    const path = indexPath(journal, segment)
    const prefix = Buffer.from((await files.read(path, 0, PREFIX_BYTES)) ?? [])
    if (prefix.length < PREFIX_BYTES || prefix.readUInt32LE(0) !== MAGIC) return undefined
    const length = prefix.readUInt32LE(8)
    const sectionBytes = ((await files.size(path)) ?? 0) - PREFIX_BYTES - length
    if (length > HEAD_BYTES_MAX || sectionBytes < 0) return undefined
    const bytes = await files.read(path, PREFIX_BYTES, length)
    if (bytes?.length !== length || crc32(bytes) !== prefix.readUInt32LE(4)) return undefined
    const head = decodeHead(bytes, sectionBytes)
    if (head?.journal !== journal || head.segment !== segment) return undefined
    return new IndexFile(files, head, { prefix, sectionsAt: PREFIX_BYTES + length })
  }

  /**
   * The offset of the stream's newest record in the segment. `'damaged'` where what was read does not match its CRC;
   * `'replaced'` where the file is not the one that was opened, or is gone.
   */
  async find(shard: number, hash: StreamHash): Promise<number | undefined | 'damaged' | 'replaced'> {
    const section = this.extents.get(shard)
    if (section === undefined || section.entries === 0) return undefined
    const checked = this.#checked.get(shard) ?? (await this.#check(section))
    if (typeof checked === 'string') return checked
    return mayContain(checked.filter, hash.high, hash.low) ? this.#search(section, checked, hash) : undefined
  }

  async #check(section: Section): Promise<Checked | 'damaged' | 'replaced'> {
    const { shard, filterBytes, entries } = section
    const length = filterBytes + entries * ENTRY_BYTES
    const body = await this.#read(this.#sectionsAt + section.offset, length)
    if (body === undefined) return 'replaced'
    if (body.length !== length || crc32(body) !== section.crc) return 'damaged'
    const checked = { filter: body.slice(0, filterBytes), crcs: crcsOf(body.subarray(filterBytes)) }
    this.#checked.set(shard, checked)
    return checked
  }

  /** Interpolation search: hashes are spread evenly, so that the first window nearly always has the entry. */
  async #search(
    section: Section,
    { crcs }: Checked,
    hash: StreamHash,
  ): Promise<number | undefined | 'damaged' | 'replaced'> {
    let low = 0
    let high = section.entries
    let guess = Math.floor((hash.high / 2 ** 32) * section.entries)
    while (low < high) {
      const block = Math.max(0, Math.round(guess / BLOCK_ENTRIES) - 1)
      const first = block * BLOCK_ENTRIES
      const count = Math.min(2 * BLOCK_ENTRIES, section.entries - first)
      const window = await this.#entries(section, { first, count, crcs: crcs.slice(block, block + 2) })
      if (typeof window === 'string') return window
      const found = searchWindow(window, hash)
      if (found.kind === 'found') return found.offset
      if (found.kind === 'between') return undefined
      if (found.kind === 'before') high = first
      else low = first + count
      guess = (low + high) >>> 1
    }
    return undefined
  }

  async #entries(
    section: Section,
    { first, count, crcs }: { readonly first: number; readonly count: number; readonly crcs: readonly number[] },
  ): Promise<DataView | 'damaged' | 'replaced'> {
    const offset = this.#sectionsAt + section.offset + section.filterBytes + first * ENTRY_BYTES
    const bytes = await this.#read(offset, count * ENTRY_BYTES)
    if (bytes === undefined) return 'replaced'
    const isWhole = bytes.length === count * ENTRY_BYTES && crcsOf(bytes).every((crc, i) => crc === crcs[i])
    return isWhole ? new DataView(bytes.buffer, bytes.byteOffset, bytes.length) : 'damaged'
  }

  /** Undefined where the file is not the one that was opened. */
  #read(offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.#files.use(this.#path, async (file) => {
      if (file !== this.#seen) {
        if (Buffer.compare(await file.read(0, PREFIX_BYTES), this.#prefix) !== 0) return undefined
        this.#seen = file
      }
      return file.read(offset, length)
    })
  }

  get #path(): string {
    return indexPath(this.journal, this.segment)
  }
}

function crcsOf(entries: Uint8Array): number[] {
  return Array.from({ length: Math.ceil(entries.length / BLOCK_BYTES) }, (_, i) =>
    crc32(entries.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES)),
  )
}

type WindowResult =
  { readonly kind: 'found'; readonly offset: number } | { readonly kind: 'before' | 'between' | 'after' }

function searchWindow(window: DataView, hash: StreamHash): WindowResult {
  let low = 0
  let high = window.byteLength / ENTRY_BYTES
  const count = high
  while (low < high) {
    const middle = (low + high) >>> 1
    const order =
      window.getUint32(middle * ENTRY_BYTES, true) - hash.high ||
      window.getUint32(middle * ENTRY_BYTES + 4, true) - hash.low
    if (order === 0) return { kind: 'found', offset: window.getUint32(middle * ENTRY_BYTES + 8, true) }
    if (order < 0) low = middle + 1
    else high = middle
  }
  if (low === 0) return { kind: 'before' }
  return { kind: low === count ? 'after' : 'between' }
}
