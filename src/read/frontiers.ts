/**
 * Frontiers of a running cluster, out of what its workers tell of their journals (known-tails.ts). A frontier is complete
 * where every shard has an owner, and reaches up to what all owners have promised to write nothing below; those that have
 * nothing to write are asked for as much as the furthest has (docs/decisions/all-order.md).
 */
import type { Catalog } from '../log/catalog.ts'
import type { Clock } from '../log/clock.ts'
import type { Place, Reign } from '../log/reign.ts'
import type { TailSource } from '../log/tail.ts'
import type { Frontier } from './all.ts'
import { KnownTails, type Owner } from './known-tails.ts'

export interface FrontiersOptions {
  readonly catalog: Catalog
  readonly clock: Clock
  readonly shards: number
  /** The workers that there are now, of all nodes. A worker that is replaced is another one. */
  readonly workers: () => readonly TailSource[]
  /** Something an operator should know: for whom readers wait. */
  readonly onWarning: (message: string) => void
}

/** Shards that nobody serves for so long are told of: a take-over has long been done by then. */
const AWAITED_MS = 10_000

export class Frontiers {
  readonly #options: FrontiersOptions
  /** What the workers have told. */
  readonly tails: KnownTails
  /** By shard that readers wait for: since when it has had no owner, and when that was looked at last, on the monotonic clock. */
  #awaited = new Map<number, { readonly since: number; readonly lookedAt: number }>()
  #isTold = false

  constructor(options: FrontiersOptions) {
    this.#options = options
    this.tails = new KnownTails(options)
  }

  /**
   * Resolves to a frontier that reaches further than this position; undefined where the signal ends that.
   * @throws PenholdError `LogCorrupt` where a shard's history cannot be read
   */
  async beyond(position: number, signal: AbortSignal): Promise<Frontier | undefined> {
    while (!signal.aborted) {
      const owners = this.tails.owners()
      this.#noteAwaited(owners)
      const promised = [...owners.values()].map(({ tail }) => tail.position)
      const furthest = Math.max(0, ...promised)
      if (owners.size < this.#options.shards || furthest <= position) await this.tails.news(signal)
      // What the furthest has beyond that waits for the next time: so busy workers do not keep raising the bar.
      else if (Math.min(...promised) > position) return this.#frontier(owners)
      else await this.tails.askAbove(furthest)
    }
    return undefined
  }

  /**
   * The greatest position in the journals of the owners, as of now or later: what was acknowledged before has no greater
   * one. Undefined where the signal ends that.
   */
  async head(signal: AbortSignal): Promise<number | undefined> {
    while (!signal.aborted) {
      await this.tails.askAll()
      const owners = this.tails.owners()
      this.#noteAwaited(owners)
      const positions = [...owners.values()].map(({ tail }) => tail.position)
      if (owners.size === this.#options.shards) return Math.max(0, ...positions)
      await this.tails.news(signal)
    }
    return undefined
  }

  /**
   * Of each of these shards the position of its newest event, as of now or later, or of its opening where that is greater.
   * Undefined where the signal ends that.
   */
  async newest(shards: readonly number[], signal: AbortSignal): Promise<ReadonlyMap<number, number> | undefined> {
    while (!signal.aborted) {
      await this.tails.askAll()
      const owners = this.tails.owners()
      this.#noteAwaited(owners)
      if (shards.every((shard) => owners.has(shard))) {
        return new Map(shards.map((shard) => [shard, owners.get(shard)!.position]))
      }
      await this.tails.news(signal)
    }
    return undefined
  }

  #noteAwaited(owners: ReadonlyMap<number, Owner>): void {
    const { shards, clock, onWarning } = this.#options
    if (owners.size === shards && this.#awaited.size === 0) return
    const now = clock.monotonic()
    const missing = Array.from({ length: shards }, (_, shard) => shard).filter((shard) => !owners.has(shard))
    const before = this.#awaited
    this.#awaited = new Map(
      missing.map((shard) => {
        const known = before.get(shard)
        // While nobody waits nobody looks, and it may have had one.
        const goesOn = known !== undefined && now - known.lookedAt < AWAITED_MS / 2
        return [shard, { since: goesOn ? known.since : now, lookedAt: now }]
      }),
    )
    if (missing.length === 0 && this.#isTold) {
      this.#isTold = false
      onWarning('every shard is served again: whoever reads everything goes on')
    }
    const awaited = missing.filter((shard) => now - this.#awaited.get(shard)!.since >= AWAITED_MS)
    if (this.#isTold || awaited.length === 0) return
    this.#isTold = true
    const some = `${awaited.slice(0, 10).join(', ')}${awaited.length > 10 ? ' …' : ''}`
    onWarning(
      `whoever reads everything, and each projection, waits for ${awaited.length} of ${shards} shards, which nobody serves: ${some}. 'penhold status' and 'penhold verify' say why.`,
    )
  }

  async #frontier(owners: ReadonlyMap<number, Owner>): Promise<Frontier> {
    const reigns = new Map<number, readonly Reign[]>()
    const ends = new Map<number, Place>()
    let position = Number.POSITIVE_INFINITY
    for (const [shard, owner] of owners) {
      reigns.set(shard, await this.tails.reigns(owner))
      ends.set(owner.tail.journal, owner.tail.end)
      position = Math.min(position, owner.tail.position)
    }
    return { reigns, ends, position }
  }
}
