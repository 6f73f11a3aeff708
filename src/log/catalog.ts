/**
 * The catalog: which segments there are, what each holds, and how to read a record of them. It makes indexes that are
 * missing or damaged again from their segment. Shared by all that a worker reads; knows nothing of ownership.
 */
import { recordAt, readBatch, type Batch, type SegmentIdentity } from './batch.ts'
import type { Clock } from './clock.ts'
import { logCorrupt } from './error.ts'
import { FilePool } from './file-pool.ts'
import { encodeIndex, IndexFile } from './index-file.ts'
import { indexPath, journalPath, numbersOf, segmentPath } from './path.ts'
import { Block, RECORD_HEADER_BYTES, lengthAt, type Address, type LogRecord } from './record.ts'
import { scanSegment, type SegmentEnd } from './scan.ts'
import type { Place } from './reign.ts'
import { OpenIndex, type ShardExtent } from './segment-index.ts'
import type { Storage } from './storage.ts'
import type { StreamHash } from './stream.ts'

/** What is known of a segment that its writer has left. */
export interface SegmentSurvey {
  readonly segment: number
  readonly ending: SegmentEnd
  /** Why nothing that depends on this segment may be opened; undefined where it is whole. */
  readonly problem: string | undefined
  readonly end: number
  readonly lastBatchOffset: number
  readonly lastBatchNumber: number
  readonly firstBatchNumber: number
  readonly extents: ReadonlyMap<number, ShardExtent>
  readonly eventTypes: Iterable<string>
}

export interface CatalogOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly cluster: StreamHash
  readonly shards: number
}

export class Catalog {
  readonly files: FilePool
  readonly #storage: Storage
  readonly #clock: Clock
  readonly #cluster: StreamHash
  readonly #shards: number
  readonly #indexes = new Map<string, Promise<IndexFile | OpenIndex>>()
  /** Of segments whose index knows of records past a seal, by segment and seal. */
  readonly #sealedIndexes = new Map<string, Promise<OpenIndex>>()
  #indexesRebuilt = 0

