/**
 * The side of a node that it turns to the other nodes: who they are, what they serve, what they ask, and what moves
 * between them and this one.
 */
import { definitionError } from '../aggregate/error.ts'
import { Directory } from '../cluster/directory.ts'
import type { NodeMeasure, TailQuestion } from '../cluster/control.ts'
import type { ProjectionCall } from '../cluster/projection-call.ts'
import type { OwnershipCondition } from '../cluster/ownership-ports.ts'
import { Ownership } from '../cluster/ownership.ts'
import { ownerName, parseOwner } from '../cluster/owner-name.ts'
import { Peers } from '../cluster/peers.ts'
import type { Leases, Member, View } from '../cluster/leases.ts'
import { MissingMembers } from '../cluster/missing-members.ts'
import { addressUnreachable } from '../cluster/error.ts'
import { ConnectionError, parseAddress, type Greeting, type Listener, type Network } from '../cluster/network.ts'
import type { OpenReading } from '../cluster/reading-end.ts'
import { Reception } from '../cluster/reception.ts'
import type { Router } from '../cluster/router.ts'
import { StoreClock } from '../cluster/store-clock.ts'
import { PROTOCOL_VERSION } from '../cluster/wire.ts'
import type { Clock } from '../log/clock.ts'
import type { ClusterIdentity } from '../log/cluster-identity.ts'
import { hash64 } from '../log/stream.ts'
import type { Tail, TailSource } from '../log/tail.ts'
import { patiently } from './patiently.ts'
import type { WorkerHandle } from './worker-handle.ts'

const CONNECT_MS = 3_000
/** Another node may have a worker here wait for news for so long. */
const TAIL_MS_MAX = 5_000
/** Hosts that stand for all addresses of a machine. */
const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0', '::'])
/** What does not go in this time goes later, one shard at a time. */
const DRAIN_MS = 60_000

/** What a node needs to be one of several. */
export interface ClusterPorts {
  readonly leases: Leases
  readonly network: Network
  /** `host:port` to listen at, and what peers are told where that differs. */
  readonly listen: string
  readonly advertise: string | undefined
  /** A UUID of this life of the process, and a name for humans. */
  readonly id: string
  readonly name: string
  readonly weight: number
  readonly leaseMs: number
  /** Nobody has ever claimed a shard in the data. */
  readonly isNew: boolean
  /** Whether a node that runs works in this very data directory, and not in a copy. */
  readonly shares: (member: string) => boolean
}

export interface ClusterSideOptions {
  readonly ports: ClusterPorts
  readonly identity: ClusterIdentity
  readonly workers: number
  readonly clock: Clock
  readonly router: Router
  readonly onWarning: (message: string) => void
  /** How far the workers are, measured now. */
  readonly measure: () => Promise<NodeMeasure>
  /** What a call of a projection comes to. */
  readonly callProjection: (call: ProjectionCall) => Promise<unknown>
  /** Reads for a client. */
  readonly openReading: OpenReading
}

export class ClusterSide {
  readonly #options: ClusterSideOptions
  readonly #directory: Directory
  readonly #missing: MissingMembers
  readonly #storeClock: StoreClock
  readonly #peers: Peers
  readonly #reception: Reception
  readonly #handles = new Map<number, WorkerHandle>()
  #listener: Listener | undefined
  #ownership: Ownership | undefined
  /** It was told to take no shards. */
  #isDraining = false

