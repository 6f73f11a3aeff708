/** Who should own what, as everybody computes it who knows the same members and leases. */
import type { Lease, Member } from './leases.ts'
import { ownerName } from './peers.ts'
import { createRing, type RingWorker } from './ring.ts'

/** The owner that each shard should have, by shard; undefined where nobody wants any. */
export function assign(
  members: readonly Member[],
  leases: readonly Lease[],
  shards: number,
): readonly string[] | undefined {
  const workers = members.filter(({ state }) => state === 'up').flatMap(workersOf)
  if (workers.length === 0) return undefined
  const current: (string | undefined)[] = []
  for (const { shard, member, worker } of leases) current[shard] = ownerName(member, worker)
  return createRing(workers, shards, current).owners
}

/** A member's share is its own; those of its workers that serve divide it evenly. */
function workersOf({ id, workers, weight, away }: Member): RingWorker[] {
  const absent = new Set(away)
  const names = Array.from({ length: workers }, (_, worker) => worker).filter((worker) => !absent.has(worker))
  return names.map((worker) => ({ name: ownerName(id, worker), weight: weight / names.length }))
}
