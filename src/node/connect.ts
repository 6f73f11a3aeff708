/** Connecting to a cluster from outside: the config, and what the client finds the nodes through. */
import { randomUUID } from 'node:crypto'
import { definitionError, describe, PenholdError } from '../aggregate/error.ts'
import { clusterNotFound } from '../cluster/error.ts'
import type { Leases, View } from '../cluster/leases.ts'
import { systemClock, systemRandom } from '../platform/system.ts'
import { configUrl, loadConfig, withOverrides, type ClusterConfig, type Overrides } from './config.ts'
import { RunningClient, type Client } from './running-client.ts'
import { openSurroundings } from './surroundings.ts'

/** Settings that a program may override for its client. */
export type ClientOptions = Pick<Overrides, 'redis' | 'network' | 'limits' | 'timeouts'>

const LOOK_AGAIN_MS = 100

/**
 * Connects to a cluster without being one of its nodes, as an API process or a script does. It finds the nodes through
 * the config's Redis and needs no data directory. Resolves once the cluster is known there, for which it waits as long
 * as an `ask` does (`timeouts.askMs`).
 *
 * `config` is the same as the nodes': its URL or path, or the config itself.
 *
 * @throws PenholdError `ClusterNotFound`, `LeasesUnavailable`, `BadDefinition`; `NodeRefused` where the nodes do not let
 * this process in
 */
export async function connect(config: URL | string | ClusterConfig, options: ClientOptions = {}): Promise<Client> {
  const resolved = await resolve(config, options)
  const { name, redis } = resolved
  if (redis === undefined) {
    throw definitionError(
      `cluster '${name}' has no redis, through which a client finds the nodes: set it in the config`,
    )
  }
  const { leases, network } = await openSurroundings(resolved, redis)
  let client: RunningClient | undefined
  try {
    const view = await findCluster(resolved, leases)
    const ports = { clock: systemClock, random: systemRandom, leases, network, id: randomUUID() }
    client = new RunningClient(resolved, view, ports)
    await client.meet()
    return client
  } catch (error) {
    await (client ?? leases).close()
    throw error
  }
}

async function resolve(given: URL | string | ClusterConfig, options: ClientOptions): Promise<ClusterConfig> {
  if (typeof given === 'string' || given instanceof URL) return loadConfig(configUrl(given), options)
  if (typeof given === 'object' && given !== null) return withOverrides(given, options)
  throw definitionError(`connect was given ${describe(given)}; give the cluster's config, or the URL of its file`)
}

/**
 * What the lease store knows of the cluster, as soon as it knows it.
 * @throws PenholdError `ClusterNotFound`, `LeasesUnavailable`
 */
export async function findCluster({ name, timeouts }: ClusterConfig, leases: Leases): Promise<View> {
  const until = systemClock.monotonic() + timeouts.askMs
  for (;;) {
    const found = await leases.look().catch((error: unknown) => {
      if (error instanceof PenholdError) return error
      throw error
    })
    if (found !== undefined && !(found instanceof PenholdError)) return found
    if (systemClock.monotonic() >= until) throw found ?? clusterNotFound(name)
    await new Promise<void>((resume) => systemClock.afterAlive(LOOK_AGAIN_MS, resume))
  }
}
