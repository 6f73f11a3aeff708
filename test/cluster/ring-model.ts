/** The ring as its rule reads, one shard at a time and without a thought for what it costs. */
import type { RingWorker } from '../../src/cluster/ring.ts'
import { hash64 } from '../../src/log/stream.ts'

/** The owner of each shard, by shard. Versions that run side by side must agree on it. */
export function modelRing(
  workers: readonly RingWorker[],
  shards: number,
  current: readonly (string | undefined)[],
): readonly string[] {
  const sorted = workers.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const total = sorted.reduce((sum, { weight }) => sum + weight, 0)
  const names = sorted.map(({ name }) => name)
  const share = new Map(workers.map(({ name, weight }) => [name, (shards * weight) / total]))
  const least = (name: string): number => Math.floor(share.get(name)!)
  const most = (name: string): number => Math.ceil(share.get(name)!)
  const owners = Array.from({ length: shards }, (_, shard) =>
    names.includes(current[shard]!) ? current[shard] : undefined,
  )
  const shardsOf = (name: string): number[] => owners.flatMap((owner, shard) => (owner === name ? [shard] : []))
  const count = (name: string): number => shardsOf(name).length
  const leastWanted = (name: string): number => {
    const wanted = shardsOf(name).map((shard) => ({ shard, score: scoreOf(name, shard) }))
    return wanted.reduce((a, b) => (b.score < a.score ? b : a)).shard
  }
  for (const name of names) while (count(name) > most(name)) owners[leastWanted(name)] = undefined
  for (const shard of owners.keys()) {
    if (owners[shard] !== undefined) continue
    const hungry = names.filter((name) => count(name) < least(name))
    const takers = hungry.length > 0 ? hungry : names.filter((name) => count(name) < most(name))
    owners[shard] = takers.reduce((a, b) => (scoreOf(b, shard) > scoreOf(a, shard) ? b : a))
  }
  for (const name of names) {
    while (count(name) < least(name)) {
      const surplus = (giver: string): number => count(giver) - least(giver)
      owners[leastWanted(names.reduce((a, b) => (surplus(b) > surplus(a) ? b : a)))] = name
    }
  }
  return owners as string[]
}

function scoreOf(name: string, shard: number): bigint {
  const { high, low } = hash64(`${name}#${shard}`, 0)
  return (BigInt(high) << 32n) | BigInt(low)
}