  constructor({ storage, clock, cluster, shards }: CatalogOptions) {
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

  /** The segments of a journal, oldest first. */
  async segments(journal: number): Promise<readonly number[]> {
    return numbersOf(await this.#storage.list(journalPath(journal)), '.log')
  }

  /**
   * Surveys the segments of a journal whose shards have been claimed. The last one, and each without a whole index, is
   * read from its beginning; closed ones are known by their index.
   */
  async survey(journal: number): Promise<readonly SegmentSurvey[]> {
    const surveys: SegmentSurvey[] = []
    const segments = await this.segments(journal)
    for (const segment of segments) {
      const isLast = segment === segments.at(-1)
      const index = isLast ? undefined : await IndexFile.open(this.files, journal, segment)
      surveys.push(index === undefined ? await this.#scan(journal, segment) : { ...fields(index), ending: 'clean' })
      // An index that was made while its segment was still written to may end too early.
      const before = surveys.at(-2)
      if (before !== undefined && batchGap(surveys.at(-1)!, before) !== undefined) {
        surveys[surveys.length - 2] = await this.#scan(journal, before.segment)
      }
    }
    const seqs = new Map<number, number>()
    return surveys.map((survey, i) => {
      const problem = survey.problem ?? batchGap(survey, surveys[i - 1]) ?? seqGap(survey, seqs)
      return { ...survey, problem }
    })
  }

  /**
   * The index of a segment that is no longer written, covering at least what lies before `end`, or all of it for 0.
   * @throws PenholdError `LogCorrupt` where that is not there unharmed
   */
  async index(journal: number, segment: number, end: number): Promise<IndexFile | OpenIndex> {
    const key = indexPath(journal, segment)
    const known = await this.#indexes.get(key)
    if (known !== undefined && known.end >= end) return known
    const opening = this.#openIndex(journal, segment, end)
    this.#indexes.set(key, opening)
    opening.catch(() => this.#indexes.delete(key))
    return opening
  }

  /**
   * The index of what stands in a segment before a seal, and of nothing behind it.
   * @throws PenholdError `LogCorrupt` where that is not there unharmed
   */
  indexBefore(journal: number, seal: Place): Promise<OpenIndex> {
    const key = `${indexPath(journal, seal.segment)} before ${seal.offset}`
    const known = this.#sealedIndexes.get(key) ?? this.#readBefore(journal, seal)
    this.#sealedIndexes.set(key, known)
    known.catch(() => this.#sealedIndexes.delete(key))
    return known
  }

  /** Takes in the index of a segment that its own writer has closed, and writes it down. */
  async adopt(index: OpenIndex): Promise<void> {
    const key = indexPath(index.journal, index.segment)
    this.#indexes.set(key, Promise.resolve(index))
    const written = await this.#write(index)
    if (written !== undefined) this.#indexes.set(key, Promise.resolve(written))
  }

  /** The offset of the stream's newest record in a segment, from an index that `index` gave. */
  async find(index: IndexFile | OpenIndex, shard: number, hash: StreamHash): Promise<number | undefined> {
    if (index instanceof OpenIndex) return index.find(hash)
    const found = await index.find(shard, hash)
    if (found !== 'damaged') return found
    const rebuilt = await this.#rebuild(index.journal, index.segment, index.end)
    this.#indexes.set(indexPath(index.journal, index.segment), Promise.resolve(rebuilt))
    return this.find(rebuilt, shard, hash)
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

  /** Reads the batch at a place that a survey gave. */
  async batch(journal: number, segment: number, offset: number, end: number): Promise<Batch> {
    const path = segmentPath(journal, segment)
    const bytes = (await this.files.read(path, offset, end - offset)) ?? new Uint8Array()
    const reading = readBatch(new Block(bytes), 0, { ...this.identity(journal, segment), offset })
    if (reading.kind !== 'batch') throw logCorrupt(path, offset, 'the last batch is no longer whole')
    return reading.batch
  }

  identity(journal: number, segment: number): SegmentIdentity {
    return { journal, segment, cluster: this.#cluster }
  }

  async close(): Promise<void> {
    await this.files.close()
  }

  async #openIndex(journal: number, segment: number, end: number): Promise<IndexFile | OpenIndex> {
    const index = await IndexFile.open(this.files, journal, segment)
    // An index that was made while its segment was still written to may not reach up to the seal.
    return index !== undefined && index.end >= end ? index : this.#rebuild(journal, segment, end)
  }

  async #rebuild(journal: number, segment: number, end: number): Promise<IndexFile | OpenIndex> {
    const path = segmentPath(journal, segment)
    if ((await this.files.size(path)) === undefined) throw logCorrupt(path, 0, 'the file is missing')
    const { index, ending } = await this.#read(journal, segment)
    // An index that leaves records out would make their streams look younger than they are. It may well end early where
    // nothing follows: the last batch before a seal may have been in the page cache alone, where it was another shard's.
    if (ending === 'corrupt' && (end === 0 || index.end < end)) {
      throw logCorrupt(path, index.end, 'whole batches stand behind bytes that are none')
    }
    this.#indexesRebuilt += 1
    return (await this.#write(index)) ?? index
  }

  async #scan(journal: number, segment: number): Promise<SegmentSurvey> {
    const { index, ending } = await this.#read(journal, segment)
    if (ending === 'corrupt') index.problem ??= 'whole batches stand behind bytes that are none'
    if (index.problem === undefined) await this.adopt(index)
    return { ...fields(index), ending }
  }

  async #readBefore(journal: number, { segment, offset }: Place): Promise<OpenIndex> {
    const { index } = await this.#read(journal, segment, offset)
    if (index.end !== offset) throw logCorrupt(segmentPath(journal, segment), index.end, 'no whole batch stands here')
    return index
  }

  async #read(
    journal: number,
    segment: number,
    before = Number.POSITIVE_INFINITY,
  ): Promise<{ index: OpenIndex; ending: SegmentEnd }> {
    const index = new OpenIndex(journal, segment)
    const { ending } = await scanSegment(this.files, this.identity(journal, segment), (batch) => {
      if (batch.offset >= before) return
      index.add(batch)
      for (const record of batch.records) index.addRecord(record)
    })
    return { index, ending }
  }

  /** Writes an index down and opens it; undefined where that failed, which costs memory and nothing else. */
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
      return await IndexFile.open(this.files, index.journal, index.segment)
    } catch {
      return undefined
    }
  }
}

function fields(index: IndexFile | OpenIndex): Omit<SegmentSurvey, 'ending'> {
  const { segment, end, lastBatchOffset, lastBatchNumber, firstBatchNumber, extents, eventTypes } = index
  const problem = index instanceof OpenIndex ? index.problem : undefined
  return { segment, problem, end, lastBatchOffset, lastBatchNumber, firstBatchNumber, extents, eventTypes }
}

/** A segment that does not go on where the one before it ends: that one has lost its end, or is gone. */
function batchGap(survey: SegmentSurvey, before: SegmentSurvey | undefined): string | undefined {
  if (survey.firstBatchNumber === 0 || survey.firstBatchNumber === (before?.lastBatchNumber ?? 0) + 1) return undefined
  return `it begins with batch ${survey.firstBatchNumber}, but the one before ends with ${before?.lastBatchNumber ?? 0}`
}

/** A shard that does not go on where it was in the segments before (I4). `seqs` has where each shard was. */
function seqGap({ extents }: SegmentSurvey, seqs: Map<number, number>): string | undefined {
  let problem: string | undefined
  for (const { shard, seqBefore, seqLast } of extents.values()) {
    const before = seqs.get(shard) ?? seqBefore
    if (seqBefore >= 0 && before !== seqBefore)
      problem = `shard ${shard} goes on after seq ${seqBefore}, but was at ${before}`
    seqs.set(shard, seqLast)
  }
  return problem
}
