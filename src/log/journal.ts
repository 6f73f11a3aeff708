/**
 * The journal: all that one worker writes in its life, as a row of segments in a folder of its own.
 *
 * It owns the files and the place of the next batch; what is in a batch is its caller's. Its promises: `append` has
 * resolved only when the batch is durable (I2); a batch is never written before the one before it is; after a failed
 * write or sync the journal is broken for good.
 *
 * Segments are filled with zeroes ahead of the batches: writing into allocated blocks takes a third off a sync. This
 * also tells a full disk before a batch is touched.
 *
 * A segment's last batch says so, and the next segment's file is made before that batch is written: whoever finds such a
 * batch and no next file knows that one is lost.
 */
import { assert } from '../aggregate/assert.ts'
import type { BatchBuilder, BatchPlace } from './batch.ts'
import { newestClaimedJournal } from './claim.ts'
import { isOutOfRoom, JournalBroken, storageFull } from './error.ts'
import { journalPath, JOURNALS_PATH, numbersOf, segmentPath } from './path.ts'
import { isStorageFull, type LogFile, type Storage } from './storage.ts'
import type { StreamHash } from './stream.ts'

/** Zeroes are written so many bytes at a time. */
const ALLOCATION_BYTES = 1024 * 1024
/** Of nearly every allocation, so that a journal that grows by megabytes a second leaves none of them as garbage. */
const ZEROES = new Uint8Array(ALLOCATION_BYTES)
/** Offsets are 32 bits in the log. */
const SEGMENT_BYTES_LIMIT = 2 ** 31

export interface JournalOptions {
  readonly cluster: StreamHash
  /** A new segment is begun when the current one has reached this size. */
  readonly segmentBytes: number
}

interface OpenSegment {
  readonly number: number
  readonly file: LogFile
  offset: number
  allocated: number
}

export class Journal {
  readonly number: number
  readonly cluster: StreamHash
  readonly #storage: Storage
  readonly #segmentBytes: number
  #segment: OpenSegment
  /** The next segment's file, made ahead. */
  #next: LogFile | undefined
  #batchNumber = 1
  /** Where a segment is to end before it is full. */
  #early: { readonly segment: number; readonly end: number } | undefined
  #state: 'open' | 'broken' | 'closed' = 'open'
  /** Bytes of the batch that there was no room for last; 0 where there was. */
  #refusedBytes = 0

  private constructor(storage: Storage, number: number, options: JournalOptions, segment: OpenSegment) {
    this.#storage = storage
    this.number = number
    this.cluster = options.cluster
    this.#segmentBytes = options.segmentBytes
    this.#segment = segment
  }

  /** Begins a new journal, with the lowest number that nobody has had. */
  static async create(storage: Storage, options: JournalOptions): Promise<Journal> {
    const existing = numbersOf(await storage.list(JOURNALS_PATH), '').at(-1) ?? 0
    // A folder may be lost: what its writer's claims name must not come to mean another journal.
    let number = Math.max(existing, await newestClaimedJournal(storage)) + 1
    // Whoever creates the folder has the number; a loser takes the next.
    while (!(await storage.createFolder(journalPath(number)))) number += 1
    try {
      const file = await storage.createLog(segmentPath(number, 1))
      const journal = new Journal(storage, number, options, { number: 1, file, offset: 0, allocated: 0 })
      await journal.#allocateFirst()
      return journal
    } catch (error) {
      await giveBack(storage, number)
      throw error
    }
  }

  /** Where the next batch will stand. */
  get place(): BatchPlace {
    return this.#placeAfter(this.#segment.number, this.#segment.offset, this.#batchNumber)
  }

  /** The last batch found no room. */
  get isFull(): boolean {
    return this.#refusedBytes > 0
  }
  /** Whether the file that is written is where others look for it: not on a volume that was taken away. */
  get isInPlace(): boolean {
    return this.#storage.exists(segmentPath(this.number, this.#segment.number))
  }

  /** Where the batch after the one of this place and length will stand. */
  placeAfter(place: BatchPlace, length: number): BatchPlace {
    return this.#placeAfter(place.segment, place.offset + length, place.number + 1)
  }

  /** The batch of this place, which is still being built, will be the last of its segment. */
  endSegmentWith({ segment, offset }: BatchPlace): void {
    // The segment before may still have to end where it was told to, and this one is as good as new.
    if (offset === 0) return
    // Behind the batch that may be on its way to the disk, which ends where this one begins.
    this.#early = { segment, end: offset + 1 }
  }

