/** Which records count: those within the reigns of their shards (I1). */
import type { LogRecord } from '../log/record.ts'
import { isBefore, isWithin, type Place, type Reign } from '../log/reign.ts'
import type { Stretch } from './journal-records.ts'

export class ShardReigns {
  readonly #byShard = new Map<number, readonly Reign[]>()
  /** By journal and shard. */
  #byJournal = new Map<number, Map<number, Reign[]>>()

  /** A shard's reigns, oldest first, in place of those that were known. */
  set(shard: number, reigns: readonly Reign[]): void {
    for (const { journal } of this.#byShard.get(shard) ?? []) this.#byJournal.get(journal)?.delete(shard)
    this.#byShard.set(shard, reigns)
    for (const reign of reigns) {
      const shards = this.#byJournal.get(reign.journal) ?? new Map<number, Reign[]>()
      this.#byJournal.set(reign.journal, shards)
      const known = shards.get(shard)
      if (known === undefined) shards.set(shard, [reign])
      else known.push(reign)
    }
  }

  of(shard: number): readonly Reign[] {
    return this.#byShard.get(shard) ?? []
  }

  counts(record: LogRecord): boolean {
    const reigns = this.#byJournal.get(record.journal)?.get(record.shard)
    if (reigns === undefined) return false
    for (const reign of reigns) if (isWithin(reign, record.epoch, record)) return true
    return false
  }

  /** Of each reign in a journal who came next; undefined where nobody has. */
  *heirsOf(journal: number): Generator<Reign | undefined> {
    for (const reigns of this.#byShard.values()) {
      for (const [index, { journal: of }] of reigns.entries()) if (of === journal) yield reigns[index + 1]
    }
  }

  /** The reigns that a journal lost to others behind a place, by who came next. */
  *heirsBehind(journal: number, end: Place): Generator<{ readonly shard: number; readonly heir: Reign }> {
    for (const [shard, reigns] of this.#byShard) {
      for (const [index, { journal: of, until }] of reigns.entries()) {
        if (of === journal && until !== undefined && isBefore(end, until)) yield { shard, heir: reigns[index + 1]! }
      }
    }
  }

  /**
   * For each journal the stretch outside of which nothing counts. Where a reign is not sealed it ends where its journal
   * does, as far as `ends` says; one that is not named there is left out.
   */
  stretches(ends: ReadonlyMap<number, Place>): readonly Stretch[] {
    const stretches: Stretch[] = []
    for (const [journal, shards] of this.#byJournal) {
      const reigns = [...shards.values()].flat()
      const tos = reigns.flatMap(({ until }) => until ?? ends.get(journal) ?? [])
      if (tos.length === 0) continue
      const first = reigns.reduce((a, b) => (isBefore(b.from, a.from) ? b : a))
      const to = tos.reduce((a, b) => (isBefore(a, b) ? b : a))
      // An opening stands within its batch, and batches are read whole.
      const isDurable = ends.has(journal) && to === ends.get(journal)
      stretches.push({ journal, from: { segment: first.from.segment, offset: 0 }, to, isDurable })
    }
    return stretches
  }
}
