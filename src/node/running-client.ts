/**
 * A client: refs that lead to the nodes of a cluster from a process that is none of them. It looks who they are and what
 * they own, and hears from them what moves; commands wait with it, in order and with their ids, while nobody serves
 * their shard. What it runs on is a port.
 */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { reasonOf, type PenholdError } from '../aggregate/error.ts'
import { shardUnavailable } from '../actor/error.ts'
import { Directory } from '../cluster/directory.ts'
import { nodeClosed } from '../cluster/error.ts'
import type { ClusterMark, Leases, View } from '../cluster/leases.ts'
import type { Network } from '../cluster/network.ts'
import { ownerName, parseOwner } from '../cluster/owner-name.ts'
import { Peers } from '../cluster/peers.ts'
import { ReadingLines } from '../cluster/reading-lines.ts'
import { createRef, type Address, type Ref, type RefHost } from '../cluster/ref.ts'
import { Router, type Outcome, type RequestOptions } from '../cluster/router.ts'
import { PROTOCOL_VERSION, type Unsent } from '../cluster/wire.ts'
import type { Cancel, Clock } from '../log/clock.ts'
import { IdSource } from '../log/identity.ts'
import type { Random } from '../log/random.ts'
import { StreamPlacement } from '../log/stream.ts'
import type { TailSource } from '../log/tail.ts'
import { RunningClientStore } from './client-store.ts'
import { hashOf } from './cluster-side.ts'
import { checkAddressed, type ClusterConfig } from './config.ts'
import type { ReadingStore } from './reading-store.ts'

/** A connection to a cluster. Close it, or let `await using` do so: what was asked is answered first. */
export interface Client extends AsyncDisposable {
  /**
   * The address of an aggregate, typed by its definition. What is asked while no node is there at all fails with
   * `ShardUnavailable`; while some are, it waits for the one that serves the aggregate.
   * @throws PenholdError `BadAddress` where the id cannot be one, `BadDefinition` where the config lacks the aggregate
   */
  ref<A extends Aggregate>(aggregate: A, id: string): Ref<A>
  /** Streams by name, without an aggregate's definition, and everything in one order, read from the nodes. */
  readonly store: ReadingStore
  /** Takes no more requests, waits for the replies to those under way, and ends. */
  close(): Promise<void>
}

/** What a client is made on. */
export interface ClientPorts {
  readonly clock: Clock
  readonly random: Random
  readonly leases: Leases
  readonly network: Network
  /** A UUID of this life of the client. */
  readonly id: string
  /** `node`: it works in the nodes' data directory, and holds its share of that by its id. Default `client`. */
  readonly role?: 'client' | 'node'
}

const LOOK_MS = 1_000
/** After somebody was asked in vain. */
const LOOK_SOON_MS = 100

export class RunningClient implements Client, RefHost {
  readonly ids: IdSource
  readonly commandBytesMax: number
  readonly #store: RunningClientStore
  readonly #config: ClusterConfig
  readonly #ports: ClientPorts
  readonly #mark: ClusterMark
  readonly #placement: StreamPlacement
  readonly #router: Router
  readonly #directory: Directory
  readonly #peers: Peers
  /** Workers that can be asked. */
  readonly #here = new Set<string>()
  /** Since when every look has found no member; on the monotonic clock. */
  #nobodySince: number | undefined
  #isLooking = false
  #isLookingSoon = false
  #isAway = false
  #isStrange = false
  #isClosed = false
  #stopTimer: Cancel = () => undefined
  #closing: Promise<void> | undefined