  constructor(options: ClusterSideOptions) {
    const { ports, router, clock, onWarning, identity } = options
    this.#missing = new MissingMembers(ports.leaseMs, onWarning)
    this.#storeClock = new StoreClock(clock, onWarning)
    this.#options = options
    this.#directory = new Directory(identity.shards, (shard, owner, epoch) => router.assign(shard, owner, epoch))
    this.#peers = new Peers({
      network: ports.network,
      clock,
      greeting: (purpose) => this.#greeting(purpose),
      onHere: (owner, link, protocol) => router.attach(owner, link, protocol),
      onGone: (owner) => router.detach(owner),
      onServing: (member, shards) => {
        for (const { shard, worker, epoch } of shards) this.#directory.learn(shard, ownerName(member, worker), epoch)
        this.#ownership?.arrived(shards.map(({ shard }) => shard))
      },
      onDropped: (member) => this.#directory.forget(member),
      onWarning,
    })
    this.#reception = new Reception({
      serving: () => this.#ownership?.served ?? [],
      shares: ports.shares,
      onHanded: (shards) => this.#ownership?.handed(shards),
      onDrain: () => {
        if (!this.#isDraining) {
          onWarning('told to hand over all shards: this node takes none again until it is started anew')
        }
        void this.drain(DRAIN_MS)
      },
      measure: () => this.#options.measure(),
      tail: (question) => this.#tail(question),
      callProjection: (call) => this.#options.callProjection(call),
      clock,
      openReading: (kind, request, signal) => this.#options.openReading(kind, request, signal),
      onWarning,
    })
  }

  /** What the others are told of this node. */
  get member(): Member {
    const { id } = this.#options.ports
    return this.view?.members.find((member) => member.id === id) ?? this.#member()
  }

  get view(): View | undefined {
    return this.#ownership?.view
  }

  /** Undefined before it joins. */
  get condition(): OwnershipCondition | undefined {
    return this.#ownership?.condition
  }

  /** Milliseconds since 1970 by the lease store's clock, also while it is away; undefined until it was heard. */
  get storeTime(): number | undefined {
    return this.#storeClock.time
  }

  /** What a worker of this node is called among the routes. */
  ownerOf(worker: number): string {
    return ownerName(this.#options.ports.id, worker)
  }

  /** Whose worker an owner is, in words. */
  nodeOf(owner: string): string {
    const { member } = parseOwner(owner)
    return member === this.#options.ports.id ? 'this node' : this.#peers.describe(member)
  }

  /** Can be called by others from here on. @throws ConnectionError, or PenholdError `BadDefinition` */
  async listen(): Promise<void> {
    const { network, listen } = this.#options.ports
    const greeting = (): Greeting => this.#greeting('messages')
    this.#listener = await network.listen(listen, greeting, (connection) => this.#reception.accept(connection))
  }

  /**
   * Joins the others. Resolves when what was granted at first is served.
   * @throws PenholdError `LeasesUnavailable`, `ClusterNameTaken`, `BadDefinition`; `AddressUnreachable` and `NodeRefused`, so that nobody
   * owns shards whom the others cannot ask
   */
  async join(): Promise<void> {
    const { ports, identity, clock, onWarning } = this.#options
    const { clusterId, shards } = identity
    this.#ownership = new Ownership({
      clock,
      leases: ports.leases,
      cluster: { clusterId, shards },
      member: this.#member(),
      ttlMs: ports.leaseMs,
      isNew: ports.isNew,
      events: {
        onServing: (served) => {
          for (const { shard, worker, epoch } of served) this.#directory.learn(shard, this.ownerOf(worker), epoch)
          this.#reception.announce(served)
        },
        onView: (view) => {
          this.#missing.see(view)
          this.#see(view)
        },
        reaches: (member) => this.#peers.reaches(member),
        onHandedTo: (member, handed) => this.#peers.tell(member, { kind: 'handed', shards: handed }),
        onWarning,
      },
    })
    for (const [worker, handle] of this.#handles) this.#ownership.setWorker(worker, handle)
    await this.#reachSelf()
    // Before the others hear of it, so that nobody counts on it.
    if (this.#isDraining) await this.#ownership.drain(0)
    const ownership = this.#ownership
    await patiently(clock, () => ownership.register())
    await this.#peers.meet()
    await patiently(clock, () => ownership.start())
  }

  async #reachSelf(): Promise<void> {
    const { id, network } = this.#options.ports
    const { address } = this.#member()
    if (EVERYWHERE.has(parseAddress(address).host)) {
      throw definitionError(
        `the other nodes cannot reach this one at '${address}', which only says that it listens everywhere. Set network.advertise to its own host and port.`,
      )
    }
    try {
      const connection = await network.connect(address, this.#greeting('control'), { timeoutMs: CONNECT_MS })
      connection.close()
      if (connection.peer.member !== id) throw new ConnectionError('stranger', 'another node answers there')
    } catch (error) {
      throw error instanceof ConnectionError ? addressUnreachable(address, error) : error
    }
  }

  /** A worker serves, with nothing of its own yet; or, undefined, it has ended. */
  setWorker(worker: number, handle: WorkerHandle | undefined): void {
    if (handle === undefined) this.#handles.delete(worker)
    else this.#handles.set(worker, handle)
    this.#reception.set(worker, handle)
    this.#ownership?.setWorker(worker, handle)
  }

  /** The workers of the other nodes, as readers ask them. */
  get tails(): readonly TailSource[] {
    return this.#peers.tails
  }

  async #tail({ worker, above, known, ms }: TailQuestion): Promise<Tail | undefined> {
    const handle = this.#handles.get(worker)
    return above > 0 ? handle?.tailAbove(above) : handle?.nextTail(known, Math.min(ms, TAIL_MS_MAX))
  }

  /** The shards that workers of this node serve, each with its epoch. */
  get served(): ReadonlyMap<number, number> {
    return new Map(this.#ownership?.served.map(({ shard, epoch }) => [shard, epoch]))
  }

  /** A worker, of this node or of another, has said what no worker says. */
  distrust(owner: string, error: unknown): void {
    this.#peers.distrust(owner, error)
  }

  /** Shards of a worker have a newer owner. */
  lost(worker: number, shards: readonly number[]): void {
    this.#ownership?.lost(worker, shards)
  }

  /** Takes no more shards and hands over those it has, where there is somebody to take them; before it joins, it will take none. */
  async drain(ms: number): Promise<void> {
    this.#isDraining = true
    await this.#ownership?.drain(ms)
  }

  /** After the workers have ended. */
  async close(): Promise<void> {
    await this.#ownership?.close()
    if (this.#ownership === undefined) await this.#options.ports.leases.close()
    this.#reception.close()
    this.#peers.close()
    await this.#listener?.close()
  }

  #member(): Member {
    const { id, name, weight, advertise, listen } = this.#options.ports
    const address = advertise ?? this.#listener?.address ?? listen
    return { id, name, address, workers: this.#options.workers, weight, protocol: PROTOCOL_VERSION, state: 'up' }
  }

  #see({ time, members, leases, isSettling }: View): void {
    this.#storeClock.hear(time)
    const others = members.filter(({ id }) => id !== this.#options.ports.id)
    // A store that settles has forgotten members that have not beaten since, and serve as before.
    this.#peers.update(others, { areAll: !isSettling })
    for (const { shard, member, worker, epoch } of leases) {
      const owner = ownerName(member, worker)
      // What this node serves itself it knows better.
      const isTold = member !== this.#options.ports.id && epoch > 0
      if (isTold) this.#directory.learn(shard, owner, epoch)
      else this.#options.router.suggest(shard, owner)
    }
  }

  #greeting(purpose: Greeting['purpose']): Greeting {
    const { ports, identity } = this.#options
    const cluster = hashOf(identity.clusterId)
    return { cluster, protocol: PROTOCOL_VERSION, role: 'node', purpose, member: ports.id }
  }
}

/** 16 bytes that stand for a cluster's id. */
export function hashOf(clusterId: string): Uint8Array {
  const [a, b] = [hash64(clusterId, 1), hash64(clusterId, 2)]
  return new Uint8Array(Uint32Array.of(a.high, a.low, b.high, b.low).buffer)
}
