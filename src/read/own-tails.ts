/**
 * How far the workers of this node are, and which shards they serve: told to those who read these shards, for as long as
 * there is anyone. No other node is asked, so that nobody waits for one.
 */
import { decodeOpening, type Place, type Reign } from '../log/reign.ts'
import type { Catalog } from '../log/catalog.ts'
import { every, pause, type Cancel, type Clock } from '../log/clock.ts'
import { logCorrupt } from '../log/error.ts'
import { segmentPath } from '../log/path.ts'
import type { OpenedShard, Tail, TailSource } from '../log/tail.ts'

export interface OwnTailsOptions {
  readonly catalog: Catalog
  readonly clock: Clock
  /** The workers that there are now, of this node. A worker that is replaced is another one. */
  readonly workers: () => readonly TailSource[]
}

/** A shard that a worker of this node serves. */
export interface OwnShard {
  readonly epoch: number
  readonly journal: number
  /** Up to there all of its journal is durable, and counts for the shard. */
  readonly end: Place
  readonly opening: Place
}

/** `durable`: more is. `moved`: other shards are served. */
export type News = 'durable' | 'moved'
type Listener = (news: News) => void

interface Followed {
  tail: Tail | undefined
}

/** A worker is asked again after so long, be there news or not. */
const POLL_MS = 1_000
const MEET_MS = 250
/** One that cannot answer is asked again after so long. */
const RETRY_MS = 50

export class OwnTails {
  readonly #options: OwnTailsOptions
  readonly #followed = new Map<TailSource, Followed>()
  readonly #listeners = new Set<Listener>()
  #stopMeeting: Cancel = () => undefined

  constructor(options: OwnTailsOptions) {
    this.#options = options
  }

  /** The workers are asked until all who listen have left. */
  listen(told: (news: News) => void): Cancel {
    // Of its own, so that each can leave alone.
    const listener: Listener = (news) => told(news)
    this.#listeners.add(listener)
    if (this.#listeners.size === 1) {
      this.#meet()
      this.#stopMeeting = every(this.#options.clock, MEET_MS, () => this.#meet())
    }
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return
      this.#stopMeeting()
      this.#followed.clear()
    }
  }

  /** Undefined where no worker of this node is known to serve it. */
  shard(shard: number): OwnShard | undefined {
    let own: OwnShard | undefined
    for (const { tail } of this.#followed.values()) {
      const opened = tail?.shards.find((one) => one.shard === shard)
      if (opened !== undefined && (own?.epoch ?? 0) < opened.epoch) own = toOwn(tail!, opened)
    }
    return own
  }

  /** Up to where the journal of a worker of this node is durable; undefined where it is none's. */
  end(journal: number): Place | undefined {
    for (const { tail } of this.#followed.values()) if (tail?.journal === journal) return tail.end
    return undefined
  }

  /**
   * Who has owned a shard, oldest first, with its owner here as the last.
   * @throws PenholdError `LogCorrupt`
   */
  async reigns(shard: number, { journal, epoch, opening }: OwnShard): Promise<readonly Reign[]> {
    const record = await this.#options.catalog.record({ journal, ...opening })
    const told = decodeOpening(record.data)
    if (told?.shard !== shard || told.epoch !== epoch) {
      throw logCorrupt(segmentPath(journal, opening.segment), opening.offset, `this is no opening of shard ${shard}`)
    }
    return [...told.reigns, { epoch, journal, from: opening, until: undefined }]
  }

  /** Takes in which workers there are. */
  #meet(): void {
    const workers = new Set(this.#options.workers())
    for (const source of this.#followed.keys()) if (!workers.has(source)) this.#forget(source)
    for (const source of workers) {
      if (this.#followed.has(source)) continue
      const followed: Followed = { tail: undefined }
      this.#followed.set(source, followed)
      void this.#follow(source, followed)
    }
  }

  #forget(source: TailSource): void {
    this.#followed.delete(source)
    this.#tell('moved')
  }

  async #follow(source: TailSource, followed: Followed): Promise<void> {
    while (this.#followed.get(source) === followed) {
      const known = followed.tail
      // One that fails is about to be replaced.
      const tail = await source.nextTail(known, POLL_MS).catch(() => undefined)
      followed.tail = tail
      this.#tell(known?.ownership === tail?.ownership && known?.journal === tail?.journal ? 'durable' : 'moved')
      if (tail === undefined) await pause(this.#options.clock, RETRY_MS)
    }
  }

  #tell(news: News): void {
    for (const listener of this.#listeners) listener(news)
  }
}

function toOwn({ journal, end }: Tail, { epoch, opening }: OpenedShard): OwnShard {
  return { epoch, journal, end, opening }
}
