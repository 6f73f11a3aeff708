/**
 * What the first walk, file by file, leaves for the second, shard by shard: the newest opening of each shard, what cannot
 * be read, and how long everything is. It grows with the segments, not with the events.
 */
import type { SegmentView } from '../damage.ts'
import type { FlippedBit } from '../flipped-bit.ts'
import type { Address, LogRecord } from '../record.ts'
import { decodeOpening, isBefore, isWithin, type Reign } from '../reign.ts'

/** A stretch of a segment of which nothing, or not all, can be read. */
export interface BadStretch {
  readonly from: number
  readonly to: number
  readonly isAccepted: boolean
}

/** A stretch with where it begins. */
export interface PlacedStretch extends BadStretch {
  readonly place: Address
}

/** A batch of which one bit is flipped. */
export interface FlippedBatch {
  readonly journal: number
  readonly segment: number
  readonly flipped: FlippedBit
}

interface Opened {
  readonly epoch: number
  readonly address: Address
  readonly reigns: readonly Reign[]
}

export class Survey {
  /** The journals, in order, with their segments. */
  readonly journals: Map<number, readonly number[]> = new Map()
  /** The views of journals in which something is wrong. */
  readonly harmedJournals: Map<number, readonly SegmentView[]> = new Map()
  /** Indexes that are missing, or are not what their segments give. */
  readonly indexesToMake: { readonly journal: number; readonly segment: number; readonly file: string }[] = []
  /** Batches with a flipped bit behind which nothing stands in their journals. */
  readonly flippedLast: FlippedBatch[] = []
  /** By `journal/segment`. */
  readonly bad: Map<string, BadStretch[]> = new Map()
  readonly #newest = new Map<number, Opened>()
  /** The journal in which each epoch of a shard was opened. */
  readonly #epochs = new Map<number, Map<number, number>>()

  /** Takes in an opening. Resolves to another journal that has opened the same epoch, which must not be. */
  addOpening(record: LogRecord): number | undefined {
    const opening = decodeOpening(record.data)
    // It was told as damage.
    if (opening === undefined) return undefined
    const { shard, epoch, reigns } = opening
    const epochs = this.#epochs.get(shard) ?? new Map<number, number>()
    this.#epochs.set(shard, epochs)
    const other = epochs.get(epoch)
    epochs.set(epoch, record.address.journal)
    if (epoch >= (this.#newest.get(shard)?.epoch ?? 0))
      this.#newest.set(shard, { epoch, address: record.address, reigns })
    return other
  }

  get openedShards(): readonly number[] {
    return [...this.#newest.keys()].toSorted((a, b) => a - b)
  }

  newestEpoch(shard: number): number {
    return this.#newest.get(shard)?.epoch ?? 0
  }

  /** The journal whose writer opened this epoch of the shard. */
  journalOf(shard: number, epoch: number): number | undefined {
    return this.#epochs.get(shard)?.get(epoch)
  }

  /** A shard's history, oldest first; the last reign has no seal. */
  reigns(shard: number): readonly Reign[] {
    const newest = this.#newest.get(shard)
    if (newest === undefined) return []
    const { epoch, address, reigns } = newest
    return [...reigns, { epoch, journal: address.journal, from: address, until: undefined }]
  }

  /** Whether the shard was opened anew since, with a seal before this record. */
  isSuperseded({ shard, epoch, address }: LogRecord): boolean {
    return this.newestEpoch(shard) > epoch && !this.reigns(shard).some((reign) => isWithin(reign, epoch, address))
  }

  addBad({ journal, segment }: { journal: number; segment: number }, stretch: BadStretch): void {
    const key = `${journal}/${segment}`
    const known = this.bad.get(key)
    if (known === undefined) this.bad.set(key, [stretch])
    else known.push(stretch)
  }

  /** The stretch that hides this place, where there is one. */
  badAt({ journal, segment, offset }: Address): BadStretch | undefined {
    return this.bad.get(`${journal}/${segment}`)?.find(({ from, to }) => from <= offset && offset < to)
  }

  /** The stretches that may hide records of the shard between two of its records. */
  badBetween(shard: number, after: Address, before: Address): PlacedStretch[] {
    const reigns = this.reigns(shard)
    const first = Math.max(
      0,
      reigns.findLastIndex((reign) => isIn(reign, after)),
    )
    const last = reigns.findIndex((reign, i) => i >= first && isIn(reign, before))
    const found: PlacedStretch[] = []
    for (const reign of reigns.slice(first, last + 1)) {
      for (const stretch of this.#badOf(reign.journal)) {
        const { place } = stretch
        const isAfter = reign.journal !== after.journal || !isBefore({ ...place, offset: stretch.to - 1 }, after)
        const isEarlier = reign.journal !== before.journal || isBefore(place, before)
        if (isAfter && isEarlier && (reign.until === undefined || isBefore(place, reign.until))) found.push(stretch)
      }
    }
    return found
  }

  *#badOf(journal: number): Generator<PlacedStretch> {
    for (const [key, stretches] of this.bad) {
      const [of, segment] = key.split('/').map(Number) as [number, number]
      if (of !== journal) continue
      for (const stretch of stretches) yield { ...stretch, place: { journal, segment, offset: stretch.from } }
    }
  }
}

function isIn({ journal, from, until }: Reign, address: Address): boolean {
  return journal === address.journal && !isBefore(address, from) && (until === undefined || isBefore(address, until))
}