  /** `view` is what the lease store knows now. */
  constructor(config: ClusterConfig, view: View, ports: ClientPorts) {
    const { clock, random, network } = ports
    const { limits, timeouts, onWarning } = config
    this.#config = config
    this.#ports = ports
    this.#mark = view.cluster
    const { clusterId, shards } = view.cluster
    this.ids = new IdSource(clock, random)
    this.commandBytesMax = limits.commandBytesMax
    this.#placement = new StreamPlacement(clusterId, shards)
    this.#router = new Router({
      clock,
      shards,
      underWayMax: limits.underWayMax,
      timeoutMs: timeouts.askMs,
      onBadFrame: (owner, error) => this.#peers.distrust(owner, error),
      onElsewhere: () => this.#lookSoon(),
      nodeOf: (owner) => this.#peers.describe(parseOwner(owner).member),
    })
    this.#directory = new Directory(shards, (shard, owner, epoch) => this.#router.assign(shard, owner, epoch))
    const greeting = {
      cluster: hashOf(clusterId),
      protocol: PROTOCOL_VERSION,
      role: ports.role ?? 'client',
      member: ports.id,
    } as const
    this.#peers = new Peers({
      network,
      clock,
      greeting: (purpose) => ({ ...greeting, purpose }),
      onHere: (owner, link, protocol) => {
        this.#here.add(owner)
        this.#router.attach(owner, link, protocol)
      },
      onGone: (owner) => {
        this.#here.delete(owner)
        this.#router.detach(owner)
        this.#lookSoon()
      },
      onServing: (member, served) => {
        for (const { shard, worker, epoch } of served) this.#directory.learn(shard, ownerName(member, worker), epoch)
      },
      onDropped: (member) => this.#directory.forget(member),
      onWarning,
    })
    const lines = new ReadingLines({
      network,
      clock,
      greeting: { ...greeting, purpose: 'reading' },
      nodes: () => this.#peers.reached,
      onWarning,
      // Clients begin at different nodes.
      turn: Number.parseInt(ports.id.slice(-2), 16),
    })
    const { aggregates } = config
    this.#store = new RunningClientStore(this, { aggregates, lines, clock, patienceMs: timeouts.askMs })
    this.#see(view)
    this.#lookIn(LOOK_MS)
  }

  /** The workers of all nodes, as readers of their log ask them. Only nodes are answered. */
  get tails(): readonly TailSource[] {
    return this.#peers.tails
  }

  get store(): ReadingStore {
    return this.#store as unknown as ReadingStore
  }

  /** Resolves as soon as one node has let this client in, or when none answers. @throws PenholdError `NodeRefused` */
  meet(): Promise<void> {
    return this.#peers.meet()
  }

  ref<A extends Aggregate>(aggregate: A, id: string): Ref<A> {
    checkAddressed(this.#config, aggregate, 'client')
    return createRef(this, aggregate, id)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  shardOf(stream: string): number {
    return this.#placement.shardOf(stream)
  }

  send({ shard }: Address, message: Unsent, outcome: Outcome, options: RequestOptions): void {
    if (this.#closing !== undefined) outcome.reject(nodeClosed('none'))
    else if (this.#isNobodyThere()) outcome.reject(shardUnavailable(shard, NOBODY))
    else this.#router.send(shard, message, outcome, options)
  }

  observe(position: number): void {
    this.#router.observe(position)
  }

  onTellFailed(error: PenholdError, stream: string, name: string): void {
    this.#config.onTellFailed(error, { stream, name })
  }

  async #close(): Promise<void> {
    await this.#router.drain(this.#config.timeouts.stopMs)
    await this.#store.close()
    this.#isClosed = true
    this.#stopTimer()
    this.#router.close()
    this.#peers.close()
    await this.#ports.leases.close()
  }

  #lookIn(ms: number): void {
    if (this.#isClosed) return
    this.#stopTimer()
    this.#stopTimer = this.#ports.clock.after(ms, () => void this.#look())
  }

  #lookSoon(): void {
    if (this.#isLookingSoon) return
    this.#isLookingSoon = true
    if (!this.#isLooking) this.#lookIn(LOOK_SOON_MS)
  }

  async #look(): Promise<void> {
    const { onWarning } = this.#config
    this.#isLooking = true
    this.#isLookingSoon = false
    try {
      const view = await this.#ports.leases.look()
      if (this.#isClosed) return
      this.#see(view)
      this.#isAway = false
    } catch (error) {
      // The nodes go on with what they have, and so do those that ask them.
      if (!this.#isAway && !this.#isClosed) onWarning(reasonOf(error))
      this.#isAway = true
    }
    this.#isLooking = false
    this.#lookIn(this.#isLookingSoon ? LOOK_SOON_MS : LOOK_MS)
  }

  #see(view: View | undefined): void {
    const members = view === undefined || this.#isOfOthers(view) ? [] : view.members
    if (view === undefined || members.length === 0) return this.#seeNobody()
    this.#nobodySince = undefined
    // A store that settles has forgotten members that have not beaten since, and serve as before.
    this.#peers.update(members, { areAll: !view.isSettling })
    for (const { shard, member, worker, epoch } of view.leases) {
      const owner = ownerName(member, worker)
      if (epoch > 0) this.#directory.learn(shard, owner, epoch)
      else this.#router.suggest(shard, owner)
    }
  }

  /** It may be the store that has forgotten them: whoever was there is asked on, and called again. */
  #seeNobody(): void {
    this.#nobodySince ??= this.#ports.clock.monotonic()
    if (!this.#isNobodyThere()) return
    for (let shard = 0; shard < this.#mark.shards; shard += 1) {
      this.#router.failWaiting(shard, shardUnavailable(shard, NOBODY))
    }
  }

  #isNobodyThere(): boolean {
    const { clock } = this.#ports
    if (this.#nobodySince === undefined || this.#here.size > 0) return false
    return clock.monotonic() - this.#nobodySince >= this.#config.timeouts.leaseMs
  }

  #isOfOthers({ cluster }: View): boolean {
    const isOfOthers = cluster.clusterId !== this.#mark.clusterId || cluster.shards !== this.#mark.shards
    if (isOfOthers && !this.#isStrange) {
      this.#config.onWarning(
        `'${this.#config.name}' is the name of other data now (${cluster.clusterId}): connect anew`,
      )
    }
    this.#isStrange = isOfOthers
    return isOfOthers
  }
}

const NOBODY = 'no node is in the cluster'
