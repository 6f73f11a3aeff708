/**
 * The directory: who serves which shard, as far as this process has heard. What is newer by epoch counts; whoever is
 * asked in vain is forgotten until somebody names an owner again. It only says whom to ask: who is asked knows from the
 * log whether it owns the shard.
 */
interface Entry {
  readonly owner: string
  readonly epoch: number
}

export class Directory {
  readonly #entries: (Entry | undefined)[]
  readonly #assign: (shard: number, owner: string, epoch: number) => void

  /** `assign` is told of each owner that messages should go to. */
  constructor(shards: number, assign: (shard: number, owner: string, epoch: number) => void) {
    this.#entries = Array.from({ length: shards }, () => undefined)
    this.#assign = assign
  }

  /** Somebody says that this owner serves the shard in this epoch. */
  learn(shard: number, owner: string, epoch: number): void {
    const known = this.#entries[shard]
    if (shard >= this.#entries.length || epoch === 0 || (known !== undefined && known.epoch > epoch)) return
    this.#entries[shard] = { owner, epoch }
    this.#assign(shard, owner, epoch)
  }
}
