/**
 * Which worker should own which shard: rendezvous hashing (Thaler and Ravishankar 1998) with bounded loads (Mirrokni,
 * Thorup and Zadimoghaddam 2018). Everyone who knows the same workers computes the same ring.
 */
import { hash64 } from '../log/stream.ts'

/** No worker gets more than so many times its even share. */
const LOAD_MAX = 1.25

export interface Ring {
  /** The worker of each shard, by shard. */
  readonly owners: readonly string[]
}

/** `workers` are distinct names, in any order. */
export function createRing(workers: readonly string[], shards: number): Ring {
  const capacity = Math.ceil((shards / workers.length) * LOAD_MAX)
  const load = new Map(workers.map((worker) => [worker, 0]))
  const owners = Array.from({ length: shards }, (_, shard) => {
    const preferred = workers
      .map((worker) => ({ worker, score: hash64(`${worker}#${shard}`, 0) }))
      .toSorted((a, b) => b.score.high - a.score.high || b.score.low - a.score.low)
    const owner = preferred.find(({ worker }) => load.get(worker)! < capacity)!.worker
    load.set(owner, load.get(owner)! + 1)
    return owner
  })
  return { owners }
}

/** The shards of one worker, increasing. */
export function shardsOf(ring: Ring, worker: string): number[] {
  return ring.owners.flatMap((owner, shard) => (owner === worker ? [shard] : []))
}

/** The ring for humans: a line a worker. */
export function describeRing(ring: Ring): string {
  const workers = [...new Set(ring.owners)].toSorted()
  return workers.map((worker) => `${worker}: ${shardsOf(ring, worker).join(' ')}`).join('\n')
}
