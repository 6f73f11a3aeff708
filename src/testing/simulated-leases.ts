/**
 * The lease store of a simulated cluster: what Redis promises, by the kernel's clock, and what it may do instead. It can
 * forget, hang, be away, be out of one member's reach, answer late, and grant what another has. What holds must hold
 * whatever it does (I1).
 */
import {
  checkBeat,
  clusterNameTaken,
  HEARD_SHARE,
  leasesUnavailable,
  type Beat,
  type ClusterMark,
  type Leases,
  type Member,
  type View,
} from '../cluster/leases.ts'
import type { Kernel } from './kernel.ts'
import { WALL_MS, type SimulatedThread } from './simulated-thread.ts'

interface Registration {
  readonly member: Member
  readonly ttlMs: number
  readonly untilMs: number
}

interface Grant {
  readonly member: string
  readonly worker: number
  readonly epoch: number
  readonly untilMs: number
}

const LATENCY_MS = 1
/** So much of the ttl a beat waits for its answer: there is time for two more before the lease runs out. */
const TIMEOUT_SHARE = 0.3
/** So long the others wait. */
const TIMEOUT_MS = 1000

export class SimulatedLeases {
  readonly #kernel: Kernel
  readonly #members = new Map<string, Registration>()
  readonly #leases = new Map<number, Grant>()
  #cluster: ClusterMark | undefined
  #settlesAtMs = 0
  #hangsUntilMs = 0
  #awayUntilMs = 0
  #answersLateUntilMs = 0
  #lateMs = 0
  readonly #cutOffUntilMs = new Map<string, number>()
  #grantsTwice = 0

  constructor(kernel: Kernel) {
    this.#kernel = kernel
  }

