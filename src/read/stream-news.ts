/**
 * Who follows single streams hears when there is more of them. What their owners' journals get is read once, for all
 * streams that are followed on this node, and each follower is told alone that there is something: what it is, it reads
 * from the stream, in its own time. So a slow one costs nothing, and what has to be right is right there.
 *
 * That nothing is overheard: a journal is read from where it was durable when it was last looked at, and whoever begins to
 * follow reads the stream after that. Where a shard gets another owner, and so another journal, its followers are told to
 * look.
 */
import type { Catalog } from '../log/catalog.ts'
import { RecordKind, type LogRecord } from '../log/record.ts'
import { isBefore, type Place } from '../log/reign.ts'
import { readSegment } from '../log/scan.ts'
import type { KnownTails } from './known-tails.ts'

export interface StreamNewsOptions {
  readonly catalog: Catalog
  /** Of all nodes. */
  readonly tails: Pick<KnownTails, 'owners' | 'news'>
  readonly shardOf: (stream: string) => number
  /** Ends all following. */
  readonly signal: AbortSignal
}

/** One who follows a stream. To be closed. */
export interface Follower {
  /** Resolves to true once there may be more than when it was called last; to false once the signal ends that. */
  next(signal: AbortSignal): Promise<boolean>
  close(): void
}

export class StreamNews {
  readonly #options: StreamNewsOptions
  readonly #followers = new Map<string, Set<Waiter>>()
  /** By shard that is followed, the epoch whose journal is read. */
  readonly #epochs = new Map<number, number>()
  /** By journal: up to where it was read. */
  readonly #read = new Map<number, Place>()
  #isWatching = false
  #onNewcomer: () => void = () => undefined

  constructor(options: StreamNewsOptions) {
    this.#options = options
  }

  follow(stream: string): Follower {
    const waiter = new Waiter()
    const waiters = this.#followers.get(stream) ?? new Set()
    this.#followers.set(stream, waiters.add(waiter))
    if (this.#isWatching) this.#onNewcomer()
    else void this.#watch()
    return {
      next: (signal) => waiter.next(signal),
      close: () => {
        waiters.delete(waiter)
        if (waiters.size === 0 && this.#followers.get(stream) === waiters) this.#followers.delete(stream)
      },
    }
  }

  /** For as long as anybody follows anything. */
  async #watch(): Promise<void> {
    const { tails, signal } = this.#options
    this.#isWatching = true
    try {
      while (this.#followers.size > 0 && !signal.aborted) {
        const newcomer = Promise.withResolvers<void>()
        this.#onNewcomer = newcomer.resolve
        await this.#look()
        await Promise.race([tails.news(signal), newcomer.promise])
      }
    } catch (error) {
      for (const waiters of this.#followers.values()) for (const waiter of waiters) waiter.fail(error)
    }
    this.#epochs.clear()
    this.#read.clear()
    this.#isWatching = false
  }

  async #look(): Promise<void> {
    const shards = new Set([...this.#followers.keys()].map((stream) => this.#options.shardOf(stream)))
    for (const shard of this.#epochs.keys()) if (!shards.has(shard)) this.#epochs.delete(shard)
    const ends = new Map<number, Place>()
    const owners = this.#options.tails.owners()
    // Of one that was not heard of for a moment it is not known what it has written meanwhile.
    for (const shard of this.#epochs.keys()) if (!owners.has(shard)) this.#epochs.delete(shard)
    for (const [shard, { epoch, tail }] of owners) {
      if (!shards.has(shard)) continue
      const { journal, end } = tail
      ends.set(journal, end)
      if (this.#epochs.get(shard) === epoch) continue
      this.#epochs.set(shard, epoch)
      if (!this.#read.has(journal)) this.#read.set(journal, end)
      this.#wake((stream) => this.#options.shardOf(stream) === shard)
    }
    for (const journal of this.#read.keys()) if (!ends.has(journal)) this.#read.delete(journal)
    for (const [journal, end] of ends) await this.#readOn(journal, end)
  }

  /** Wakes the followers of what a journal has got. */
  async #readOn(journal: number, end: Place): Promise<void> {
    const { catalog } = this.#options
    const from = this.#read.get(journal) ?? end
    if (!isBefore(from, end)) return
    try {
      for (let { segment } = from; segment <= end.segment; segment += 1) {
        const part = {
          from: segment === from.segment ? from.offset : 0,
          to: segment === end.segment ? end.offset : Number.POSITIVE_INFINITY,
        }
        for await (const piece of readSegment(catalog.files, catalog.identity(journal, segment), part)) {
          if (piece.kind === 'batch') for (const record of piece.batch.records) this.#tell(record)
          // Whose events are harmed cannot be known here.
          else if (piece.kind !== 'end') this.#wake(() => true)
        }
      }
    } catch {
      // Who is concerned finds the same where it reads its stream.
      this.#wake(() => true)
    }
    this.#read.set(journal, end)
  }

  #tell(record: LogRecord): void {
    if (record.kind !== RecordKind.event || !this.#epochs.has(record.shard)) return
    for (const waiter of this.#followers.get(record.stream) ?? []) waiter.wake()
  }

  #wake(isConcerned: (stream: string) => boolean): void {
    for (const [stream, waiters] of this.#followers) {
      if (isConcerned(stream)) for (const waiter of waiters) waiter.wake()
    }
  }
}

/** Remembers that it was woken while it was not waiting. */
class Waiter {
  #isAwake = false
  #failure: { readonly error: unknown } | undefined
  #onWake: () => void = () => undefined

  wake(): void {
    this.#isAwake = true
    this.#onWake()
  }

  fail(error: unknown): void {
    this.#failure = { error }
    this.#onWake()
  }

  async next(signal: AbortSignal): Promise<boolean> {
    if (!this.#isAwake && this.#failure === undefined && !signal.aborted) {
      const woken = Promise.withResolvers<void>()
      const end = (): void => woken.resolve()
      this.#onWake = end
      signal.addEventListener('abort', end)
      await woken.promise
      signal.removeEventListener('abort', end)
    }
    if (this.#failure !== undefined) throw this.#failure.error
    this.#isAwake = false
    return !signal.aborted
  }
}
