/** What ownership (ownership.ts) runs on, whom it tells, and what it says of itself. */
import type { Clock } from '../log/clock.ts'
import type { HandedShard, ServedShard } from './control.ts'
import type { ClusterMark, Leases, Member, View } from './leases.ts'

/** What it asks of a worker. `undefined` for an answer: the worker has ended. */
export interface ShardWorker {
  takeOver(shards: readonly number[]): Promise<readonly { shard: number; epoch: number }[] | undefined>
  prepareRelease(): Promise<void>
  release(shards: readonly number[], ms: number): Promise<void>
  status(): Promise<{ readonly refused: readonly RefusedShard[] } | undefined>
}

export interface RefusedShard {
  readonly shard: number
  readonly code: string
  /** Its files are damaged, which is the same for everybody. */
  readonly isDamaged: boolean
}

export interface OwnershipOptions {
  readonly clock: Clock
  readonly leases: Leases
  readonly cluster: ClusterMark
  readonly member: Member
  readonly ttlMs: number
  /** Nobody has ever claimed a shard in the data. */
  readonly isNew: boolean
  readonly events: OwnershipEvents
}

export interface OwnershipEvents {
  /** Shards are served by workers of this node. */
  readonly onServing: (shards: readonly ServedShard[]) => void
  /** Who is in the cluster, and what the store knows of owners. */
  readonly onView: (view: View) => void
  /** Shards were given up for another member's workers. */
  readonly onHandedTo: (member: string, shards: readonly HandedShard[]) => void
  /** Whether a member can be told: nothing is given up for one that would hear of it late. */
  readonly reaches: (member: string) => boolean
  readonly onWarning: (message: string) => void
}

/** How a node's part stands at a moment. */
export interface OwnershipCondition {
  readonly isDraining: boolean
  /** Since the store was last heard; undefined while it answers. */
  readonly storeAwayMs: number | undefined
  /** Shards that are this node's to serve and are not served yet, and since when. */
  readonly awaited: readonly AwaitedShard[]
  /** Shards on their way to other owners. */
  readonly leaving: readonly number[]
}

export interface AwaitedShard extends HandedShard {
  readonly ms: number
}
