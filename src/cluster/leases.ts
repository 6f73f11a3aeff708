/**
 * The port to the store of members and leases. It only says who may *try* to own a shard, so that owners do not fight;
 * who owns it is decided by the log's claims alone (I1). So whatever the store does, forget, lie, be away, costs at most
 * availability. Redis implements it (src/platform/redis-leases.ts), and the simulator a twin with faults.
 *
 * A node beats about every third of the ttl, and soon after shards have moved. All times are the store's: it counts what
 * is left of a lease by its own clock. Who relies on a lease counts its time on the own monotonic clock, from *before*
 * the beat was sent that renewed it: then it ends here before it can have ended there, however long the answer took.
 */
import { assert } from '../aggregate/assert.ts'
import { PenholdError } from '../aggregate/error.ts'
import { isCount } from '../log/count.ts'

export const MEMBER_STATES = ['joining', 'up', 'draining'] as const

/** A node that takes part. */
export interface Member {
  /** Of this life of its process; a restarted one is another member. */
  readonly id: string
  /** For humans. */
  readonly name: string
  /** `host:port` where its peers reach it. */
  readonly address: string
  readonly workers: number
  /** Workers that the ring does not count on: they have not served for a while. Left out where there are none. */
  readonly away?: readonly number[]
  /** Shards that it could not take over, which others have who can. Left out where there are none. */
  readonly unable?: readonly number[]
  /** Its share of the shards is in proportion to it. */
  readonly weight: number
  /** The version of the protocol between nodes that it speaks. */
  readonly protocol: number
  /** One that joins, or has no worker that serves, wants no shards yet; one that drains, no more. */
  readonly state: (typeof MEMBER_STATES)[number]
}

/** The word of the store on who may own a shard. */
export interface Lease {
  readonly shard: number
  readonly member: string
  readonly worker: number
  /** The last that this owner told; 0 where it has not claimed the shard yet. */
  readonly epoch: number
  /** What is left of it by the store's clock when the view was made, unless it is renewed. */
  readonly remainingMs: number
}

/** Whose data the members work on. */
export interface ClusterMark {
  readonly clusterId: string
  readonly shards: number
}

/** What a node tells. A shard is named at most once in `hold`, `want` and `release` together. */
export interface Beat {
  readonly cluster: ClusterMark
  readonly member: Member
  /** So long membership and leases last without another beat. */
  readonly ttlMs: number
  /**
   * Shards that the log says are the member's: their leases are renewed, or granted again where the store knows of
   * none. One that another living member has stays the other's, unless the epoch told here is greater than that lease's.
   */
  readonly hold: readonly { readonly shard: number; readonly worker: number; readonly epoch: number }[]
  /**
   * Shards that it would claim: granted where nobody has them and the store is not settling; renewed where it has them
   * already. Whether it was granted one, the view says.
   */
  readonly want: readonly { readonly shard: number; readonly worker: number }[]
  /**
   * Shards that it gives up: the lease ends, or goes at once to a worker of another member (`to`), with a ttl of that
   * member's from now to take it up; where that member is gone, it ends.
   */
  readonly release: readonly {
    readonly shard: number
    readonly to?: { readonly member: string; readonly worker: number }
  }[]
  /**
   * That nobody has ever claimed a shard in this data, by a look at the log just before this beat; false where in doubt.
   * A store that knows nothing then grants at once: there is nobody to take anything from.
   */
  readonly isNew: boolean
}

/** All that the store knows: those whose time has not run out, and nobody else. */
export interface View {
  readonly cluster: ClusterMark
  /** When it was seen, in milliseconds since 1970, by the store's clock. */
  readonly time: number
  /** By id. */
  readonly members: readonly Member[]
  /** By shard. */
  readonly leases: readonly Lease[]
  /**
   * The store found itself empty, or has heard nobody for a while: it may be the store that was away, or is a copy of long
   * ago. For one ttl it grants no `want`, so that owners can tell again what they hold before others are given it. Who is
   * alone and holds nothing, or was the last to leave, has nobody to wait for.
   */
  readonly isSettling: boolean
}

