/**
 * An outbox at work in a process of its own, beside the nodes. What it runs on is a port, so that the simulator runs this very
 * code. It sends and asks as a client does, reads the journals itself, up to where the nodes say that they are durable, and
 * runs the lanes of all shards (docs/decisions/outboxes-apart.md).
 */
import type { Leases, View } from '../cluster/leases.ts'
import type { Network } from '../cluster/network.ts'
import type { Clock } from '../log/clock.ts'
import type { ClusterIdentity } from '../log/cluster-identity.ts'
import type { Random } from '../log/random.ts'
import type { Storage } from '../log/storage.ts'
import type { ConsumerStatus } from '../react/consumer-status.ts'
import { openOutbox, type OpenOutbox } from '../react/open-outbox.ts'
import type { Outbox } from '../react/outbox.ts'
import type { ClusterConfig } from './config.ts'
import { Consumers } from './consumers.ts'
import { NodeEffects } from './effects.ts'
import { RunningNodeStore } from './node-store.ts'
import { RunningClient } from './running-client.ts'

/** What it is made on. */
export interface OutboxPorts {
  readonly clock: Clock
  readonly random: Random
  /** Where the log is. */
  readonly storage: Storage
  readonly leases: Leases
  readonly network: Network
  /** A UUID of this life of the process, by which it holds its share of the data directory. */
  readonly id: string
}

/** What it has found. */
export interface OutboxSetting {
  /** What the lease store knows now. */
  readonly view: View
  readonly identity: ClusterIdentity
  readonly ports: OutboxPorts
}

export class RunningOutbox {
  readonly #stopMs: number
  readonly #onWarning: (message: string) => void
  readonly #outbox: Outbox
  readonly #client: RunningClient
  readonly #store: RunningNodeStore
  readonly #opened: OpenOutbox
  readonly #consumers: Consumers

  constructor(config: ClusterConfig, outbox: Outbox, { view, identity, ports }: OutboxSetting) {
    const { aggregates, timeouts, onWarning } = config
    const { clock, storage } = ports
    const { shards } = identity
    this.#stopMs = timeouts.stopMs
    this.#onWarning = onWarning
    this.#outbox = outbox
    this.#client = new RunningClient(config, view, { ...ports, role: 'node' })
    const client = this.#client
    const readers = { workers: () => client.tails, ownWorkers: () => client.tails }
    this.#store = new RunningNodeStore(client, { storage, clock, identity, aggregates, onWarning, ...readers })
    this.#opened = openOutbox(outbox, clock)
    // Its records say who runs what, and no owner of a shard does.
    const all = new Map(Array.from({ length: shards }, (_, shard) => [shard, 0]))
    this.#consumers = new Consumers({
      consumers: [this.#opened.consumer],
      apart: new Set(),
      feeds: this.#store.consumerFeeds,
      effects: new NodeEffects({ host: client, store: this.#store, aggregates }),
      ids: client.ids,
      clock,
      shards,
      shardOf: (stream) => client.shardOf(stream),
      shardsHere: () => all,
      onWarning,
    })
  }

  /** Resolves as soon as it runs. @throws PenholdError `NodeRefused` where the nodes do not let it in */
  async start(): Promise<void> {
    await this.#client.meet()
    await this.#consumers.start()
  }

  async status(): Promise<ConsumerStatus> {
    return await this.#consumers.outbox(this.#outbox.name).status()
  }

  /** What is under way is published first, within `timeouts.stopMs`. */
  async close(): Promise<void> {
    await this.#consumers.close(this.#stopMs)
    await this.#opened.close(this.#onWarning)
    await this.#store.close()
    await this.#client.close()
  }
}
