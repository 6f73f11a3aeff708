/**
 * Names of internal streams that fall on a given shard: of `name~0`, `name~1` … the first that does. While it is looked for, what
 * falls on other shards is noted: of all shards it takes a few times as many names as there are shards, and not their square.
 */

/** So many names are known at a time, those that were asked for last. */
const NAMES_MAX = 64

interface Known {
  /** By shard, the number of the first name that falls there. */
  readonly salts: number[]
  /** The first number that was not looked at. */
  next: number
}

export class ShardNames {
  readonly #shardOf: (stream: string) => number
  readonly #known = new Map<string, Known>()

  constructor(shardOf: (stream: string) => number) {
    this.#shardOf = shardOf
  }

  /** Always the same one. */
  inShard(shard: number, name: string): string {
    const known = this.#knownOf(name)
    while (known.salts[shard] === undefined) {
      known.salts[this.#shardOf(`${name}~${known.next}`)] ??= known.next
      known.next += 1
    }
    return `${name}~${known.salts[shard]}`
  }

  #knownOf(name: string): Known {
    const known = this.#known.get(name) ?? { salts: [], next: 0 }
    this.#known.delete(name)
    this.#known.set(name, known)
    const [oldest] = this.#known.keys()
    if (this.#known.size > NAMES_MAX) this.#known.delete(oldest!)
    return known
  }
}
