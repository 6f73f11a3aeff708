/** How far a worker's journal is, as the worker tells those who read it. */
import type { Place, Reign } from './reign.ts'

export interface Tail {
  readonly journal: number
  /** Up to there the journal is durable, and counts for the shards that its worker serves. */
  readonly end: Place
  /** What becomes durable behind the end has a greater position. */
  readonly position: number
  /** Changes whenever `shards` do. */
  readonly ownership: number
  /** Those that the worker served after it had looked who owns what is before the end. */
  readonly shards: readonly OpenedShard[]
}

/** What a reader has been told of the worker before. */
export type KnownTail = Pick<Tail, 'journal' | 'end' | 'ownership'>

/** A worker somewhere, as readers ask it. */
export interface TailSource {
  /** As soon as there is more than what is known, or after `ms`; undefined where the worker has ended. */
  nextTail(known: KnownTail | undefined, ms: number): Promise<Tail | undefined>
  /** Once nothing can come at this position or below it any more. */
  tailAbove(position: number): Promise<Tail | undefined>
}

/** A shard and its owner's reign, which is still going on. */
export interface OpenedShard {
  readonly shard: number
  readonly epoch: number
  /** Where its opening stands in the owner's journal. */
  readonly opening: Place
  /** Of its newest event before the end, or of the opening where that is greater. */
  readonly position: number
}

/** What a reader is told of a shard that an owner has. `reigns`: with its own as the last. */
export function openedShard(owned: {
  readonly shard: number
  readonly epoch: number
  readonly reigns: readonly Reign[]
  readonly durablePosition: number
}): OpenedShard {
  const { shard, epoch, reigns, durablePosition: position } = owned
  return { shard, epoch, opening: reigns.at(-1)!.from, position }
}
