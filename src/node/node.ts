/**
 * A node: a process's workers, and the refs through which the program reaches aggregates. `startNode` puts it together
 * from the parts of the other folders and chooses the platform for them.
 */
import fs from 'node:fs'
import { resolve as resolvePath } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Aggregate } from '../aggregate/aggregate.ts'
import { definitionError, type PenholdError } from '../aggregate/error.ts'
import { quarantined } from '../cluster/error.ts'
import { createRef, type Address, type Ref, type RefHost } from '../cluster/ref.ts'
import { createRing, shardsOf } from '../cluster/ring.ts'
import { Router, type Outcome, type RequestOptions, type Unsent } from '../cluster/router.ts'
import type { ClusterIdentity } from '../log/cluster-identity.ts'
import { storageFull } from '../log/error.ts'
import { IdSource } from '../log/identity.ts'
import { isStorageFull } from '../log/storage.ts'
import { StreamPlacement } from '../log/stream.ts'
import { blocking, pooled } from '../platform/file-calls.ts'
import { FileStorage } from '../platform/file-storage.ts'
import { systemClock, systemRandom } from '../platform/system.ts'
import { loadConfig, withOverrides, type ClusterConfig, type Overrides } from './config.ts'
import { identify, makeDirectory } from './data-directory.ts'
import { lockDirectory } from './directory-lock.ts'
import { Quarantine } from './quarantine.ts'
import { Supervisor } from './supervisor.ts'
import { startInline, startThreaded, type WorkerEvents, type WorkerHandle } from './worker-handle.ts'
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
  status(): Promise<NodeStatus>
  /** Takes no more requests, answers those under way, and ends. */
  close(): Promise<void>
}

/**
 * Starts a node. Resolves when every shard has been taken over and is served.
 *
 * `config` is the URL or path of a `cluster.config.ts`, which worker threads load too; or a config itself, for a node
 * that runs inline.
 *
 * @throws PenholdError `DataDirectoryInUse`, `DataDirectoryUnusable`, `DataFormat`, `BadDefinition`, `StorageFull`
 */
export async function startNode(config: URL | string | ClusterConfig, overrides: Overrides = {}): Promise<Node> {
  const source = await resolveConfig(config, overrides)
  makeDirectory(source.config.dataDir)
  const unlock = await lockDirectory({
    dataDir: source.config.dataDir,
    clock: systemClock,
    onWarning: source.config.onWarning,
  })
  try {
    await new FileStorage(source.config.dataDir, blocking).removeLeftovers()
    const storage = new FileStorage(source.config.dataDir, pooled)
    const identity = await identify(storage, source.config)
    const node = new RunningNode(source, identity, unlock)
    await node.start(storage)
    return node
  } catch (error) {
    await unlock()
    throw isStorageFull(error) ? storageFull(error) : error
  }
}

interface ConfigSource {
  readonly config: ClusterConfig
  /** Where worker threads load it; undefined for a config that was passed itself. */
  readonly url: URL | undefined
  readonly overrides: Overrides
}

async function resolveConfig(given: URL | string | ClusterConfig, overrides: Overrides): Promise<ConfigSource> {
  if (typeof given === 'string' || given instanceof URL) {
    const isUrl = given instanceof URL || given.startsWith('file:')
    const url = isUrl ? new URL(given) : pathToFileURL(given)
    if (!fs.existsSync(fileURLToPath(url))) throw definitionError(`there is no config file ${fileURLToPath(url)}`)
    const config = await loadConfig(url, overrides)
    // Workers resolve nothing again: they get the directory that was found here.
    return { config, url, overrides: { ...overrides, dataDir: config.dataDir } }
  }
  const config = withOverrides(given, overrides)
  if (config.workers !== 'inline') {
    throw definitionError(
      `worker threads load the config themselves: pass startNode the URL of a cluster.config.ts, or set workers: 'inline'`,
    )
  }
  return { config: { ...config, dataDir: resolvePath(config.dataDir) }, url: undefined, overrides }
}

