/**
 * Frontiers of a running cluster, out of what its workers tell of their journals. A frontier is complete where every shard
 * has an owner, and reaches up to what all owners have promised to write nothing below; those that have nothing to write
 * are asked for as much as the furthest has (docs/decisions/all-order.md).
 */
import type { Catalog } from '../log/catalog.ts'
import { pause, within, type Clock } from '../log/clock.ts'
import { logCorrupt } from '../log/error.ts'
import { segmentPath } from '../log/path.ts'
import { decodeOpening, isBefore, type Place, type Reign } from '../log/reign.ts'
import type { OpenedShard, Tail, TailSource } from '../log/tail.ts'
import type { Frontier } from './all.ts'

export interface FrontiersOptions {
  readonly catalog: Catalog
  readonly clock: Clock
  readonly shards: number
  /** The workers that there are now, of all nodes. A worker that is replaced is another one. */
  readonly workers: () => readonly TailSource[]
  /** Something an operator should know: for whom readers wait. */
  readonly onWarning: (message: string) => void
}

/** A worker is asked again after so long, be there news or not. */
const POLL_MS = 500
/** One that cannot answer is asked again after so long. */
const RETRY_MS = 50
/** Shards that nobody serves for so long are told of: a take-over has long been done by then. */
const AWAITED_MS = 10_000

interface Known {
  tail: Tail | undefined
  polling: Promise<void> | undefined
}

/** A shard's newest owner, as far as its worker has told. */
export interface Owner extends OpenedShard {
  readonly source: TailSource
  readonly tail: Tail
}

export class Frontiers {
  readonly #options: FrontiersOptions
  readonly #known = new Map<TailSource, Known>()
  /** By shard, the newest epoch that was read. */
  readonly #reigns = new Map<number, readonly Reign[]>()
  /** Since when some shard has had no owner, on the monotonic clock, and whether that was told. */
  #awaitedSince: number | undefined
  #isTold = false
  /** All are being asked how far they are now; and those who came meanwhile wait for this. */
  #asking: Promise<void> | undefined
  #askingNext: Promise<void> | undefined

  constructor(options: FrontiersOptions) {
    this.#options = options
  }

  /**
   * Resolves to a frontier that reaches further than this position; undefined where the signal ends that.
   * @throws PenholdError `LogCorrupt` where a shard's history cannot be read
   */
  async beyond(position: number, signal: AbortSignal): Promise<Frontier | undefined> {
    while (!signal.aborted) {
      const owners = this.owners()
      this.#noteAwaited(owners)
      const promised = [...owners.values()].map(({ tail }) => tail.position)
      const furthest = Math.max(0, ...promised)
      if (owners.size < this.#options.shards || furthest <= position) await this.news(signal)
      // What the furthest has beyond that waits for the next time: so busy workers do not keep raising the bar.
      else if (Math.min(...promised) > position) return this.#frontier(owners)
      else await this.#ask(owners, furthest)
    }
    return undefined
  }

  /**
   * The greatest position in the journals of the owners, as of now or later: what was acknowledged before has no greater
   * one. Undefined where the signal ends that.
   */
  async head(signal: AbortSignal): Promise<number | undefined> {
    while (!signal.aborted) {
      await this.#askAll()
      const owners = this.owners()
      this.#noteAwaited(owners)
      const positions = [...owners.values()].map(({ tail }) => tail.position)
      if (owners.size === this.#options.shards) return Math.max(0, ...positions)
      await this.news(signal)
    }
    return undefined
  }

  /**
   * Of each of these shards the position of its newest event, as of now or later, or of its opening where that is greater.
   * Undefined where the signal ends that.
   */
  async newest(shards: readonly number[], signal: AbortSignal): Promise<ReadonlyMap<number, number> | undefined> {
    while (!signal.aborted) {
      await this.#askAll()
      const owners = this.owners()
      this.#noteAwaited(owners)
      if (shards.every((shard) => owners.has(shard))) {
        return new Map(shards.map((shard) => [shard, owners.get(shard)!.position]))
      }
      await this.news(signal)
    }
    return undefined
  }

  /** All workers say how far they are. Whoever comes while they do waits for the next time, together with others. */
  #askAll(): Promise<void> {
    if (this.#asking === undefined) {
      this.#meet()
      const answers = [...this.#known.keys()].map((source) => this.#poll(source, undefined, 0))
      this.#asking = Promise.all(answers).then(() => void (this.#asking = undefined))
      return this.#asking
    }
    this.#askingNext ??= this.#asking.then(() => {
      this.#askingNext = undefined
      return this.#askAll()
    })
    return this.#askingNext
  }

