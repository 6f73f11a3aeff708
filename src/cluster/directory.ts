/**
 * The directory: who serves which shard, as far as this process has heard. What is newer by epoch counts, for as long as
 * its owner is a member. It only says whom to ask: who is asked knows from the log whether it owns the shard.
 */
import { parseOwner } from './owner-name.ts'

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

  /** The member is none any more: whoever serves what it served is believed, in whatever epoch. A backup may be restored. */
  forget(member: string): void {
    for (const [shard, entry] of this.#entries.entries()) {
      if (entry !== undefined && parseOwner(entry.owner).member === member) this.#entries[shard] = undefined
    }
  }
}
