/**
 * Finding and reading streams: the newest record of a stream, and its chain back from there. Reads what counts and
 * nothing else: records past a seal are passed over (I1).
 */
import { assert } from '../aggregate/assert.ts'
import type { Catalog } from './catalog.ts'
import type { IndexFile } from './index-file.ts'
import { recordAt } from './batch.ts'
import { isLogCorrupt, logCorrupt } from './error.ts'
import { segmentPath } from './path.ts'
import { Block, lengthAt, NOWHERE, RecordKind, recordOf, type Address, type LogRecord } from './record.ts'
import { isBefore, isWithin, type Reign } from './reign.ts'
import type { OpenIndex } from './segment-index.ts'
import type { Stream } from './stream.ts'

/** What of a stream leads to its state: the events after the snapshot, or all of them, oldest first. */
export interface StreamTail {
  readonly snapshot: LogRecord | undefined
  readonly events: readonly LogRecord[]
  /** To which the stream's next record is chained: its newest, or that of another stream with the same hash. */
  readonly newest: Address
}

/** Where a version of a stream is said to stand. */
export interface Hint {
  readonly address: Address
  readonly version: number
}

export class History {
  readonly #catalog: Catalog
  readonly #ownIndex: () => OpenIndex

  /** `ownIndex` gives the index of the segment that this worker is writing. */
  constructor(catalog: Catalog, ownIndex: () => OpenIndex) {
    this.#catalog = catalog
    this.#ownIndex = ownIndex
  }

  /** The newest durable record of the stream, or of another with the same hash. */
  async newest(reigns: readonly Reign[], stream: Stream): Promise<LogRecord | undefined> {
    for (const reign of reigns.toReversed()) {
      for await (const index of this.#indexes(reign)) {
        const offset = await this.#newestWithin(reign, index, stream)
        if (offset === undefined) continue
        const { journal, segment } = index
        const record = await this.#catalog.record({ journal, segment, offset })
        assert(isWithin(reign, record.epoch, record), 'an owner writes within its reign up to its seal')
        return record
      }
    }
    return undefined
  }

  /**
   * The stream's records from the newest, or from the one at `from`, back to its beginning. Those of other streams
   * with the same hash are left out.
   */
  async *back(reigns: readonly Reign[], stream: Stream, from?: Address): AsyncGenerator<LogRecord> {
    const first = from === undefined ? await this.newest(reigns, stream) : await this.#catalog.record(from)
    yield* this.#backFrom(first, stream)
  }

  async *#backFrom(newest: LogRecord | undefined, stream: Stream): AsyncGenerator<LogRecord> {
    const chain = new Chain(this.#catalog)
    let record = newest
    while (record !== undefined) {
      if (isOf(record, stream)) yield record
      const { previous }: LogRecord = record
      record = previous.journal === 0 ? undefined : behind(record, await chain.at(previous))
    }
  }

  /**
   * Walks over the stream's records, back from the newest, until `take` says that it is enough. Where a record stands at
   * the hint that counts, of the stream and of that version or a later one, the walk begins there.
   */
  async walk(
    reigns: readonly Reign[],
    stream: Stream,
    { hint, take }: { readonly hint: Hint | undefined; readonly take: (record: LogRecord) => boolean },
  ): Promise<void> {
    const chain = new Chain(this.#catalog)
    const hinted = hint === undefined ? undefined : await this.#hinted(reigns, stream, hint)
    let record = hinted ?? (await this.newest(reigns, stream))
    while (record !== undefined) {
      if (isOf(record, stream) && !take(record)) return
      const { previous }: LogRecord = record
      const older = previous.journal === 0 ? undefined : (chain.inWindow(previous) ?? (await chain.at(previous)))
      record = older === undefined ? undefined : behind(record, older)
    }
  }

  async #hinted(reigns: readonly Reign[], stream: Stream, { address, version }: Hint): Promise<LogRecord | undefined> {
    const { journal, segment, end } = this.#ownIndex()
    const isDurable = (reign: Reign): boolean =>
      reign.until !== undefined || (reign.journal === journal && isBefore(address, { segment, offset: end }))
    const reign = reigns.find((one) => isWithin(one, one.epoch, address) && isDurable(one))
    if (reign === undefined || address.offset % 8 !== 0) return undefined
    try {
      const record = await this.#catalog.record(address)
      const counts = isWithin(reign, record.epoch, address) && record.kind === RecordKind.event
      return counts && isOf(record, stream) && record.version >= version ? record : undefined
    } catch (error) {
      // Nobody is bound to give a place where a record begins; the walk from the newest will tell whether one is harmed.
      if (isLogCorrupt(error)) return undefined
      throw error
    }
  }

