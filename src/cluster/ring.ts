/**
 * Which worker should own which shard. Every worker holds its share, give or take one, and what it holds stays with it for
 * as long as that is so: whoever joins takes what others have too much of, whoever leaves gives what it had to those who
 * have too little, and nothing else moves. Which shards those are is told by rendezvous hashing (Thaler and Ravishankar
 * 1998): everyone who knows the same workers and owners computes the same ring. docs/decisions/sticky-ring.md says why
 * the owners matter.
 */
import { assert } from '../aggregate/assert.ts'
import { hash64After, type StreamHash } from '../log/stream.ts'

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
  /** How much the hash wants it to have what these characters stand for. */
  readonly score: (key: string) => StreamHash
  shards: number[]
}

/**
 * `workers` have distinct names, in any order; `current` is the owner of each shard, by shard, where it has one. Costs a
 * score for each shard that moves and each worker that may take it: milliseconds, as the thread that renews leases waits.
 */
export function createRing(
  workers: readonly RingWorker[],
  shards: number,
  current: readonly (string | undefined)[] = [],
): Ring {
  assert(workers.length > 0, 'a ring has workers')
  const holders = createHolders(workers, shards)
  const byName = new Map(holders.map((holder) => [holder.name, holder]))
  const homeless: number[] = []
  for (let shard = 0; shard < shards; shard += 1) {
    const has = byName.get(current[shard] ?? '')?.shards ?? homeless
    has.push(shard)
  }
  const moving = [...homeless, ...holders.flatMap(excessOf)].sort((a, b) => a - b)
  place(moving, holders)
  // Nobody has more than its share now, so that whoever gives here gives one.
  for (const holder of holders) {
    while (holder.shards.length < holder.least) holder.shards.push(leastWantedOf(richest(holders)))
  }
  const owners = Array.from({ length: shards }, () => '')
  for (const { name, shards: has } of holders) for (const shard of has) owners[shard] = name
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

function createHolders(workers: readonly RingWorker[], shards: number): readonly Holder[] {
  const sorted = workers.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  // In that order, too: fractions that are added in another one may come to another sum.
  const total = sorted.reduce((sum, { weight }) => sum + weight, 0)
  return sorted.map(({ name, weight }) => {
    const share = (shards * weight) / total
    return { name, least: Math.floor(share), most: Math.ceil(share), score: hash64After(name, 0), shards: [] }
  })
}

/** Takes from a holder what it has above its share: what the hash puts furthest from it. */
function excessOf(holder: Holder): readonly number[] {
  const excess = holder.shards.length - holder.most
  if (excess <= 0) return []
  const wanted = holder.shards.map((shard) => ({ shard, score: holder.score(keyOf(shard)) }))
  wanted.sort((a, b) => a.score.high - b.score.high || a.score.low - b.score.low)
  holder.shards = wanted.slice(excess).map(({ shard }) => shard)
  return wanted.slice(0, excess).map(({ shard }) => shard)
}

/** Gives shards that nobody has to those below their share, rounded down; where there is none, rounded up. */
function place(homeless: readonly number[], holders: readonly Holder[]): void {
  const hungry = (): readonly Holder[] => {
    const below = holders.filter(({ shards, least }) => shards.length < least)
    return below.length > 0 ? below : holders.filter(({ shards, most }) => shards.length < most)
  }
  let takers = hungry()
  for (const shard of homeless) {
    const taker = preferred(takers, shard)
    taker.shards.push(shard)
    if (taker.shards.length === taker.least || taker.shards.length === taker.most) takers = hungry()
  }
}

/** Takes from a holder the shard that the hash puts furthest from it. */
function leastWantedOf(holder: Holder): number {
  const { shards, score } = holder
  const scores = shards.map((shard) => score(keyOf(shard)))
  const least = shards.reduce((index, _, i) => (isBefore(scores[i]!, scores[index]!) ? i : index), 0)
  return shards.splice(least, 1)[0]!
}

/** Who has most above what it must have. */
function richest(holders: readonly Holder[]): Holder {
  const surplus = ({ shards, least }: Holder): number => shards.length - least
  return holders.reduce((rich, holder) => (surplus(holder) > surplus(rich) ? holder : rich))
}

function preferred(takers: readonly Holder[], shard: number): Holder {
  const key = keyOf(shard)
  let [best] = takers
  let highest = best!.score(key)
  for (const taker of takers.slice(1)) {
    const score = taker.score(key)
    if (isBefore(highest, score)) [best, highest] = [taker, score]
  }
  return best!
}

/** What is scored is the worker's name with this behind it. */
function keyOf(shard: number): string {
  return `#${shard}`
}

function isBefore(a: StreamHash, b: StreamHash): boolean {
  return a.high < b.high || (a.high === b.high && a.low < b.low)
}
