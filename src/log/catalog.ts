/**
 * The catalog: which segments there are, what each holds, and how to read a record of them. It makes indexes that are
 * missing or damaged again from their segment. Shared by all that a worker reads; knows nothing of ownership.
 */
import { recordAt, readBatch, type Batch, type SegmentIdentity } from './batch.ts'
import type { Clock } from './clock.ts'
import { corruptAt, flawOf, lastOf, type Flaw, type Gap } from './damage.ts'
import { logCorrupt } from './error.ts'
import { FilePool } from './file-pool.ts'
import { findFlippedBit } from './flipped-bit.ts'
import { encodeIndex, IndexFile } from './index-file.ts'
import { isAccepted, readLosses, type Losses } from './losses.ts'
import { findMisplaced } from './misplaced.ts'
import { indexPath, journalPath, numbersOf, segmentPath } from './path.ts'
import { Block, RECORD_HEADER_BYTES, lengthAt, type Address, type LogRecord } from './record.ts'
import { isBefore, type Place, type Reign } from './reign.ts'
import { readRestorations, type Restoration } from './restoration.ts'
import { readSegment, salvage, type SegmentPiece } from './scan.ts'
import { OpenIndex } from './segment-index.ts'
import type { Storage } from './storage.ts'
import type { Stream, StreamHash } from './stream.ts'

/** What a segment that its writer has left holds. */
export type SegmentIndex = IndexFile | OpenIndex

/** What shows whether one segment goes on where another ends. */
type Neighbour = Pick<SegmentIndex, 'segment' | 'end' | 'firstBatchNumber' | 'lastBatchNumber' | 'gaps'>

type Visit = (piece: SegmentPiece, index: OpenIndex) => Promise<void> | void

export interface CatalogOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly cluster: StreamHash
  readonly shards: number
  /** Where the list of a journal's accepted losses is damaged: accepts none, instead of refusing the journal. */
  readonly isLenient?: boolean
}

/** Of a journal's indexes. */
const OPENED_AT_ONCE = 16
/** Indexes up to a seal, which are needed where an owner has gone on behind it; what is not kept is read again. */
const SEALED_MAX = 16
/** For so long a segment that ends before a seal is not read again for that: a power loss took what stood there. */
const SHORT_MS = 60_000

export class Catalog {
  readonly files: FilePool
  readonly #storage: Storage
  readonly #clock: Clock
  readonly #cluster: StreamHash
  readonly #shards: number
  readonly #isLenient: boolean
  readonly #indexes = new Map<string, Promise<SegmentIndex>>()
  /** Of segments whose index knows of records past a seal, by segment and seal. */
  readonly #sealedIndexes = new Map<string, Promise<OpenIndex>>()
  /** Where what keeps shards closed, or readers waiting, was found. */
  readonly #harmed = new Set<string>()
  /** By segment, the index that it had before that was found to be harmed, or gone. */
  readonly #former = new Map<string, IndexFile>()
  /** Those that have all of their segment, though it has no batch that says so. */
  readonly #whole = new WeakSet<SegmentIndex>()
  /** Those whose segment ends before a seal, which one that was, and when they were made. */
  readonly #short = new WeakMap<SegmentIndex, { readonly seal: number; readonly at: number }>()
  readonly #tornTails = new Map<string, number>()
  /** Indexes that are being written down, which nobody waits for. */
  readonly #writing = new Set<Promise<void>>()
  #indexesRebuilt = 0
  #restorations: readonly Restoration[] | undefined

  constructor({ storage, clock, cluster, shards, isLenient = false }: CatalogOptions) {
    this.#isLenient = isLenient
    this.files = new FilePool(storage)
    this.#storage = storage
    this.#clock = clock
    this.#cluster = cluster
    this.#shards = shards
  }

  /** How many indexes had to be made again from their segments. */
  get indexesRebuilt(): number {
    return this.#indexesRebuilt
  }

  /**
   * The segments, by path, that end with bytes of no whole batch, and where those begin: what their writer was writing
   * when it died, which was never acknowledged and does not exist.
   */
  get tornTails(): ReadonlyMap<string, number> {
    return this.#tornTails
  }