  /** What leads to the stream's newest durable state. `fits` says whether a snapshot can be used. */
  async tail(reigns: readonly Reign[], stream: Stream, fits: (snapshot: LogRecord) => boolean): Promise<StreamTail> {
    const newest = await this.newest(reigns, stream)
    const chain = new Chain(this.#catalog)
    const events: LogRecord[] = []
    let snapshot: LogRecord | undefined
    let record = newest
    while (record !== undefined) {
      if (isOf(record, stream)) {
        if (record.kind === RecordKind.event) {
          events.push(chain.kept(record))
        } else if (fits(record)) {
          snapshot = record
          break
        }
      }
      const { previous }: LogRecord = record
      // Waiting at every record would cost more than reading it.
      const older = previous.journal === 0 ? undefined : (chain.inWindow(previous) ?? (await chain.at(previous)))
      record = older === undefined ? undefined : behind(record, older)
    }
    return { snapshot, events: events.reverse(), newest: newest?.address ?? NOWHERE }
  }

  /** Every event type and version in the segments that these reigns reach. */
  async eventTypes(reigns: readonly Reign[]): Promise<Set<string>> {
    const types = new Set<string>()
    for (const reign of reigns) {
      for await (const index of this.#indexes(reign)) for (const type of index.eventTypes) types.add(type)
    }
    return types
  }

  /** The indexes of a reign's segments, newest first. */
  async *#indexes(reign: Reign): AsyncGenerator<IndexFile | OpenIndex> {
    const own = this.#ownIndex()
    const last = reign.until?.segment ?? own.segment
    for (let segment = last; segment >= reign.from.segment; segment -= 1) {
      if (reign.journal === own.journal && segment === own.segment) yield own
      else yield await this.#catalog.index(reign.journal, segment, segment === last ? reign.until?.offset : undefined)
    }
  }

  /** The offset of the stream's newest record in a segment of the reign. */
  async #newestWithin(reign: Reign, index: IndexFile | OpenIndex, stream: Stream): Promise<number | undefined> {
    const { segment } = index
    const { from, until } = reign
    const offset = await this.#catalog.find(index, stream, until)
    const isPastSeal = offset !== undefined && until !== undefined && !isBefore({ segment, offset }, until)
    // What an owner wrote past its seal was perhaps never durable, and may be gone although the index has seen it.
    const counted = isPastSeal
      ? await this.#catalog.find(await this.#catalog.indexBefore(index.journal, until), stream, until)
      : offset
    // A shard may come back to a journal: what its writer wrote in an earlier reign is that reign's.
    return counted === undefined || isBefore({ segment, offset: counted }, from) ? undefined : counted
  }
}

/**
 * The older of two records of a chain. In the shard's order it stands before the newer, with the seq of an event before,
 * or as what that event's snapshot stands on: a chain that led anywhere else might have no end.
 */
function behind(newer: LogRecord, older: LogRecord): LogRecord {
  const isOlder = older.seq < newer.seq || (older.seq === newer.seq && isFormer(older, newer))
  if (isOlder) return older
  const { journal, segment, offset } = newer
  throw logCorrupt(segmentPath(journal, segment), offset, 'the record says that a later one came before it')
}

function isFormer(older: LogRecord, newer: LogRecord): boolean {
  return older.epoch < newer.epoch || (older.epoch === newer.epoch && isBefore(older, newer))
}

function isOf(record: LogRecord, stream: Stream): boolean {
  const { bytes, start, end } = record.streamSlice
  if (end - start !== stream.bytes.length) return false
  for (let i = start; i < end; i += 1) if (bytes[i] !== stream.bytes[i - start]) return false
  return true
}

const WINDOW_BYTES_MIN = 4 * 1024
const WINDOW_BYTES_MAX = 512 * 1024
const PAGE_BYTES = 64 * 1024
/** So much is read behind a record's beginning: most records are shorter. */
const AHEAD_BYTES = 1024

/**
 * Walks back along a chain. Records of one stream often stand close together, so a run of the segment is read at once;
 * the run doubles while that pays and starts over where it does not.
 */
class Chain {
  readonly #catalog: Catalog
  #block = new Block(new Uint8Array())
  #journal = 0
  #segment = 0
  #start = 0
  #windowBytes = WINDOW_BYTES_MIN
  /** Copies of records that are kept. */
  #page = new Block(new Uint8Array())
  #pageUsed = 0

  constructor(catalog: Catalog) {
    this.#catalog = catalog
  }

  /**
   * The record for whoever keeps it: where few of those that were read together belong to the stream, a copy, so that
   * it does not keep all the others in memory.
   */
  kept(record: LogRecord): LogRecord {
    if (this.#windowBytes > WINDOW_BYTES_MIN) return record
    const { length } = record
    if (this.#pageUsed + length > this.#page.bytes.length) {
      this.#page = new Block(new Uint8Array(Math.max(PAGE_BYTES, length)))
      this.#pageUsed = 0
    }
    const at = this.#pageUsed
    this.#page.bytes.set(record.bytes, at)
    this.#pageUsed += length
    return recordOf(this.#page, at, record.address)
  }

  async at(address: Address): Promise<LogRecord> {
    const found = this.inWindow(address)
    if (found !== undefined) return found
    await this.#load(address)
    // A record that is longer than the window, or damaged, is read alone; the catalog says which.
    return this.inWindow(address) ?? this.#catalog.record(address)
  }

  /** The record, where it needs no reading. */
  inWindow({ journal, segment, offset }: Address): LogRecord | undefined {
    if (journal !== this.#journal || segment !== this.#segment || offset < this.#start) return undefined
    const at = offset - this.#start
    const length = lengthAt(this.#block, at)
    if (length === 0 || at + length > this.#block.bytes.length) return undefined
    return recordAt(this.#block, at, { journal, segment, offset })
  }

  async #load({ journal, segment, offset }: Address): Promise<void> {
    const isNear = journal === this.#journal && segment === this.#segment && this.#start - offset < this.#windowBytes
    this.#windowBytes = isNear ? Math.min(this.#windowBytes * 4, WINDOW_BYTES_MAX) : WINDOW_BYTES_MIN
    const start = Math.max(0, offset - (this.#windowBytes - AHEAD_BYTES))
    const bytes = await this.#catalog.files.read(segmentPath(journal, segment), start, offset - start + AHEAD_BYTES)
    this.#block = new Block(bytes ?? new Uint8Array())
    this.#journal = journal
    this.#segment = segment
    this.#start = start
  }
}