  /** The port, for whoever runs at a place, and on a thread, where it has one; `cutOff` names the place. */
  connect(place: string, thread?: SimulatedThread): Leases {
    let isClosed = false
    const ask = async <Result>(timeoutMs: number, operation: () => Result): Promise<Result> => {
      if (isClosed) throw leasesUnavailable('the connection is closed')
      this.#kernel.note(`leases ${place}`)
      const answer = this.#within(
        timeoutMs,
        this.#travel(place)
          .then(operation)
          .then((result) => this.#answer(result)),
      )
      return thread === undefined ? answer : heardOn(thread, answer)
    }
    return {
      beat: async (beat) => {
        checkBeat(beat)
        return ask(beat.ttlMs * TIMEOUT_SHARE, () => this.#beat(beat))
      },
      look: () => ask(TIMEOUT_MS, () => (this.#cluster === undefined ? undefined : this.#view(this.#cluster))),
      leave: (member) => ask(TIMEOUT_MS, () => this.#leave(member)),
      async close() {
        isClosed = true
      },
    }
  }

  /** Everything is gone, as after a flush or a fail-over to an empty copy. */
  forget(): void {
    this.#cluster = undefined
    this.#settlesAtMs = 0
    this.#members.clear()
    this.#leases.clear()
  }

  /** It takes nothing up for a while; then all that waited, though who sent it may have given up. */
  hang(forMs: number): void {
    this.#hangsUntilMs = this.#kernel.now + forMs
  }

  /** Nobody reaches it for a while. */
  beAway(forMs: number): void {
    this.#awayUntilMs = this.#kernel.now + forMs
  }

  /** For a while its answers are under way for so long: what they say may be over when they are heard. */
  answerLate(forMs: number, lateMs: number): void {
    this.#answersLateUntilMs = this.#kernel.now + forMs
    this.#lateMs = lateMs
  }

  /** Whoever runs at this place does not reach it for a while. */
  cutOff(place: string, forMs: number): void {
    this.#cutOffUntilMs.set(place, this.#kernel.now + forMs)
  }

  /** The next that wants what another has is granted it; or one that does not, in a cluster, where all is served. */
  grantTwice(): void {
    this.#grantsTwice += 1
  }

  /** Resolves when the store takes a request up. */
  async #travel(place: string): Promise<void> {
    const kernel = this.#kernel
    await kernel.sleep(LATENCY_MS)
    if (this.#awayUntilMs > kernel.now) throw leasesUnavailable('it is away')
    if ((this.#cutOffUntilMs.get(place) ?? 0) > kernel.now) throw leasesUnavailable(`it is out of reach of ${place}`)
    if (this.#hangsUntilMs > kernel.now) await kernel.sleep(this.#hangsUntilMs - kernel.now)
  }

  async #answer<Result>(result: Result): Promise<Result> {
    if (this.#answersLateUntilMs > this.#kernel.now) await this.#kernel.sleep(this.#lateMs)
    return result
  }

  /** Who waits gives up after a while; what was asked takes its course. */
  #within<Result>(timeoutMs: number, answer: Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const cancel = this.#kernel.after(timeoutMs, () => reject(leasesUnavailable(`no answer in ${timeoutMs} ms`)))
      answer.then(resolve, reject).finally(cancel)
    })
  }

  #beat(beat: Beat): View {
    const { cluster, member, ttlMs } = beat
    const now = this.#kernel.now
    this.#register(beat)
    this.#prune()
    const untilMs = now + ttlMs
    this.#members.set(member.id, { member, ttlMs, untilMs })
    for (const { shard, to } of beat.release) this.#release(member.id, shard, to)
    for (const { shard, worker, epoch } of beat.hold) {
      const lease = this.#leases.get(shard)
      const isFree = lease === undefined || lease.member === member.id || epoch > lease.epoch
      if (isFree) this.#leases.set(shard, { member: member.id, worker, epoch, untilMs })
    }
    for (const { shard, worker } of beat.want) this.#want(shard, { member: member.id, worker, epoch: 0, untilMs })
    if (this.#grantsTwice > 0 && member.state === 'up')
      this.#grantServed({ member: member.id, worker: 0, epoch: 0, untilMs })
    return this.#view(cluster)
  }

  /** Knows whose data this is about from here on, and whether the store can be sure of who has what. */
  #register({ cluster, member, ttlMs, hold, isNew }: Beat): void {
    const now = this.#kernel.now
    const known = this.#cluster
    if (known !== undefined && (known.clusterId !== cluster.clusterId || known.shards !== cluster.shards)) {
      if (this.#members.size > 0) throw clusterNameTaken('simulated', { known, told: cluster }, 'Forget the other.')
      this.forget()
    }
    const others = [...this.#members.keys()].some((id) => id !== member.id)
    const isHeard = [...this.#members.values()].some((each) => each.untilMs - now >= each.ttlMs * HEARD_SHARE)
    if (this.#cluster === undefined) this.#settlesAtMs = isNew ? 0 : now + ttlMs
    else if (!isHeard && (others || hold.length > 0)) this.#settlesAtMs = now + ttlMs
    this.#cluster = cluster
  }

  #release(member: string, shard: number, to: Beat['release'][number]['to']): void {
    const lease = this.#leases.get(shard)
    if (lease !== undefined && lease.member !== member) return
    const target = to === undefined ? undefined : this.#members.get(to.member)
    if (to === undefined || target === undefined) this.#leases.delete(shard)
    else this.#leases.set(shard, { ...to, epoch: 0, untilMs: this.#kernel.now + target.ttlMs })
  }

  #want(shard: number, grant: Grant): void {
    const lease = this.#leases.get(shard)
    if (lease?.member === grant.member) {
      this.#leases.set(shard, { ...grant, epoch: lease.epoch })
    } else if (lease === undefined) {
      if (!this.#isSettling) this.#leases.set(shard, grant)
    } else if (this.#grantsTwice > 0) {
      this.#grantsTwice -= 1
      this.#leases.set(shard, grant)
    }
  }

  /** The first shard that another serves. */
  #grantServed(grant: Grant): void {
    const served = [...this.#leases].find(([, { member, epoch }]) => member !== grant.member && epoch > 0)
    if (served === undefined) return
    this.#grantsTwice -= 1
    this.#leases.set(served[0], grant)
  }

  #leave(member: string): void {
    this.#members.delete(member)
    for (const [shard, lease] of this.#leases) if (lease.member === member) this.#leases.delete(shard)
  }

  #prune(): void {
    const now = this.#kernel.now
    for (const [id, { untilMs }] of this.#members) if (untilMs <= now) this.#members.delete(id)
    for (const [shard, { member, untilMs }] of this.#leases) {
      if (untilMs <= now || !this.#members.has(member)) this.#leases.delete(shard)
    }
  }

  get #isSettling(): boolean {
    return this.#kernel.now < this.#settlesAtMs
  }

  #view(cluster: ClusterMark): View {
    const now = this.#kernel.now
    const members = [...this.#members.values()].filter(({ untilMs }) => untilMs > now)
    const until = new Map(members.map(({ member, untilMs }) => [member.id, untilMs]))
    const leases = [...this.#leases].map(([shard, { member, worker, epoch, untilMs }]) => {
      const remainingMs = Math.min(untilMs, until.get(member) ?? 0) - now
      return { shard, member, worker, epoch, remainingMs }
    })
    return {
      cluster,
      time: Math.floor(WALL_MS + now),
      members: members.map(({ member }) => member).sort((a, b) => (a.id < b.id ? -1 : 1)),
      leases: leases.filter(({ remainingMs }) => remainingMs > 0).sort((a, b) => a.shard - b.shard),
      isSettling: this.#isSettling,
    }
  }
}

/** An answer that a stopped thread hears when it is woken, and a dead one never. */
function heardOn<Result>(thread: SimulatedThread, answer: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    answer.then(
      (result) => thread.run(() => resolve(result)),
      (error: unknown) => thread.run(() => reject(error)),
    )
  })
}
