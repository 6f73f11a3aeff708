/**
 * Members and leases in Redis (7.0 or newer, or Valkey): one server, Sentinels or a Redis Cluster. docs/redis.md says
 * what becomes of it when Redis is away, flushed, or fails over; redis-scripts.ts has the keys and what is done to them.
 */
import { randomUUID } from 'node:crypto'
import { assert } from '../aggregate/assert.ts'
import {
  checkBeat,
  clusterNameTaken,
  leasesUnavailable,
  type Beat,
  type ClusterMark,
  type Lease,
  type Leases,
  type Member,
  type View,
} from '../cluster/leases.ts'
import { parseMember, WORKERS_MAX } from '../cluster/member-record.ts'
import { isCount } from '../log/count.ts'
import { RedisCalls } from './redis-calls.ts'
import { BEAT_SCRIPT, LEAVE_SCRIPT, LOOK_SCRIPT } from './redis-scripts.ts'
import type { RedisSettings } from './redis-settings.ts'

export interface RedisLeasesOptions {
  /** The cluster's name, which is in the names of its keys. */
  readonly name: string
  readonly redis: RedisSettings
  /** So long an answer may take; below a third of the ttl, so that a beat that failed can be told again in time. */
  readonly timeoutMs: number
  /** Something an operator should know and nobody else is told. */
  readonly onWarning?: (message: string) => void
}

/**
 * Connects, and stays connected for as long as it takes; until it is, whatever is asked fails with `LeasesUnavailable`.
 * @throws PenholdError `BadDefinition` where the settings cannot work
 */
export function openRedisLeases(options: RedisLeasesOptions): Leases {
  return new RedisLeases(options)
}

type ScriptName = 'penholdBeat' | 'penholdLook' | 'penholdLeave'
type Scripts = Record<ScriptName, (...args: readonly (string | number)[]) => Promise<unknown>>
type Reply = readonly [kind: string, ...rest: (string | number)[]]

class RedisLeases implements Leases {
  readonly #name: string
  readonly #timeoutMs: number
  readonly #onWarning: (message: string) => void
  readonly #keys: readonly string[]
  readonly #calls: RedisCalls
  readonly #sender = randomUUID()
  #beats = 0
  #isWarned = false

  constructor({ name, redis, timeoutMs, onWarning = () => undefined }: RedisLeasesOptions) {
    this.#name = name
    this.#timeoutMs = timeoutMs
    this.#onWarning = onWarning
    this.#keys = ['cluster', 'members', 'leases'].map((key) => `{penhold:${name}}:${key}`)
    this.#calls = new RedisCalls(redis, timeoutMs)
    const scripts = { penholdBeat: BEAT_SCRIPT, penholdLook: LOOK_SCRIPT, penholdLeave: LEAVE_SCRIPT }
    for (const [script, lua] of Object.entries(scripts)) this.#calls.define(script, { lua, numberOfKeys: 3 })
  }

  async beat(beat: Beat): Promise<View> {
    checkBeat(beat)
    assert(this.#timeoutMs * 3 < beat.ttlMs, 'an answer takes less than a third of the ttl')
    const { cluster, member, ttlMs, isNew } = beat
    this.#beats += 1
    const about = [member.id, ttlMs, this.#sender, this.#beats, cluster.clusterId, cluster.shards, isNew ? 1 : 0]
    const reply = await this.#run('penholdBeat', [...about, JSON.stringify(member), ...shardsOf(beat)])
    if (reply[0] === 'other') throw this.#nameTaken(reply, cluster)
    return this.#viewOf(reply)
  }

  async look(): Promise<View | undefined> {
    const reply = await this.#run('penholdLook', [])
    return reply[0] === 'none' ? undefined : this.#viewOf(reply)
  }

  async leave(member: string): Promise<void> {
    await this.#run('penholdLeave', [member])
  }

  async close(): Promise<void> {
    this.#calls.close()
  }

  async #run(script: ScriptName, args: readonly (string | number)[]): Promise<Reply> {
    try {
      const reply = await this.#calls.run((client) => (client as unknown as Scripts)[script](...this.#keys, ...args))
      return reply as Reply
    } catch (error) {
      throw this.#unavailable(this.#calls.reasonOf(error))
    }
  }

  #unavailable(reason: string): Error {
    return leasesUnavailable(reason, this.#calls.address)
  }

  #nameTaken([, clusterId, shards]: Reply, told: ClusterMark): Error {
    const known = { clusterId: String(clusterId), shards: Number(shards) }
    const remedy = `Where the other data is gone for good, and all its nodes are stopped, make its name free: redis-cli DEL ${this.#keys.map((key) => `'${key}'`).join(' ')}`
    return clusterNameTaken(this.#name, { known, told }, remedy)
  }

  #viewOf(reply: Reply): View {
    const [kind, clusterId, shards, isSettling, now, ...rest] = reply
    if (kind !== 'view') throw this.#unavailable('a beat was overtaken by a later one')
    const cluster = { clusterId: String(clusterId), shards: Number(shards) }
    if (!isCount(cluster.shards)) throw this.#unavailable(`${this.#keys[0]} does not say how many shards there are`)
    const members = new Map<string, Member>()
    const leases = new Map<number, Lease>()
    for (let i = 0; i < rest.length; i += 3) {
      const member = parseMember(String(rest[i]))
      if (member === undefined || members.has(member.id)) {
        this.#warn(`a record in ${this.#keys[1]} is no member, and is left out`)
        continue
      }
      members.set(member.id, member)
      const times = { now: Number(now), memberEnds: Number(rest[i + 1]) }
      for (const lease of leasesOf(member.id, String(rest[i + 2]), times)) {
        if (isLease(lease, cluster)) leases.set(lease.shard, lease)
        else this.#warn(`a lease of ${member.id} in ${this.#keys[2]} is none, and is left out`)
      }
    }
    return {
      cluster,
      time: Number(now),
      members: [...members.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
      leases: [...leases.values()].filter(({ remainingMs }) => remainingMs > 0).sort((a, b) => a.shard - b.shard),
      isSettling: isSettling === 1,
    }
  }

  /** Once: it stands there at the next beat as well. */
  #warn(message: string): void {
    if (!this.#isWarned) this.#onWarning(message)
    this.#isWarned = true
  }
}

function isLease({ shard, worker, epoch, remainingMs }: Lease, { shards }: ClusterMark): boolean {
  return (
    isCount(shard) &&
    shard < shards &&
    isCount(worker) &&
    worker < WORKERS_MAX &&
    isCount(epoch) &&
    Number.isFinite(remainingMs)
  )
}

function shardsOf({ hold, want, release }: Beat): readonly string[] {
  return [
    // As the store writes them down.
    hold.toSorted((a, b) => a.shard - b.shard).map(({ shard, worker, epoch }) => `${shard}:${worker}:${epoch}:0`),
    want.map(({ shard, worker }) => `${shard}:${worker}`),
    release.map(({ shard, to }) => `${shard}:${to?.worker ?? ''}:${to?.member ?? ''}`),
  ].map((list) => list.join(','))
}

/** A lease lasts no longer than its member, and may end sooner. */
function leasesOf(member: string, text: string, times: { now: number; memberEnds: number }): readonly Lease[] {
  if (text === '') return []
  const { now, memberEnds } = times
  return text.split(',').map((lease) => {
    const [shard, worker, epoch, ends] = lease.split(':').map(Number)
    const remainingMs = (ends === 0 ? memberEnds : Math.min(memberEnds, ends!)) - now
    return { shard: shard!, member, worker: worker!, epoch: epoch!, remainingMs }
  })
}
