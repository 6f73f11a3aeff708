/**
 * Which worker should own which shard. Every worker holds its share, give or take one, and what it holds stays with it for
 * as long as that is so: whoever joins takes what others have too much of, whoever leaves gives what it had to those who
 * have too little, and nothing else moves. Which shards those are is told by rendezvous hashing (Thaler and Ravishankar
 * 1998): everyone who knows the same workers and owners computes the same ring. docs/decisions/sticky-ring.md says why
 * the owners matter.
 */
import { assert } from '../aggregate/assert.ts'
import { hash64 } from '../log/stream.ts'

export interface RingWorker {
  readonly name: string
  /** Its share of the shards is in proportion to it. */
  readonly weight: number
}

export interface Ring {
  /** The worker of each shard, by shard. */
  readonly owners: readonly string[]
}

interface Holder {
  readonly name: string
  /** Its share, rounded down and up. */
  readonly least: number
  readonly most: number
  readonly shards: Set<number>
}

/** `workers` have distinct names, in any order; `current` is the owner of each shard, by shard, where it has one. */
export function createRing(
  workers: readonly RingWorker[],
  shards: number,
  current: readonly (string | undefined)[] = [],
): Ring {
  assert(workers.length > 0, 'a ring has workers')
  const holders = createHolders(workers, shards)
  const homeless: number[] = []
  for (let shard = 0; shard < shards; shard += 1) {
    const owner = holders.get(current[shard] ?? '')
    if (owner === undefined) homeless.push(shard)
    else owner.shards.add(shard)
  }
  for (const holder of holders.values()) {
    while (holder.shards.size > holder.most) homeless.push(take(holder, leastWanted(holder)))
  }
  for (const shard of homeless.toSorted((a, b) => a - b)) {
    const hungry = [...holders.values()].filter(({ shards: has, least }) => has.size < least)
    const takers = hungry.length > 0 ? hungry : [...holders.values()].filter(({ shards: has, most }) => has.size < most)
    preferred(takers, shard).shards.add(shard)
  }
  for (const holder of holders.values()) {
    while (holder.shards.size < holder.least) {
      const giver = richest(holders.values())
      holder.shards.add(take(giver, leastWanted(giver)))
    }
  }
  const owners: string[] = []
  for (const { name, shards: has } of holders.values()) for (const shard of has) owners[shard] = name
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

function createHolders(workers: readonly RingWorker[], shards: number): Map<string, Holder> {
  const total = workers.reduce((sum, { weight }) => sum + weight, 0)
  const sorted = workers.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return new Map(
    sorted.map(({ name, weight }) => {
      const share = (shards * weight) / total
      return [name, { name, least: Math.floor(share), most: Math.ceil(share), shards: new Set<number>() }]
    }),
  )
}

function take(holder: Holder, shard: number): number {
  holder.shards.delete(shard)
  return shard
}

/** The shard that the hash puts furthest from its holder. */
function leastWanted({ name, shards }: Holder): number {
  return [...shards].reduce((least, shard) => (isBefore(score(name, shard), score(name, least)) ? shard : least))
}

/** Who has most above what it must have. */
function richest(holders: Iterable<Holder>): Holder {
  const surplus = ({ shards, least }: Holder): number => shards.size - least
  return [...holders].reduce((rich, holder) => (surplus(holder) > surplus(rich) ? holder : rich))
}

function preferred(takers: readonly Holder[], shard: number): Holder {
  return takers.reduce((best, taker) => (isBefore(score(best.name, shard), score(taker.name, shard)) ? taker : best))
}

type Score = ReturnType<typeof hash64>

function score(worker: string, shard: number): Score {
  return hash64(`${worker}#${shard}`, 0)
}

function isBefore(a: Score, b: Score): boolean {
  return a.high < b.high || (a.high === b.high && a.low < b.low)
}
