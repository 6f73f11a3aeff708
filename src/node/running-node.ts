/**
 * A running node: its workers behind a router and a supervisor, and the refs that lead to them. What it runs on is a
 * port, so that the simulator runs this very code.
 */
import { inspect } from 'node:util'
import { isAggregate, type Aggregate } from '../aggregate/aggregate.ts'
import { definitionError, type PenholdError } from '../aggregate/error.ts'
import { nodeClosed, quarantined } from '../cluster/error.ts'
import { createRef, type Address, type Ref, type RefHost } from '../cluster/ref.ts'
import { createRing, shardsOf } from '../cluster/ring.ts'
import { Router, type Outcome, type RequestOptions, type Unsent } from '../cluster/router.ts'
import type { Clock } from '../log/clock.ts'
import { IdSource } from '../log/identity.ts'
import type { Random } from '../log/random.ts'
import { StreamPlacement } from '../log/stream.ts'
import type { ClusterConfig } from './config.ts'
import type { ClusterIdentity } from '../log/cluster-identity.ts'
import { Quarantine } from './quarantine.ts'
import { Supervisor, workerName } from './supervisor.ts'
import type { WorkerEvents, WorkerHandle } from './worker-handle.ts'
import type { WorkerStatus } from './worker-host.ts'

/** What a node says of itself. */
export interface NodeStatus {
  readonly name: string
  readonly dataDir: string
  /** By worker; undefined for one that is being replaced. */
  readonly workers: readonly (WorkerStatus | undefined)[]
  readonly workerRestarts: number
  /** Requests that wait for their reply. */
  readonly underWay: number
}

/** A running node. Close it, or let `await using` do so: what was asked is answered and made durable first. */
export interface Node extends AsyncDisposable {
  /**
   * The address of an aggregate, typed by its definition.
   * @throws PenholdError `BadAddress` where the id cannot be one, `BadDefinition` where the config lacks the aggregate
   */
  ref<A extends Aggregate>(aggregate: A, id: string): Ref<A>
  /** @throws PenholdError `NodeClosed` */
  status(): Promise<NodeStatus>
  /** Takes no more requests, answers those under way, and ends. */
  close(): Promise<void>
}

/** What a node is made on. */
export interface NodePorts {
  readonly clock: Clock
  readonly random: Random
  /** Starts a worker that owns these shards; resolves when it serves. */
  startWorker(shards: readonly number[], events: WorkerEvents): Promise<WorkerHandle>
  /** The node has ended. */
  onClosed(): Promise<void>
}

export class RunningNode implements Node, RefHost {
  readonly ids: IdSource
  readonly commandBytesMax: number
  readonly #config: ClusterConfig
  readonly #ports: NodePorts
  readonly #placement: StreamPlacement
  readonly #router: Router
  readonly #quarantine: Quarantine
  readonly #supervisor: Supervisor
  readonly #workers: number
  #closing: Promise<void> | undefined

  constructor(config: ClusterConfig, { clusterId, shards }: ClusterIdentity, ports: NodePorts) {
    const { clock, random } = ports
    this.#config = config
    this.#ports = ports
    this.ids = new IdSource(clock, random)
    this.commandBytesMax = config.limits.commandBytesMax
    this.#placement = new StreamPlacement(clusterId, shards)
    this.#workers = config.workers === 'inline' ? 1 : config.workers
    const names = Array.from({ length: this.#workers }, (_, worker) => workerName(worker))
    const ring = createRing(
      names.map((name) => ({ name, weight: 1 })),
      shards,
    )
    const { limits, timeouts, onWarning } = config
    this.#router = new Router({
      clock,
      shards,
      underWayMax: limits.underWayMax,
      timeoutMs: timeouts.askMs,
      onBadFrame: (owner, error) => this.#supervisor.distrust(names.indexOf(owner), error),
    })
    for (const [shard, owner] of ring.owners.entries()) this.#router.assign(shard, owner)
    this.#quarantine = new Quarantine(clock)
    this.#supervisor = new Supervisor({
      clock,
      router: this.#router,
      quarantine: this.#quarantine,
      handlerMs: timeouts.handlerMs,
      onWarning,
      start: (worker, events) => ports.startWorker(shardsOf(ring, names[worker]!), events),
    })
  }

  /** Resolves when every shard has been taken over and is served. */
  async start(): Promise<void> {
    await this.#supervisor.start(this.#workers)
  }

  ref<A extends Aggregate>(aggregate: A, id: string): Ref<A> {
    if (!isAggregate(aggregate)) {
      throw definitionError(
        `node.ref was given ${inspect(aggregate, { depth: 0 })}; give what defineAggregate returned`,
      )
    }
    if (!this.#config.aggregates.some(({ type }) => type === aggregate.type)) {
      throw definitionError(
        `the cluster '${this.#config.name}' has no aggregate '${aggregate.type}'; add it to the config`,
      )
    }
    return createRef(this, aggregate, id)
  }

  async status(): Promise<NodeStatus> {
    if (this.#closing !== undefined) throw nodeClosed('none')
    return {
      name: this.#config.name,
      dataDir: this.#config.dataDir,
      workers: await this.#supervisor.status(),
      workerRestarts: this.#supervisor.restarts,
      underWay: this.#router.underWay,
    }
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

  send({ stream, shard }: Address, message: Unsent, outcome: Outcome, options: RequestOptions): void {
    const quarantineMs = this.#quarantine.remainingMs(stream)
    if (quarantineMs > 0) outcome.reject(quarantined(stream, quarantineMs))
    else this.#router.send(shard, message, outcome, options)
  }

  onTellFailed(error: PenholdError, stream: string, name: string): void {
    this.#config.onTellFailed(error, { stream, name })
  }

  async #close(): Promise<void> {
    await this.#router.drain(this.#config.timeouts.stopMs)
    try {
      await this.#supervisor.close(this.#config.timeouts.stopMs)
    } finally {
      this.#router.close()
      await this.#ports.onClosed()
    }
  }
}
