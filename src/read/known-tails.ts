/**
 * What workers have told of their journals: how far they are durable, and which shards they serve. The workers are asked
 * while somebody waits for news or listens, and otherwise not.
 */
import type { Catalog } from '../log/catalog.ts'
import { pause, within, type Cancel, type Clock } from '../log/clock.ts'
import { logCorrupt } from '../log/error.ts'
import { segmentPath } from '../log/path.ts'
import { decodeOpening, isBefore, type Place, type Reign } from '../log/reign.ts'
import type { OpenedShard, Tail, TailSource } from '../log/tail.ts'

export interface KnownTailsOptions {
  readonly catalog: Catalog
  readonly clock: Clock
  /** The workers that there are now. A worker that is replaced is another one. */
  readonly workers: () => readonly TailSource[]
}

/** A shard's newest owner, as far as its worker has told. */
export interface Owner extends OpenedShard {
  readonly source: TailSource
  readonly tail: Tail
}

/** `durable`: more is. `moved`: other shards are served. */
export type News = 'durable' | 'moved'
type Listener = (news: News) => void

interface Known {
  tail: Tail | undefined
  polling: Promise<void> | undefined
}

/** A worker is asked again after so long, be there news or not. */
const POLL_MS = 500
/** One that cannot answer is asked again after so long. */
const RETRY_MS = 50

export class KnownTails {
  readonly #options: KnownTailsOptions
  readonly #known = new Map<TailSource, Known>()
  readonly #listeners = new Set<Listener>()
  #isWatching = false
  /** By shard, of the newest epoch that was asked for. */
  readonly #reigns = new Map<number, readonly Reign[]>()
  /** All are being asked how far they are now; and those who came meanwhile wait for this. */
  #asking: Promise<void> | undefined
  #askingNext: Promise<void> | undefined

  constructor(options: KnownTailsOptions) {
    this.#options = options
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

  /** A shard's newest owner; undefined where none of these workers is known to serve it. */
  owner(shard: number): Owner | undefined {
    let owner: Owner | undefined
    for (const [source, { tail }] of this.#known) {
      const opened = tail?.shards.find((one) => one.shard === shard)
      if (opened !== undefined && (owner?.epoch ?? 0) < opened.epoch) owner = { ...opened, source, tail: tail! }
    }
    return owner
  }

  /** Up to where the journal of one of these workers is durable; undefined where it is none's. */
  end(journal: number): Place | undefined {
    for (const { tail } of this.#known.values()) if (tail?.journal === journal) return tail.end
    return undefined
  }

  /**
   * Who has owned a shard, oldest first, as the opening of this owner says, who is the last.
   * @throws PenholdError `LogCorrupt`
   */
  async reigns({ shard, epoch, opening, tail: { journal } }: Owner): Promise<readonly Reign[]> {
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

  /** Resolves when a worker has told something new, or after a while; at once where the signal says so. */
  async news(signal: AbortSignal): Promise<void> {
    const ended = Promise.withResolvers<void>()
    const end = (): void => ended.resolve()
    signal.addEventListener('abort', end)
    await this.#heard(ended.promise)
    signal.removeEventListener('abort', end)
  }

  /** Tells what is new, until the listener leaves. */
  listen(told: Listener): Cancel {
    // Of its own, so that each can leave alone.
    const listener: Listener = (news) => told(news)
    this.#listeners.add(listener)
    if (!this.#isWatching) void this.#watch()
    return () => void this.#listeners.delete(listener)
  }

  /** All workers say how far they are. Whoever comes while they do waits for the next time, together with others. */
  askAll(): Promise<void> {
    if (this.#asking === undefined) {
      this.#meet()
      const answers = [...this.#known.keys()].map((source) => this.#poll(source, undefined, 0))
      this.#asking = Promise.all(answers).then(() => void (this.#asking = undefined))
      return this.#asking
    }
    this.#askingNext ??= this.#asking.then(() => {
      this.#askingNext = undefined
      return this.askAll()
    })
    return this.#askingNext
  }

  /** Asks those owners that have not promised as much to write nothing up to a position any more. */
  async askAbove(position: number): Promise<void> {
    const { clock } = this.#options
    const owners = [...this.owners().values()]
    const behind = new Set(owners.filter(({ tail }) => tail.position < position).map(({ source }) => source))
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

  async #watch(): Promise<void> {
    this.#isWatching = true
    while (this.#listeners.size > 0) await this.#heard()
    this.#isWatching = false
  }

  async #heard(...other: readonly Promise<void>[]): Promise<void> {
    this.#meet()
    const polls = [...this.#known].map(([source, known]) => {
      known.polling ??= this.#poll(source, known.tail, POLL_MS).finally(() => (known.polling = undefined))
      return known.polling
    })
    await within(this.#options.clock, POLL_MS, Promise.race([...polls, ...other]))
  }

  /** Takes in which workers there are. */
  #meet(): void {
    const workers = new Set(this.#options.workers())
    for (const source of workers) {
      if (!this.#known.has(source)) this.#known.set(source, { tail: undefined, polling: undefined })
    }
    for (const source of this.#known.keys()) {
      if (workers.has(source)) continue
      this.#known.delete(source)
      this.#tell('moved')
    }
  }

  async #poll(source: TailSource, known: Tail | undefined, ms: number): Promise<void> {
    // One that fails is about to be replaced.
    const tail = await source.nextTail(known, ms).catch(() => undefined)
    this.#learn(source, tail)
    if (tail === undefined) await pause(this.#options.clock, RETRY_MS)
  }

  #learn(source: TailSource, tail: Tail | undefined): void {
    const known = this.#known.get(source)
    if (known === undefined) return
    const before = known.tail
    if (tail !== undefined && before !== undefined && !isNewer(tail, before)) return
    known.tail = tail
    if (before?.journal !== tail?.journal || before?.ownership !== tail?.ownership) this.#tell('moved')
    else if (before !== undefined && isBefore(before.end, tail!.end)) this.#tell('durable')
  }

  #tell(news: News): void {
    for (const listener of this.#listeners) listener(news)
  }
}

/** Answers may overtake each other; a worker that was replaced has a journal with a greater number. */
function isNewer(tail: Tail, known: Tail): boolean {
  if (tail.journal !== known.journal) return tail.journal > known.journal
  return tail.ownership > known.ownership || (tail.ownership === known.ownership && !isBefore(tail.end, known.end))
}