class RunningNode implements Node, RefHost {
  readonly ids: IdSource = new IdSource(systemClock, systemRandom)
  readonly commandBytesMax: number
  readonly #source: ConfigSource
  readonly #identity: ClusterIdentity
  readonly #unlock: () => Promise<void>
  readonly #placement: StreamPlacement
  readonly #router: Router
  readonly #quarantine = new Quarantine(systemClock)
  readonly #supervisor: Supervisor
  /** The worker of each shard. */
  readonly #workerOf: readonly number[]
  readonly #workers: number
  #storage: FileStorage | undefined
  #closing: Promise<void> | undefined

  constructor(source: ConfigSource, identity: ClusterIdentity, unlock: () => Promise<void>) {
    const { config } = source
    this.#source = source
    this.#identity = identity
    this.#unlock = unlock
    this.commandBytesMax = config.limits.commandBytesMax
    this.#placement = new StreamPlacement(identity.clusterId, identity.shards)
    this.#workers = config.workers === 'inline' ? 1 : config.workers
    const names = Array.from({ length: this.#workers }, (_, worker) => `worker-${worker}`)
    const ring = createRing(names, identity.shards)
    this.#workerOf = ring.owners.map((owner) => names.indexOf(owner))
    const { limits, timeouts, onWarning } = config
    this.#router = new Router(this.#workers, {
      clock: systemClock,
      underWayMax: limits.underWayMax,
      timeoutMs: timeouts.askMs,
      onBadFrame: (worker, error) => this.#supervisor.distrust(worker, error),
    })
    this.#supervisor = new Supervisor({
      clock: systemClock,
      router: this.#router,
      quarantine: this.#quarantine,
      handlerMs: timeouts.handlerMs,
      onWarning,
      start: (worker, events) => this.#startWorker(shardsOf(ring, names[worker]!), events),
    })
  }

  async start(storage: FileStorage): Promise<void> {
    this.#storage = storage
    await this.#supervisor.start(this.#workers)
  }

  ref<A extends Aggregate>(aggregate: A, id: string): Ref<A> {
    if (!this.#source.config.aggregates.some(({ type }) => type === aggregate.type)) {
      throw definitionError(
        `the cluster '${this.#source.config.name}' has no aggregate '${aggregate.type}'; add it to the config`,
      )
    }
    return createRef(this, aggregate, id)
  }

  async status(): Promise<NodeStatus> {
    return {
      name: this.#source.config.name,
      dataDir: this.#source.config.dataDir,
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

  workerOf(stream: string): number {
    return this.#workerOf[this.#placement.shardOf(stream)]!
  }

  send({ stream, worker }: Address, message: Unsent, outcome: Outcome, options: RequestOptions): void {
    const quarantineMs = this.#quarantine.remainingMs(stream)
    if (quarantineMs > 0) outcome.reject(quarantined(stream, quarantineMs))
    else this.#router.send(worker, message, outcome, options)
  }

  onTellFailed(error: PenholdError, stream: string, name: string): void {
    this.#source.config.onTellFailed(error, { stream, name })
  }

  async #close(): Promise<void> {
    await this.#router.drain(this.#source.config.timeouts.stopMs)
    try {
      await this.#supervisor.close(this.#source.config.timeouts.stopMs)
    } finally {
      this.#router.close()
      await this.#unlock()
    }
  }

  #startWorker(shards: readonly number[], events: WorkerEvents): Promise<WorkerHandle> {
    const { config, url, overrides } = this.#source
    const { clusterId } = this.#identity
    if (url !== undefined && config.workers !== 'inline') {
      return startThreaded({ configUrl: url, overrides, clusterId, shards }, events)
    }
    const ports = { storage: this.#storage!, clock: systemClock, random: systemRandom }
    return startInline({ ...ports, config, clusterId, shards }, events)
  }
}