  #noteAwaited(owners: ReadonlyMap<number, Owner>): void {
    const { shards, clock, onWarning } = this.#options
    const now = clock.monotonic()
    if (owners.size === shards) {
      this.#awaitedSince = undefined
      this.#isTold = false
      return
    }
    this.#awaitedSince ??= now
    if (this.#isTold || now - this.#awaitedSince < AWAITED_MS) return
    this.#isTold = true
    const awaited = Array.from({ length: shards }, (_, shard) => shard).filter((shard) => !owners.has(shard))
    const some = `${awaited.slice(0, 10).join(', ')}${awaited.length > 10 ? ' …' : ''}`
    onWarning(
      `whoever reads everything, and each projection, waits for ${awaited.length} of ${shards} shards, which nobody serves: ${some}. 'penhold status' and 'penhold verify' say why.`,
    )
  }

  /** Asks those that have not promised as much. */
  async #ask(owners: ReadonlyMap<number, Owner>, position: number): Promise<void> {
    const behind = new Set([...owners.values()].filter(({ tail }) => tail.position < position).map((one) => one.source))
    const { clock } = this.#options
    const answers = [...behind].map(async (source) => {
      try {
        this.#learn(source, await source.tailAbove(position))
      } catch {
        // It has no room to promise anything, say, which its own node tells.
        await pause(clock, RETRY_MS)
      }
    })
    await within(clock, POLL_MS, Promise.all(answers))
  }

  async #frontier(owners: ReadonlyMap<number, Owner>): Promise<Frontier> {
    const reigns = new Map<number, readonly Reign[]>()
    const ends = new Map<number, Place>()
    let position = Number.POSITIVE_INFINITY
    for (const [shard, owner] of owners) {
      reigns.set(shard, await this.#reignsOf(owner))
      ends.set(owner.tail.journal, owner.tail.end)
      position = Math.min(position, owner.tail.position)
    }
    return { reigns, ends, position }
  }

  /** By shard, its newest owner, as far as one has told. */
  owners(): ReadonlyMap<number, Owner> {
    const owners = new Map<number, Owner>()
    for (const [source, { tail }] of this.#known) {
      for (const opened of tail?.shards ?? []) {
        const other = owners.get(opened.shard)
        if (other === undefined || other.epoch < opened.epoch)
          owners.set(opened.shard, { ...opened, source, tail: tail! })
      }
    }
    return owners
  }

  /** The owner's opening names the reigns before its own. */
  async #reignsOf({ shard, epoch, opening, tail: { journal } }: Owner): Promise<readonly Reign[]> {
    const known = this.#reigns.get(shard)
    if (known?.at(-1)?.epoch === epoch) return known
    const record = await this.#options.catalog.record({ journal, ...opening })
    const told = decodeOpening(record.data)
    if (told?.shard !== shard || told.epoch !== epoch) {
      throw logCorrupt(segmentPath(journal, opening.segment), opening.offset, `this is no opening of shard ${shard}`)
    }
    const reigns = [...told.reigns, { epoch, journal, from: opening, until: undefined }]
    this.#reigns.set(shard, reigns)
    return reigns
  }

  /** Resolves when a worker has told something new, or after a while. */
  async news(signal: AbortSignal): Promise<void> {
    this.#meet()
    const polls = [...this.#known].map(([source, known]) => {
      known.polling ??= this.#poll(source, known.tail, POLL_MS).finally(() => (known.polling = undefined))
      return known.polling
    })
    const ended = Promise.withResolvers<void>()
    const end = (): void => ended.resolve()
    signal.addEventListener('abort', end)
    await within(this.#options.clock, POLL_MS, Promise.race([...polls, ended.promise]))
    signal.removeEventListener('abort', end)
  }

  /** Takes in which workers there are. */
  #meet(): void {
    const workers = new Set(this.#options.workers())
    for (const source of this.#known.keys()) if (!workers.has(source)) this.#known.delete(source)
    for (const source of workers) {
      if (!this.#known.has(source)) this.#known.set(source, { tail: undefined, polling: undefined })
    }
  }

  async #poll(source: TailSource, known: Tail | undefined, ms: number): Promise<void> {
    // One that fails is about to be replaced.
    const tail = await source.nextTail(known, ms).catch(() => undefined)
    if (tail === undefined) await pause(this.#options.clock, RETRY_MS)
    this.#learn(source, tail)
  }

  #learn(source: TailSource, tail: Tail | undefined): void {
    const known = this.#known.get(source)
    if (known === undefined) return
    if (tail === undefined) known.tail = undefined
    else if (known.tail === undefined || isNewer(tail, known.tail)) known.tail = tail
  }
}

/** Answers may overtake each other; a worker that was replaced has a journal with a greater number. */
function isNewer(tail: Tail, known: Tail): boolean {
  if (tail.journal !== known.journal) return tail.journal > known.journal
  return tail.ownership > known.ownership || (tail.ownership === known.ownership && !isBefore(tail.end, known.end))
}
