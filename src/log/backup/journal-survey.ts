/**
 * How far a journal is written, by looks that only read what is new since the look before. What a look finds is on the
 * disk when it is told: the last batch may be in the page cache alone, so that the file is synced.
 */
import type { Batch } from '../batch.ts'
import type { Catalog } from '../catalog.ts'
import { journalPath, numbersOf, segmentPath } from '../path.ts'
import { RecordKind, type Address } from '../record.ts'
import { isBefore, type Place } from '../reign.ts'
import { readSegment, type SegmentPiece } from '../scan.ts'
import type { Storage } from '../storage.ts'
import type { Damage, JournalCopy } from './manifest.ts'

/** Where a shard was opened. */
export interface OpeningPlace {
  readonly epoch: number
  readonly address: Address
}

export interface SurveyOptions {
  readonly storage: Storage
  readonly catalog: Catalog
  readonly onDamage: (damage: Damage) => void
  /** Told of bytes that were read; throws to end the survey. */
  readonly onRead: (bytes: number) => void
}

export class JournalSurvey {
  readonly journal: number
  readonly #options: SurveyOptions
  #end: Place = { segment: 1, offset: 0 }
  #positionLast = 0
  /** Of the last batch that was read; 0 where it is not known. */
  #batchNumber = 0
  /** By segment: up to where there are batches. */
  readonly #ends = new Map<number, number>()
  readonly #openings = new Map<number, OpeningPlace>()

  /** `known` is what an earlier backup has of the journal. */
  constructor(journal: number, options: SurveyOptions, known: JournalCopy | undefined) {
    this.journal = journal
    this.#options = options
    if (known === undefined) return
    this.#end = known.end
    this.#positionLast = known.positionLast
    for (const [shard, epoch, segment, offset] of known.openings) {
      this.#openings.set(shard, { epoch, address: { journal, segment, offset } })
    }
    for (const { segment, parts } of known.segments) this.#ends.set(segment, parts.at(-1)?.to ?? 0)
  }

  /** Behind the last whole batch. */
  get end(): Place {
    return this.#end
  }
  /** The greatest position of any record: what its writer adds from here on has greater ones, but for what it carries. */
  get positionLast(): number {
    return this.#positionLast
  }
  get ends(): ReadonlyMap<number, number> {
    return this.#ends
  }
  /** The newest opening of each shard. */
  get openings(): ReadonlyMap<number, OpeningPlace> {
    return this.#openings
  }

  /** Reads on. Resolves to whether anything is new, all of which is then on the disk. */
  async look(): Promise<boolean> {
    const { storage } = this.#options
    const before = this.#end
    const last = numbersOf(await storage.list(journalPath(this.journal)), '.log').at(-1) ?? 0
    for (let { segment } = before; segment <= Math.max(last, this.#end.segment); segment += 1) await this.#read(segment)
    for (let { segment } = before; segment <= this.#end.segment; segment += 1) {
      const isNew = isBefore(before, { segment, offset: this.#ends.get(segment) ?? 0 })
      if (isNew) await this.#options.catalog.files.sync(segmentPath(this.journal, segment))
    }
    return isBefore(before, this.#end)
  }

  async #read(segment: number): Promise<void> {
    const { catalog } = this.#options
    const from = this.#ends.get(segment) ?? 0
    if (from === 0 && (await catalog.files.size(segmentPath(this.journal, segment))) === undefined) {
      // The one behind the last is made before the last batch says so; before that it is no loss that it is not there.
      if (segment > 1 || this.#end.offset > 0) this.#damaged(segment, 0, 'the file is missing')
      return
    }
    this.#ends.set(segment, from)
    const part = { from, to: Number.POSITIVE_INFINITY }
    for await (const piece of readSegment(catalog.files, catalog.identity(this.journal, segment), part)) {
      this.#take(segment, piece)
    }
  }

  #take(segment: number, piece: SegmentPiece): void {
    switch (piece.kind) {
      case 'batch':
        this.#takeBatch(segment, piece.batch)
        break
      case 'flipped':
        this.#damaged(segment, piece.flipped.offset, 'one bit is flipped')
        this.#takeBatch(segment, piece.flipped.batch)
        break
      case 'damage':
        this.#batchNumber = 0
        this.#damaged(segment, piece.from, `what stands there up to byte ${piece.to} is not what was written`)
        break
      case 'end':
        break
    }
  }

  #takeBatch(segment: number, { offset, length, isLast, records, number }: Batch): void {
    this.#options.onRead(length)
    const expected = this.#batchNumber + 1
    if (expected > 1 && number !== expected) this.#damaged(segment, offset, `batch ${expected} is missing`)
    this.#batchNumber = number
    const end = offset + length
    this.#ends.set(segment, end)
    this.#end = isLast ? { segment: segment + 1, offset: 0 } : { segment, offset: end }
    for (const { kind, shard, epoch, position, address } of records) {
      this.#positionLast = Math.max(this.#positionLast, position)
      if (kind !== RecordKind.opened) continue
      if (epoch >= (this.#openings.get(shard)?.epoch ?? 0)) this.#openings.set(shard, { epoch, address })
    }
  }

  #damaged(segment: number, offset: number, problem: string): void {
    this.#options.onDamage({ path: segmentPath(this.journal, segment), offset, problem })
  }
}