  /**
   * Appends a batch that was built for `place`, and makes it durable. Begins the next segment where it is its time.
   * @throws PenholdError `StorageFull`: nothing was written, and `place` is as it was.
   * @throws JournalBroken: the batch's fate is unknown, and nothing more can be appended.
   */
  async append(batch: BatchBuilder): Promise<void> {
    assert(this.#state === 'open', 'a journal that is broken or closed takes no more batches')
    if (this.#segment.offset >= this.#endOf(this.#segment.number)) await this.#nextSegment()
    const segment = this.#segment
    assert(isThere(batch.place, this.place), 'batches are appended one after the other, each where it was built for')
    const isLast = segment.offset + batch.length >= this.#endOf(segment.number)
    try {
      if (isLast) this.#next ??= await this.#createNext()
      await this.#allocate(segment.offset + batch.length)
    } catch (error) {
      this.#refusedBytes = batch.length
      throw error
    }
    this.#refusedBytes = 0
    await this.#breaking('batch', async () => {
      await segment.file.write(segment.offset, batch.finish(isLast))
      await segment.file.sync()
    })
    segment.offset += batch.length
    this.#batchNumber += 1
  }

  /**
   * Looks for the room that there was not: `isFull` says whether there is none still. While nothing is appended.
   * @throws JournalBroken
   */
  async findRoom(): Promise<void> {
    if (this.#state !== 'open' || !this.isFull) return
    const segment = this.#segment
    const end = segment.offset + this.#refusedBytes
    try {
      if (end >= this.#endOf(segment.number)) this.#next ??= await this.#createNext()
      await this.#allocate(end)
      this.#refusedBytes = 0
    } catch (error) {
      if (!isOutOfRoom(error)) throw error
    }
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    const isWhole = this.#state === 'open'
    this.#state = 'closed'
    try {
      if (isWhole) await this.#segment.file.truncate(this.#segment.offset)
    } finally {
      await Promise.all([this.#segment.file.close(), this.#next?.close()])
    }
  }

  #placeAfter(segment: number, offset: number, number: number): BatchPlace {
    if (offset < this.#endOf(segment)) return { journal: this.number, segment, offset, number }
    return { journal: this.number, segment: segment + 1, offset: 0, number }
  }

  /** A batch that begins there or behind it stands in the next segment. */
  #endOf(segment: number): number {
    return this.#early?.segment === segment ? Math.min(this.#early.end, this.#segmentBytes) : this.#segmentBytes
  }

  async #createNext(): Promise<LogFile> {
    try {
      return await this.#storage.createLog(segmentPath(this.number, this.#segment.number + 1))
    } catch (error) {
      if (isStorageFull(error)) throw storageFull(error)
      this.#state = 'broken'
      throw new JournalBroken(`the next segment of journal ${this.number} could not be made`, { cause: error })
    }
  }

  async #nextSegment(): Promise<void> {
    const before = this.#segment
    assert(this.#next !== undefined, 'the next segment was made before the last batch of the one before was written')
    this.#segment = { number: before.number + 1, file: this.#next, offset: 0, allocated: 0 }
    this.#next = undefined
    await this.#breaking('end of a segment', async () => {
      try {
        await before.file.truncate(before.offset)
      } finally {
        await before.file.close()
      }
    })
  }

  /** Before anyone names the journal: a full disk is noticed while nothing of it is needed yet. */
  async #allocateFirst(): Promise<void> {
    try {
      await this.#allocate(1)
    } catch (error) {
      await this.#segment.file.close().catch(() => undefined)
      throw error
    }
  }

  /** Makes sure that there are blocks for everything up to `end`. */
  async #allocate(end: number): Promise<void> {
    const segment = this.#segment
    if (end > SEGMENT_BYTES_LIMIT) throw storageFull(new Error('the segment has reached its limit'))
    while (segment.allocated < end) {
      // The batch's own bytes need no zeroes under them; what lies behind them does.
      const from = Math.max(segment.allocated, segment.offset)
      const unit = Math.min(ALLOCATION_BYTES, this.#segmentBytes)
      const length = Math.ceil((end - from) / unit) * unit
      try {
        await segment.file.write(from, length <= ZEROES.length ? ZEROES.subarray(0, length) : new Uint8Array(length))
      } catch (error) {
        // Zeroes past the end are nobody's: the journal is whole, and the next batch tries again.
        if (isStorageFull(error)) throw storageFull(error)
        this.#state = 'broken'
        throw new JournalBroken(`allocating in journal ${this.number} failed`, { cause: error })
      }
      segment.allocated = from + length
    }
  }

  async #breaking(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      // What the operating system holds now may differ from the disk, and a second sync would succeed and lie.
      this.#state = 'broken'
      throw new JournalBroken(`writing the ${what} of journal ${this.number} failed`, { cause: error })
    }
  }
}

function isThere(a: BatchPlace, b: BatchPlace): boolean {
  return a.segment === b.segment && a.offset === b.offset && a.number === b.number
}

/**
 * Removes a journal that could not be begun, so that a full disk is not filled up with tries. Whoever makes the folder
 * next has the number: nothing names the one that was here, as claims are made after it, and its maker, who alone may
 * remove it, is done with it.
 */
async function giveBack(storage: Storage, number: number): Promise<void> {
  try {
    await storage.remove(segmentPath(number, 1))
    await storage.removeFolder(journalPath(number))
  } catch {
    // An empty journal does no harm.
  }
}
