/** Who reads journals beside each other reads them together: each place of a journal is read once, or a few times. */
import type { Catalog } from '../log/catalog.ts'
import type { Clock } from '../log/clock.ts'
import type { KnownTails } from './known-tails.ts'
import { Strand, type Part, type StrandReader } from './strand.ts'

export interface SharedJournalsOptions {
  readonly catalog: Catalog
  readonly clock: Clock
  readonly tails: KnownTails
  /** So much of what all readings have read is kept, and is read ahead of their slowest: each has its share. */
  readonly keptBytes: number
}

export class SharedJournals {
  readonly #options: SharedJournalsOptions
  /** By journal. */
  readonly #strands = new Map<number, Set<Strand>>()
  #count = 0

  constructor(options: SharedJournalsOptions) {
    this.#options = options
  }

  /** Begins to read, together with whoever is near. */
  join(journal: number, part: Part): StrandReader {
    for (const strand of this.#strands.get(journal) ?? []) {
      const reader = strand.join(part)
      if (reader !== undefined) return reader
    }
    const strand = this.#begin(journal, part.from.segment)
    return strand.join(part)!
  }

  /** What was read of a journal up to now may not be what was written: whoever comes to read it reads it anew, as it may be mended then. */
  doubt(journal: number): void {
    for (const strand of this.#strands.get(journal) ?? []) strand.doubt()
    this.#options.catalog.forgetHarmed()
  }

  #begin(journal: number, segment: number): Strand {
    const strands = this.#strands.get(journal) ?? new Set()
    this.#strands.set(journal, strands)
    const onEnd = (): void => {
      this.#count -= 1
      strands.delete(strand)
      if (strands.size === 0 && this.#strands.get(journal) === strands) this.#strands.delete(journal)
    }
    const onRead = (): void => {
      // To those that were there before, so that no two give their readers to each other.
      for (const older of strands) {
        if (older === strand) return
        older.adopt(strand)
      }
    }
    const { keptBytes, ...ports } = this.#options
    const share = (): number => keptBytes / this.#count
    const strand: Strand = new Strand({ ...ports, keptBytes: share, journal, segment, onRead, onEnd })
    this.#count += 1
    strands.add(strand)
    return strand
  }
}
