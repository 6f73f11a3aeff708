/**
 * An outbox that a process of its own runs: one that works in the nodes' data directory and owns no shard. It reads the log
 * as nodes do, is told by them what is durable, and keeps its place in their shards' records
 * (docs/decisions/outboxes-apart.md). Where no Redis is configured there is no node beside it: it is the one, and does nothing else.
 */
import { randomUUID } from 'node:crypto'
import { definitionError } from '../aggregate/error.ts'
import { suggestion } from '../aggregate/nearest.ts'
import { pooled } from '../platform/file-calls.ts'
import { FileStorage } from '../platform/file-storage.ts'
import { keepAlive } from '../platform/keep-alive.ts'
import type { RedisSettings } from '../platform/redis-settings.ts'
import { systemClock, systemRandom } from '../platform/system.ts'
import type { ConsumerStatus } from '../react/consumer-status.ts'
import { keyOf } from '../react/consumer-record.ts'
import { defineOutbox, type Outbox } from '../react/outbox.ts'
import type { ClusterConfig } from './config.ts'
import { findCluster } from './connect.ts'
import { identify, makeDirectory } from './data-directory.ts'
import { lockDirectory } from './directory-lock.ts'
import { startNodeFor } from './node.ts'
import { RunningOutbox } from './running-outbox.ts'
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
    const known = suggestion(name, names)
    throw definitionError(`the config has no outbox '${name}', ${known}; add it to its outboxes`)
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
  const { dataDir, onWarning } = config
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
    const ports = { clock, random: systemRandom, storage, leases, network, id }
    const running = new RunningOutbox(config, outbox, { view, identity, ports })
    closers.push(() => running.close())
    await running.start()
    return { status: () => running.status(), close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}