export interface Leases {
  /**
   * Registers the member for another ttl, and takes what it releases, holds and wants, in this order, as one atomic step.
   * A lease of its own that it does not mention runs out when it would have without this beat. Beats of one member are
   * sent one after the other, all through one of these; one that is overtaken by a later one has no effect.
   * @returns what holds now
   * @throws PenholdError `LeasesUnavailable`: the store did not answer in time; whether it took the beat is unknown, and
   * the next one tells. `ClusterNameTaken`: the store knows other data by this cluster's name.
   */
  beat(beat: Beat): Promise<View>

  /** For those who are no members. Changes nothing. Undefined where no cluster is registered. */
  look(): Promise<View | undefined>

  /**
   * Ends the membership, and all leases of the member. After its last beat has come to its end. That the store is not
   * empty stays known, so that whoever starts next need not wait.
   */
  leave(member: string): Promise<void>

  /** Gives the connection up; what is under way fails with `LeasesUnavailable`. */
  close(): Promise<void>
}

/** A member with less of its ttl left was not heard for two beats; a store that heard nobody may have been away. */
export const HEARD_SHARE: number = 1 / 3

/** What a beat must keep for any store to understand it; a caller that breaks it is a bug. */
export function checkBeat({ cluster, member, ttlMs, hold, want, release }: Beat): void {
  assert(isCount(ttlMs) && ttlMs > 0, 'a lease lasts a whole number of milliseconds')
  assert(isCount(cluster.shards) && cluster.clusterId !== '', 'a beat says whose data it is about')
  assert(isMemberId(member.id), 'a member has an id of letters, digits and hyphens')
  const named = new Set<number>()
  for (const { shard } of [...hold, ...want, ...release]) {
    assert(isCount(shard) && shard < cluster.shards, 'a shard is a number below the number of shards')
    assert(!named.has(shard), 'a beat names a shard once')
    named.add(shard)
  }
  assert(
    hold.every(({ worker, epoch }) => isCount(worker) && isCount(epoch)) && want.every(({ worker }) => isCount(worker)),
    'workers and epochs are whole numbers',
  )
  assert(
    release.every(({ to }) => to === undefined || (isMemberId(to.member) && isCount(to.worker))),
    'a shard is handed to a worker of a member',
  )
}

/** @param address where the store is, without what is secret */
export function leasesUnavailable(reason: string, address?: string): PenholdError {
  const redis = `Redis${address === undefined ? '' : ` at ${address}`}`
  const why = reason.replace(/\.+$/, '')
  const [problem, until] = /^(NOAUTH|WRONGPASS|NOPERM) /.test(reason)
    ? [
        `${redis} does not let this process in: ${why}. Give \`redis\` (PENHOLD_REDIS) a user that it knows, redis://user:password@host:port, with the rights of docs/redis.md.`,
        'it does',
      ]
    : [
        `${redis} does not answer: ${why}. See that it runs, and that \`redis\` (PENHOLD_REDIS) is its address.`,
        'it is back',
      ]
  return new PenholdError('LeasesUnavailable', `${problem} Owners that serve go on; nothing moves until ${until}.`, {
    outcome: 'unknown',
    retryable: true,
    details: { reason },
  })
}

/** @param remedy what to do where the other data is gone for good */
export function clusterNameTaken(
  name: string,
  marks: Readonly<Record<'known' | 'told', ClusterMark>>,
  remedy: string,
): PenholdError {
  const { known, told } = marks
  return new PenholdError(
    'ClusterNameTaken',
    `cluster '${name}' is registered for the data ${known.clusterId} with ${known.shards} shards, and this node works on ${told.clusterId} with ${told.shards}. Give one of them another name, or this node the other's data directory. ${remedy}`,
    { outcome: 'none', retryable: false, details: { name, ...marks } },
  )
}

export function isMemberId(id: string): boolean {
  return /^[A-Za-z0-9-]{1,64}$/.test(id)
}
