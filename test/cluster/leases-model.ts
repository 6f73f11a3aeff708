/** What a lease store is to do, said as plainly as it can be: every lease has a time of its own and a place in a map. */
import type { Beat, ClusterMark, Member } from '../../src/cluster/leases.ts'

interface Lease {
  member: string
  worker: number
  epoch: number
  until: number
}

/** What a view must be like. */
export interface Seen {
  readonly cluster: ClusterMark
  readonly members: readonly Member[]
  readonly leases: readonly { shard: number; member: string; worker: number; epoch: number; remainingMs: number }[]
  readonly isSettling: boolean
}

export class LeasesModel {
  #now = 0
  #cluster: ClusterMark | undefined
  #settlesAt = 0
  #members = new Map<string, { member: Member; ttl: number; heard: number }>()
  #leases = new Map<number, Lease>()

  passTime(ms: number): void {
    this.#now += ms
  }

  forget(): void {
    this.#cluster = undefined
    this.#members.clear()
    this.#leases.clear()
  }

  leave(id: string): void {
    this.#members.delete(id)
    for (const [shard, { member }] of this.#leases) if (member === id) this.#leases.delete(shard)
  }

  look(): Seen | undefined {
    return this.#cluster === undefined ? undefined : this.#seen(this.#cluster)
  }

  /** Undefined where it is refused. */
  beat({ cluster, member, ttlMs, hold, want, release, isNew }: Beat): Seen | undefined {
    const known = this.#cluster
    if (known !== undefined && (known.clusterId !== cluster.clusterId || known.shards !== cluster.shards)) {
      if (this.#members.size > 0) return undefined
      this.forget()
    }
    if (this.#cluster === undefined) {
      this.#cluster = cluster
      this.#settlesAt = isNew ? this.#now : this.#now + ttlMs
    } else {
      const quiet = [...this.#members.values()].every(({ heard, ttl }) => this.#now - heard > (ttl * 2) / 3)
      const isAlone = [...this.#members.keys()].every((id) => id === member.id)
      if (quiet && (!isAlone || hold.length > 0)) this.#settlesAt = this.#now + ttlMs
    }
    for (const id of this.#members.keys()) if (!this.#isLiving(id)) this.#members.delete(id)
    for (const shard of this.#leases.keys()) if (this.#lease(shard) === undefined) this.#leases.delete(shard)
    this.#members.set(member.id, { member, ttl: ttlMs, heard: this.#now })

    const isMine = (shard: number): boolean => this.#leases.get(shard)?.member === member.id
    const grant = (shard: number, worker: number, epoch: number): void =>
      void this.#leases.set(shard, { member: member.id, worker, epoch, until: this.#now + ttlMs })
    for (const { shard, to } of release) {
      if (this.#leases.has(shard) && !isMine(shard)) continue
      this.#leases.delete(shard)
      const target = to === undefined ? undefined : this.#members.get(to.member)
      if (to !== undefined && target !== undefined) {
        this.#leases.set(shard, { ...to, epoch: 0, until: this.#now + target.ttl })
      }
    }
    for (const { shard, worker, epoch } of hold) {
      const lease = this.#leases.get(shard)
      if (lease === undefined || isMine(shard) || epoch > lease.epoch) grant(shard, worker, epoch)
    }
    for (const { shard, worker } of want) {
      if (isMine(shard)) grant(shard, worker, this.#leases.get(shard)!.epoch)
      else if (!this.#leases.has(shard) && this.#now >= this.#settlesAt) grant(shard, worker, 0)
    }
    return this.#seen(cluster)
  }

  #isLiving(id: string): boolean {
    const member = this.#members.get(id)
    return member !== undefined && member.heard + member.ttl > this.#now
  }

  #lease(shard: number): Lease | undefined {
    const lease = this.#leases.get(shard)
    return lease !== undefined && lease.until > this.#now && this.#isLiving(lease.member) ? lease : undefined
  }

  #seen(cluster: ClusterMark): Seen {
    const ids = [...this.#members.keys()].filter((id) => this.#isLiving(id)).toSorted()
    const shards = [...this.#leases.keys()].filter((shard) => this.#lease(shard) !== undefined)
    return {
      cluster,
      members: ids.map((id) => this.#members.get(id)!.member),
      leases: shards
        .toSorted((a, b) => a - b)
        .map((shard) => {
          const { member, worker, epoch, until } = this.#lease(shard)!
          const { heard, ttl } = this.#members.get(member)!
          return { shard, member, worker, epoch, remainingMs: Math.min(until, heard + ttl) - this.#now }
        }),
      isSettling: this.#now < this.#settlesAt,
    }
  }
}
