/**
 * An outbox that a process of its own runs: one that works in the nodes' data directory and owns no shard. It reads the log
 * as nodes do, is told by them what is durable, and keeps its place in their shards' records
 * (docs/decisions/outboxes-apart.md). Where no Redis is configured there is no node beside it: it is the one, and does nothing else.
 */
import { randomUUID } from 'node:crypto'
import { definitionError } from '../aggregate/error.ts'
import { nearest } from '../aggregate/nearest.ts'
import { pooled } from '../platform/file-calls.ts'
import { FileStorage } from '../platform/file-storage.ts'
import { keepAlive } from '../platform/keep-alive.ts'
import type { RedisSettings } from '../platform/redis-settings.ts'
import { systemClock, systemRandom } from '../platform/system.ts'
import type { ConsumerStatus } from '../react/consumer-status.ts'
import { keyOf } from '../react/consumer-record.ts'
import { openOutbox } from '../react/open-outbox.ts'
import { defineOutbox, type Outbox } from '../react/outbox.ts'
import type { ClusterConfig } from './config.ts'
import { findCluster } from './connect.ts'
import { Consumers } from './consumers.ts'
import { identify, makeDirectory } from './data-directory.ts'
import { lockDirectory } from './directory-lock.ts'
import { NodeEffects } from './effects.ts'
import { startNodeFor } from './node.ts'
import { RunningNodeStore } from './node-store.ts'
import { RunningClient } from './running-client.ts'
import { openSurroundings } from './surroundings.ts'

/** An outbox that runs in this process. */
export interface OutboxProcess extends AsyncDisposable {
  /** How it is, in all shards. */
  status(): Promise<ConsumerStatus>
  /** What is under way is published first, within `timeouts.stopMs`. */
  close(): Promise<void>
}

/** @throws PenholdError `BadDefinition` where there is no such outbox, or nodes run it; as `startNode` and `connect` */
export async function startOutbox(config: ClusterConfig, name: string): Promise<OutboxProcess> {
  const outbox = config.outboxes.find((each) => each.name === name)
  if (outbox === undefined) {
    const names = config.outboxes.map((each) => each.name)
    const known = names.length === 0 ? 'it has none' : `the nearest is '${nearest(name, names)}'`
    throw definitionError(`the config has no outbox '${name}', ${known}`)
  }
  const { redis } = config
  if (redis === undefined) return await startAlone(config, outbox)
  if (outbox.runs === 'inside') {
    throw definitionError(
      `the nodes run the outbox '${name}' themselves; for a process of its own say runs: 'apart' in its definition, and start the nodes anew`,
    )
  }
  return await startBeside(config, outbox, redis)
}

/** There is no other process: what else the config has waits for a node. */
async function startAlone(config: ClusterConfig, outbox: Outbox): Promise<OutboxProcess> {
  const node = await startNodeFor(keyOf({ kind: 'outbox', name: outbox.name }), {
    ...config,
    workers: 'inline',
    projections: [],
    inboxes: [],
    outboxes: [defineOutbox({ ...outbox, runs: 'inside' })],
    health: {},
  })
  const close = (): Promise<void> => node.close()
  return { status: () => node.outbox(outbox).status(), close, [Symbol.asyncDispose]: close }
}

async function startBeside(config: ClusterConfig, outbox: Outbox, redis: RedisSettings): Promise<OutboxProcess> {
  const { dataDir, aggregates, timeouts, onWarning } = config
  makeDirectory(dataDir)
  const id = randomUUID()
  const [clock, letGo] = [systemClock, keepAlive()]
  const closers: (() => Promise<void> | void)[] = [letGo]
  const close = async (): Promise<void> => {
    for (const end of closers.splice(0).toReversed()) await end()
  }
  try {
    closers.push(await lockDirectory({ dataDir, clock, onWarning, shareAs: id }))
    const storage = new FileStorage(dataDir, pooled)
    const { leases, network } = await openSurroundings(config, redis)
    const view = await findCluster(config, leases)
    const identity = await identify(storage, config)
    const client = new RunningClient(config, view, { clock, random: systemRandom, leases, network, id, role: 'node' })
    closers.push(() => client.close())
    await client.meet()
    const readers = { workers: () => client.tails, ownWorkers: () => client.tails }
    const store = new RunningNodeStore(client, { storage, clock, identity, aggregates, onWarning, ...readers })
    closers.push(() => store.close())
    const opened = openOutbox(outbox)
    closers.push(() => opened.close())
    const shards = Array.from({ length: identity.shards }, (_, shard) => shard)
    const consumers = new Consumers({
      consumers: [opened.consumer],
      apart: new Set(),
      feeds: store.consumerFeeds,
      effects: new NodeEffects({ host: client, store, aggregates }),
      ids: client.ids,
      clock,
      shards: identity.shards,
      shardOf: (stream) => client.shardOf(stream),
      shardsHere: () => shards,
      onWarning,
    })
    closers.push(() => consumers.close(timeouts.stopMs))
    await consumers.start()
    return { status: () => consumers.outbox(outbox.name).status(), close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}
