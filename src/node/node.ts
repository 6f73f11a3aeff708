/** Starting a node: its config, its data directory and the platform under it. */
import { randomUUID } from 'node:crypto'
import { resolve as resolvePath } from 'node:path'
import { definitionError } from '../aggregate/error.ts'
import type { ClusterIdentity } from '../log/cluster-identity.ts'
import { storageFull } from '../log/error.ts'
import { SHARDS_PATH } from '../log/path.ts'
import { isStorageFull } from '../log/storage.ts'
import { blocking, pooled } from '../platform/file-calls.ts'
import { FileStorage } from '../platform/file-storage.ts'
import { keepAlive } from '../platform/keep-alive.ts'
import type { RedisSettings } from '../platform/redis-settings.ts'
import { systemClock, systemRandom } from '../platform/system.ts'
import type { ClusterPorts } from './cluster-side.ts'
import { configUrl, loadConfig, withOverrides, type ClusterConfig, type Overrides } from './config.ts'
import { checkIdentity, identify, makeDirectory } from './data-directory.ts'
import { lockDirectory, shareOf } from './directory-lock.ts'
import { openHealthEndpoints, type HealthEndpoints } from './health-endpoints.ts'
import { openSurroundings } from './surroundings.ts'
import { RunningNode, type Node, type NodePorts } from './running-node.ts'
import { startInline, startThreaded } from './worker-handle.ts'

/**
 * Starts a node. Resolves when every shard that is the node's has been taken over and is served: all of them, or, where
 * the config names a Redis, its part of them. The process stays until the node is closed.
 *
 * `config` is the URL or path of a `cluster.config.ts`, which worker threads load too; or a config itself, for a node
 * that runs inline.
 *
 * @throws PenholdError `DataDirectoryInUse`, `DataDirectoryUnusable`, `DataFormat`, `BadDefinition`, `StorageFull`
 */
export async function startNode(config: URL | string | ClusterConfig, overrides: Overrides = {}): Promise<Node> {
  return await startOn(await resolveConfig(config, overrides))
}

/** The same, of a config for a node that runs inline, and runs one consumer alone: by its key (`keyOf`). */
export async function startNodeFor(only: string, config: ClusterConfig): Promise<Node> {
  return await startOn(await resolveConfig(config, {}), only)
}

async function startOn(source: ConfigSource, only?: string): Promise<Node> {
  const { dataDir, redis, onWarning } = source.config
  makeDirectory(dataDir)
  const id = randomUUID()
  const lock = { dataDir, clock: systemClock, onWarning }
  const unlock = await lockDirectory(redis === undefined ? lock : { ...lock, shareAs: id })
  const letGo = keepAlive()
  let health: HealthEndpoints | undefined
  const end = async (): Promise<void> => {
    try {
      await health?.close()
      await unlock()
    } finally {
      letGo()
    }
  }
  try {
    const { listen } = source.config.health
    if (listen !== undefined) health = await openHealthEndpoints(source.config, listen)
    // Those of others that share the directory may be in use.
    if (redis === undefined) await new FileStorage(dataDir, blocking).removeLeftovers()
    const storage = new FileStorage(dataDir, pooled)
    const identity = await identify(storage, source.config)
    const cluster = redis === undefined ? undefined : await clusterPorts(source.config, { redis, storage, id })
    const ports = systemPorts(source, identity, { storage, onClosed: end })
    const node = new RunningNode(source.config, identity, { ...ports, cluster, only, health: health?.address })
    health?.speakFor(node)
    await node.start()
    return node
  } catch (error) {
    await end()
    throw isStorageFull(error) ? storageFull(error) : error
  }
}

async function clusterPorts(
  config: ClusterConfig,
  { redis, storage, id }: { readonly redis: RedisSettings; readonly storage: FileStorage; readonly id: string },
): Promise<ClusterPorts> {
  const { nodeName, weight, network, timeouts } = config
  const { listen = '127.0.0.1:0', advertise } = network
  return {
    ...(await openSurroundings(config, redis)),
    listen,
    advertise,
    id,
    name: nodeName,
    weight,
    leaseMs: timeouts.leaseMs,
    isNew: (await storage.list(SHARDS_PATH)).length === 0,
    shares: (member) => storage.exists(shareOf(member)),
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
    const url = configUrl(given)
    const config = await loadConfig(url, overrides)
    // Workers resolve nothing again: they get the directory that was found here.
    return { config, url, overrides: { ...overrides, dataDir: config.dataDir } }
  }
  if (typeof given !== 'object' || given === null) {
    throw definitionError(
      `startNode was given ${String(given)}; give the URL of a cluster.config.ts, such as new URL('./cluster.config.ts', import.meta.url)`,
    )
  }
  const config = withOverrides(given, overrides)
  if (config.workers !== 'inline') {
    throw definitionError(
      `worker threads load the config themselves: pass startNode the URL of a cluster.config.ts, or set workers: 'inline'`,
    )
  }
  return { config: { ...config, dataDir: resolvePath(config.dataDir) }, url: undefined, overrides }
}

function systemPorts(
  { config, url, overrides }: ConfigSource,
  { clusterId }: ClusterIdentity,
  { storage, onClosed }: { readonly storage: FileStorage; readonly onClosed: () => Promise<void> },
): NodePorts {
  const ports = { clock: systemClock, random: systemRandom }
  // Those that start with the node: callers wait for each that replaces another.
  let rehearsals = config.redis !== undefined && config.workers !== 'inline' ? config.workers : 0
  return {
    ...ports,
    storage,
    onClosed,
    async startWorker(start, events) {
      // Before, so that nothing is begun in an empty folder; and after, since that is when the log was opened.
      await checkIdentity(storage, config, clusterId)
      const worker =
        url !== undefined && config.workers !== 'inline'
          ? await startThreaded({ ...start, configUrl: url, overrides, clusterId, rehearses: rehearsals-- > 0 }, events)
          : await startInline({ ...ports, ...start, storage, config, clusterId }, events)
      try {
        await checkIdentity(storage, config, clusterId)
      } catch (error) {
        await worker.terminate()
        throw error
      }
      return worker
    },
  }
}
