/**
 * Tells readers how far the worker's journal is (docs/decisions/all-order.md): as soon as there is more, or once they may
 * count on it that nothing will come below a position.
 */
import type { Clock } from '../log/clock.ts'
import type { Log } from '../log/log.ts'
import { isBefore } from '../log/reign.ts'
import type { KnownTail, Tail } from '../log/tail.ts'
import type { Committer } from './committer.ts'

export interface TailsOptions {
  readonly log: Log
  readonly clock: Clock
  readonly committer: Committer
}

/** Where a batch fails, nobody is told that more is durable. */
const PATIENCE_MS = 100

export class Tails {
  readonly #options: TailsOptions
  #isClosed = false

  constructor(options: TailsOptions) {
    this.#options = options
  }

  /** Nothing more is written for readers. Whoever waits is told what there is. */
  close(): void {
    this.#isClosed = true
  }

  /** Resolves as soon as there is more than what is known, and after `ms` whatever there is. */
  async next(known: KnownTail | undefined, ms: number): Promise<Tail> {
    const { log, clock, committer } = this.#options
    const until = clock.monotonic() + ms
    for (;;) {
      const tail = await this.#take()
      const leftMs = until - clock.monotonic()
      if (isNews(tail, known) || leftMs <= 0 || this.#isClosed) return tail
      // What became durable, or moved, while the look was taken will not be told again.
      if (isBefore(tail.end, log.head.end) || tail.ownership !== log.ownership) continue
      await committer.moreDurable(leftMs)
    }
  }

  /**
   * Resolves once nothing that is not durable can get this position or a lower one any more, or the worker ends.
   * @throws PenholdError `StorageFull`
   */
  async above(position: number): Promise<Tail> {
    const { log, committer } = this.#options
    while (log.head.position < position && !this.#isClosed) {
      // What is on its way to the disk says it too.
      if (log.positionAdded >= position) await committer.moreDurable(PATIENCE_MS)
      else await committer.write(() => log.mark(Math.max(position, log.positionAdded)))
    }
    return this.#take()
  }

  /**
   * The look comes behind the end that is told: what was claimed before then does not count, nor what has left meanwhile. What
   * has come meanwhile is told the next time: to wait for a look at which nothing comes or leaves could take a whole drain.
   */
  async #take(): Promise<Tail> {
    const { log, committer } = this.#options
    const { head, ownership, openedShards } = log
    const isTaken = await committer.looked()
    const shards = openedShards.filter(({ shard, epoch }) => isTaken && log.epochOf(shard) === epoch)
    return { ...head, ownership, shards }
  }
}

function isNews(tail: Tail, known: KnownTail | undefined): boolean {
  if (known?.journal !== tail.journal || known.ownership !== tail.ownership) return true
  return isBefore(known.end, tail.end)
}
