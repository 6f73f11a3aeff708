/** Who should own what, as everybody computes it who knows the same members and leases. */
import type { Lease, Member } from './leases.ts'
import { ownerName, parseOwner } from './owner-name.ts'
import { createRing, type RingWorker } from './ring.ts'

/** The owner that each shard should have, by shard; undefined where nobody wants any. */
export function assign(
  members: readonly Member[],
  leases: readonly Lease[],
  shards: number,
): readonly string[] | undefined {
  const up = members.filter(({ state }) => state === 'up')
  const workers = up.flatMap(workersOf)
  if (workers.length === 0) return undefined
  const current: (string | undefined)[] = []
  for (const { shard, member, worker } of leases) current[shard] = ownerName(member, worker)
  const { owners } = createRing(workers, shards, current)
  if (up.every(({ unable }) => unable === undefined)) return owners
  return withoutUnable(owners, { up, names: workers.map(({ name }) => name).toSorted(), current })
}

/** A member's share is its own; those of its workers that serve divide it evenly. */
function workersOf({ id, workers, weight, away }: Member): RingWorker[] {
  const absent = new Set(away)
  const names = Array.from({ length: workers }, (_, worker) => worker).filter((worker) => !absent.has(worker))
  return names.map((worker) => ({ name: ownerName(id, worker), weight: weight / names.length }))
}

interface Candidates {
  readonly up: readonly Member[]
  readonly names: readonly string[]
  readonly current: readonly (string | undefined)[]
}

/**
 * Gives what its owner cannot serve to whoever can: it stays with one that has it, else the one with the fewest shards
 * gets it. Where nobody can it stays where it is, with the error there. docs/decisions/unable-shards.md.
 */
function withoutUnable(owners: readonly string[], { up, names, current }: Candidates): readonly string[] {
  const unable = new Map(up.map((member) => [member.id, new Set(member.unable)]))
  const cannot = (owner: string, shard: number): boolean => unable.get(parseOwner(owner).member)?.has(shard) === true
  const counts = new Map(names.map((name) => [name, 0]))
  const count = (owner: string, by: number): void => void counts.set(owner, (counts.get(owner) ?? 0) + by)
  for (const owner of owners) count(owner, 1)
  return owners.map((owner, shard) => {
    if (!cannot(owner, shard)) return owner
    const able = names.filter((name) => !cannot(name, shard))
    const candidates = able.length > 0 ? able : names
    const now = current[shard]
    const isStaying = now !== undefined && candidates.includes(now)
    if (able.length === 0 && !isStaying) return owner
    const to = isStaying ? now : candidates.reduce((few, name) => (counts.get(name)! < counts.get(few)! ? name : few))
    count(owner, -1)
    count(to, 1)
    return to
  })
}