  /**
   * How often the log was restored, oldest first. That is done before anybody works on it, so it does not change.
   * @throws PenholdError `LogCorrupt`
   */
  async restorations(): Promise<readonly Restoration[]> {
    this.#restorations ??= await readRestorations(this.#storage)
    return this.#restorations
  }

  /**
   * Surveys the segments of a journal whose shards have been claimed. The last one, and each without a whole index, is
   * read from its beginning; closed ones are known by their index. What is missing or damaged is in their gaps. Callers of
   * those shards wait meanwhile: what was known before is not opened again, and nothing is written first.
   */
  async survey(journal: number): Promise<readonly SegmentIndex[]> {
    const names = await this.#storage.list(journalPath(journal))
    // An index that is left over tells of a lost segment.
    const last = Math.max(1, ...['.log', '.idx'].map((ending) => numbersOf(names, ending).at(-1) ?? 0))
    const surveys: SegmentIndex[] = []
    for (let first = 1; first <= last; first += OPENED_AT_ONCE) {
      const segments = Array.from({ length: Math.min(OPENED_AT_ONCE, last - first + 1) }, (_, i) => first + i)
      const known = await Promise.all(segments.map((segment) => this.#indexOfClosed(journal, segment, last)))
      for (const [i, index] of known.entries()) {
        surveys.push(index ?? (await this.#scan(journal, segments[i]!)))
        await this.#connect(surveys)
      }
    }
    const end = surveys.at(-1)
    if (end instanceof OpenIndex && end.isLast) surveys.push(await this.#scan(journal, end.segment + 1))
    await this.#mendLast(surveys)
    return surveys
  }

  /**
   * A journal's last batch is in doubt, and is carried over as it was written (take-over.ts). Where one bit of it is wrong it
   * may be that power was lost while it was written, or that it was durable and is damaged: its records, which are known,
   * count all the same. For this survey alone: whoever reads them where they stand finds damage.
   */
  async #mendLast(surveys: SegmentIndex[]): Promise<void> {
    const last = surveys.findLastIndex(({ lastBatchNumber }) => lastBatchNumber > 0)
    const index = surveys[last]
    if (!(index instanceof OpenIndex) || index.isSound) return
    const { journal, segment, lastBatchOffset } = index
    surveys[last] = await this.#read(journal, segment, { mendsAt: lastBatchOffset })
  }

  /** What is known of a segment without reading it: nothing of the last. That it goes on in the next is to be looked at. */
  async #indexOfClosed(journal: number, segment: number, last: number): Promise<SegmentIndex | undefined> {
    if (segment === last) return undefined
    const known = await this.#indexes.get(indexPath(journal, segment))
    // What was read of it is not enough: that may have been mended since, or lost by whoever had it in memory alone.
    return known instanceof IndexFile ? known : IndexFile.open(this.files, journal, segment)
  }

  /** The shards that have records in a journal, which may still be written. Nothing is kept or written. */
  async shardsIn(journal: number): Promise<ReadonlySet<number>> {
    const segments = numbersOf(await this.#storage.list(journalPath(journal)), '.log')
    const shards = new Set<number>()
    for (const segment of segments) {
      const index = (await IndexFile.open(this.files, journal, segment)) ?? (await this.read(journal, segment))
      for (const shard of index.extents.keys()) shards.add(shard)
    }
    return shards
  }

  /** What was found harmed may be mended by now, or accepted as lost: whoever needs its index next reads it anew. */
  forgetHarmed(): void {
    for (const key of this.#harmed) this.#indexes.delete(key)
    this.#harmed.clear()
  }

  /** What keeps a shard closed that has this sealed reign in its history. Opens, or makes again, all its indexes. */
  async flawOfReign(shard: number, { journal, from, until = from }: Reign): Promise<Flaw | undefined> {
    const indexes: SegmentIndex[] = []
    for (let { segment } = from; segment <= until.segment; segment += 1) {
      indexes.push(await this.index(journal, segment, segment === until.segment ? until.offset : undefined))
      await this.#connect(indexes)
    }
    return flawOf(shard, indexes, until)
  }

  /**
   * The index of a segment: of at least what of it lies before `end`, where a seal does; of all of it, where its writer
   * has gone on to the next.
   */
  async index(journal: number, segment: number, end: number | undefined): Promise<SegmentIndex> {
    const key = indexPath(journal, segment)
    const known = await this.#indexes.get(key)
    if (known !== undefined && this.#reaches(known, end)) return known
    return this.#keepOpening(key, this.#openIndex(journal, segment, end))
  }

  /** Reads a whole segment, and shows each piece of it once the index has it. Nothing is kept or written. */
  async read(journal: number, segment: number, visit?: Visit): Promise<OpenIndex> {
    return this.#read(journal, segment, { ...(visit !== undefined && { visit }) })
  }

  /** A batch that stands at `mendsAt`, of which one bit is wrong, counts as it was written. */
  async #read(
    journal: number,
    segment: number,
    { visit, mendsAt }: { readonly visit?: Visit; readonly mendsAt?: number },
  ): Promise<OpenIndex> {
    const index = new OpenIndex(journal, segment)
    if ((await this.files.size(segmentPath(journal, segment))) === undefined) {
      await this.#addGap(index, { from: 0, to: Number.POSITIVE_INFINITY }, 'the file is missing')
      return index
    }
    for await (const piece of readSegment(this.files, this.identity(journal, segment))) {
      const isMended = piece.kind === 'flipped' && piece.flipped.written.offset === mendsAt
      await this.#add(index, isMended ? { kind: 'batch', batch: piece.flipped.written } : piece)
      await visit?.(piece, index)
    }
    const former = this.#former.get(indexPath(journal, segment))
    if (former !== undefined) await this.#missSince(former, index)
    if (isHarmed(index)) this.#harmed.add(indexPath(journal, segment))
    return index
  }

  /**
   * The index of what stands in a segment before a seal, and of nothing behind it.
   * @throws PenholdError `LogCorrupt` where that is not there, or it cannot be told whose records are harmed
   */
  indexBefore(journal: number, seal: Place): Promise<OpenIndex> {
    const key = `${indexPath(journal, seal.segment)} before ${seal.offset}`
    const known = this.#sealedIndexes.get(key) ?? this.#readBefore(journal, seal)
    // The one that was asked for last stands at the end.
    this.#sealedIndexes.delete(key)
    this.#sealedIndexes.set(key, known)
    if (this.#sealedIndexes.size > SEALED_MAX) this.#sealedIndexes.delete(this.#sealedIndexes.keys().next().value!)
    const forget = (): void => void this.#sealedIndexes.delete(key)
    known.then((index) => isHarmed(index) && forget(), forget)
    return known
  }

  /** Takes in the index of a segment that its own writer has closed, and writes it down. */
  async adopt(index: OpenIndex): Promise<void> {
    const key = indexPath(index.journal, index.segment)
    this.#indexes.set(key, Promise.resolve(index))
    const written = await this.#write(index)
    // A later reading of it may have found more.
    if (written === undefined || (await this.#known(key)) !== index) return
    if (this.#whole.has(index)) this.#whole.add(written)
    this.#indexes.set(key, Promise.resolve(written))
  }

  /**
   * The offset of the stream's newest record in a segment, from an index that `index` or `indexBefore` gave; behind the seal, if
   * there is one, too.
   * @throws PenholdError `LogCorrupt` where something of the shard is harmed before the seal: that may be newer than what is found
   */
  async find(
    index: SegmentIndex,
    { shard, hash }: Pick<Stream, 'shard' | 'hash'>,
    until?: Place,
  ): Promise<number | undefined> {
    const { journal, segment } = index
    if (index instanceof OpenIndex) {
      const harm = index.harmed.get(shard)
      if (harm !== undefined && (until === undefined || isBefore(harm, until))) throw corruptAt(journal, harm)
      return index.find(hash)
    }
    const found = await index.find(shard, hash)
    if (found !== 'damaged' && found !== 'replaced') return found
    this.#former.set(indexPath(journal, segment), index)
    const again = found === 'replaced' ? await this.#reopen(index) : await this.#scan(journal, segment)
    const flaw = flawOf(shard, [again], until)
    if (flaw === undefined) return this.find(again, { shard, hash }, until)
    // Whoever asks next is told the same.
    if (again instanceof OpenIndex) again.harm(shard, flaw.offset, flaw.problem)
    throw corruptAt(journal, flaw)
  }

  /** Reads one record. @throws PenholdError `LogCorrupt` where none stands there unharmed. */
  async record(address: Address): Promise<LogRecord> {
    const path = segmentPath(address.journal, address.segment)
    const bytes = await this.files.read(path, address.offset, 4096)
    let block = new Block(bytes ?? new Uint8Array())
    const length = lengthAt(block, 0)
    if (length > block.bytes.length) {
      block = new Block((await this.files.read(path, address.offset, length)) ?? new Uint8Array())
    }
    const record = length < RECORD_HEADER_BYTES ? undefined : recordAt(block, 0, address)
    if (record === undefined) throw logCorrupt(path, address.offset, 'no whole record stands here')
    return record
  }

  /** Reads the batch at a place that a survey gave, as it was written. */
  async batch(journal: number, segment: number, offset: number, end: number): Promise<Batch> {
    const path = segmentPath(journal, segment)
    const bytes = (await this.files.read(path, offset, end - offset)) ?? new Uint8Array()
    const place = { ...this.identity(journal, segment), offset }
    const reading = readBatch(new Block(bytes), 0, place)
    const batch = reading.kind === 'batch' ? reading.batch : findFlippedBit(new Block(bytes), 0, place)?.written
    if (batch === undefined) throw logCorrupt(path, offset, 'the last batch is no longer whole')
    return batch
  }

  identity(journal: number, segment: number): SegmentIdentity {
    return { journal, segment, cluster: this.#cluster }
  }

  /** Resolves when nothing is written any more. */
  async close(): Promise<void> {
    await Promise.all(this.#writing)
    await this.files.close()
  }

  async #openIndex(journal: number, segment: number, end: number | undefined): Promise<SegmentIndex> {
    const file = await IndexFile.open(this.files, journal, segment)
    if (file !== undefined && this.#reaches(file, end)) return file
    this.#indexesRebuilt += 1
    const read = await this.read(journal, segment)
    const index = read.isSound ? ((await this.#write(read)) ?? read) : read
    if (end === undefined) {
      this.#whole.add(index)
      // Its end is gone.
      if (!index.isLast) this.#harmed.add(indexPath(journal, segment))
    } else if (index.end < end && read.isSound) {
      this.#short.set(index, { seal: end, at: this.#clock.monotonic() })
    }
    return index
  }

  /** What there is by now in place of an index whose file somebody has replaced: of at least as much. */
  async #reopen(index: IndexFile): Promise<SegmentIndex> {
    const { journal, segment, end } = index
    const key = indexPath(journal, segment)
    for (;;) {
      const kept = this.#indexes.get(key)
      const known = await kept
      if (known !== undefined && known !== index && known.end >= end) return known
      // Whoever came here at the same time opens it for all.
      if (kept === this.#indexes.get(key)) {
        return this.#keepOpening(key, this.#openIndex(journal, segment, this.#whole.has(index) ? undefined : end))
      }
    }
  }

  #keepOpening(key: string, opening: Promise<SegmentIndex>): Promise<SegmentIndex> {
    this.#indexes.set(key, opening)
    opening.catch(() => this.#indexes.delete(key))
    return opening
  }

  /** An index that was made while its segment was still written to may end too early. */
  #reaches(index: SegmentIndex, end: number | undefined): boolean {
    if (end === undefined) return index.isLast || this.#whole.has(index)
    const short = this.#short.get(index)
    return (
      index.end >= end || (short !== undefined && short.seal >= end && this.#clock.monotonic() < short.at + SHORT_MS)
    )
  }

  /** Makes sure that the last index but one goes on in the last: a segment that does not has lost its end. */
  async #connect(indexes: SegmentIndex[]): Promise<void> {
    const [before, next] = indexes.slice(-2)
    if (before === undefined || next === undefined) return
    // Where nothing stands in the next segment either, the index may end too early; or its last batch may be gone, which
    // was in the page cache alone when somebody made the index.
    const isTold = next.firstBatchNumber > 0 || (this.#reaches(before, undefined) && isStillTrue(before))
    if (isTold && isFollowed(before, next)) {
      await this.#keepWhole(before)
      return
    }
    const again = await this.#scan(before.journal, before.segment)
    const kept = await this.#indexes.get(indexPath(before.journal, before.segment))
    if (kept !== undefined && next.firstBatchNumber > 0) this.#whole.add(kept)
    indexes[indexes.length - 2] = again
    const gap = await this.gapBetween(again.journal, again, next)
    if (gap !== undefined) again.addGap(gap)
  }

  async #keepWhole(index: SegmentIndex): Promise<void> {
    const key = indexPath(index.journal, index.segment)
    const known = await this.#known(key)
    this.#whole.add(index)
    // It may have been written down meanwhile, and need not stay in memory.
    if (known instanceof IndexFile && known.end >= index.end) this.#whole.add(known)
    else this.#indexes.set(key, Promise.resolve(index))
  }

  /** What is kept by now; nothing where it could not be opened. */
  async #known(key: string): Promise<SegmentIndex | undefined> {
    return this.#indexes.get(key)?.catch(() => undefined)
  }

  /** What is missing between a segment's end and the next. */
  async gapBetween(journal: number, before: Neighbour, next: Neighbour): Promise<Gap | undefined> {
    if (isFollowed(before, next)) return undefined
    const problem = `batches ${before.lastBatchNumber + 1} to ${next.firstBatchNumber - 1} cannot be read`
    const place = { segment: before.segment, from: before.end, to: Number.POSITIVE_INFINITY }
    return { ...place, problem, isAccepted: isAccepted(await this.losses(journal), place) }
  }

  /** What of a journal an operator has accepted as lost. @throws PenholdError `LogCorrupt` */
  async losses(journal: number): Promise<Losses> {
    const losses = readLosses(this.#storage, journal)
    return this.#isLenient ? losses.catch(() => new Map<number, never>()) : losses
  }

  /**
   * Reads a segment and keeps its index: where something is damaged in memory, and otherwise also on disk, in a while. To
   * put a file into another's place can take as long as all else that a take-over does.
   */
  async #scan(journal: number, segment: number): Promise<OpenIndex> {
    const index = await this.read(journal, segment)
    if (index.isSound) this.#adoptLater(index)
    else this.#indexes.set(indexPath(journal, segment), Promise.resolve(index))
    return index
  }

  #adoptLater(index: OpenIndex): void {
    const adopting = this.adopt(index).finally(() => this.#writing.delete(adopting))
    this.#writing.add(adopting)
  }

  async #add(index: OpenIndex, piece: SegmentPiece): Promise<void> {
    switch (piece.kind) {
      case 'batch':
        index.add(piece.batch)
        for (const record of piece.batch.records) index.addRecord(record)
        break
      case 'flipped': {
        const { offset, batch, harmed } = piece.flipped
        if (harmed !== undefined) index.harm(harmed.shard, offset, 'one bit of this byte is flipped')
        index.add(batch)
        for (const record of batch.records) index.addRecord(record)
        break
      }
      case 'damage':
        await this.#addGap(index, piece, `what stands there up to byte ${piece.to} is not what was written`)
        for await (const record of salvage(this.files, this.identity(index.journal, index.segment), piece)) {
          index.addRecord(record)
        }
        break
      case 'end':
        if (piece.isTorn) await this.#addTail(index, piece.from)
        break
    }
  }

  /** Bytes of no batch, as a crash leaves them; or a batch of somewhere else, which nobody wrote there. */
  async #addTail(index: OpenIndex, offset: number): Promise<void> {
    const { journal, segment } = index
    const owner = await findMisplaced(this.files, this.#cluster, { journal, segment, offset })
    if (owner === undefined) this.#tornTails.set(segmentPath(journal, segment), offset)
    else await this.#addGap(index, { from: offset, to: Number.POSITIVE_INFINITY }, `what stands there is of ${owner}`)
  }

  /** What its index had and the segment has no more, by an end that is gone or a stretch that hides it, is harm for its shards. */
  async #missSince(former: IndexFile, index: OpenIndex): Promise<void> {
    const { journal, segment, end } = index
    const rest = { segment, from: end, to: Number.POSITIVE_INFINITY }
    const isEndAccepted = isAccepted(await this.losses(journal), rest)
    for (const [shard, extent] of former.extents) {
      const last = lastOf(extent)
      const left = index.extents.get(shard)
      if (left !== undefined && lastOf(left) >= last) continue
      const gap = index.gaps.find(({ from, to }) => from <= last && last < to)
      if (gap?.isAccepted ?? isEndAccepted) continue
      index.harm(shard, gap?.from ?? end, `the last that its index had of shard ${shard}, at byte ${last}, is gone`)
    }
  }

  async #addGap(index: OpenIndex, { from, to }: { from: number; to: number }, problem: string): Promise<void> {
    const { journal, segment } = index
    const losses = await this.losses(journal)
    index.addGap({ segment, from, to, problem, isAccepted: isAccepted(losses, { segment, from, to }) })
  }

  async #readBefore(journal: number, { segment, offset }: Place): Promise<OpenIndex> {
    const index = new OpenIndex(journal, segment)
    for await (const piece of readSegment(this.files, this.identity(journal, segment))) {
      if (beginningOf(piece) >= offset) break
      await this.#add(index, piece)
    }
    const gap = index.gaps.find(({ isAccepted: isKnown }) => !isKnown)
    if (gap !== undefined) throw logCorrupt(segmentPath(journal, segment), gap.from, gap.problem)
    if (index.end < offset && index.gaps.length === 0) {
      throw logCorrupt(segmentPath(journal, segment), index.end, 'no whole batch stands here')
    }
    return index
  }

  /**
   * Writes an index down and opens it; undefined where that failed, or where somebody has put one of less in its place, which
   * costs memory and nothing else.
   */
  async #write(index: OpenIndex): Promise<IndexFile | undefined> {
    const path = indexPath(index.journal, index.segment)
    try {
      const bytes = await encodeIndex(
        index,
        (low) => low % this.#shards,
        () => this.#clock.yield(),
      )
      await this.#storage.replace(path, bytes)
      await this.files.forget(path)
      const written = await IndexFile.open(this.files, index.journal, index.segment)
      return written !== undefined && written.end >= index.end ? written : undefined
    } catch {
      return undefined
    }
  }
}

/** Whether nothing is missing between a segment and the next, as far as the next one shows. */
function isFollowed(before: Neighbour, next: Neighbour): boolean {
  const isTold =
    before.gaps.some(({ to }) => to === Number.POSITIVE_INFINITY) || next.gaps.some(({ from }) => from === 0)
  return isTold || next.firstBatchNumber === 0 || next.firstBatchNumber === before.lastBatchNumber + 1
}

/** Whether what an index has is still in its segment: it was on the disk, or has just been read. */
function isStillTrue(index: SegmentIndex): boolean {
  return index.isDurable || index instanceof OpenIndex
}

/** Whether it has what keeps a shard closed. */
function isHarmed({ harmed, gaps }: OpenIndex): boolean {
  return harmed.size > 0 || gaps.some(({ isAccepted: isKnown }) => !isKnown)
}

function beginningOf(piece: SegmentPiece): number {
  switch (piece.kind) {
    case 'batch':
      return piece.batch.offset
    case 'flipped':
      return piece.flipped.offset
    case 'damage':
      return piece.from
    case 'end':
      return Number.POSITIVE_INFINITY
  }
}
