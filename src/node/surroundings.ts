/** What a process needs to meet the others of a cluster: the lease store and the network. Loaded only where one does. */
import type { Leases } from '../cluster/leases.ts'
import type { Network } from '../cluster/network.ts'
import { Refusals } from '../cluster/refusals.ts'
import type { RedisSettings } from '../platform/redis-settings.ts'
import { systemClock } from '../platform/system.ts'
import type { ClusterConfig } from './config.ts'

/** An answer of the lease store takes less than a third of a lease, so that one that fails can be asked for again in time. */
const LEASE_TIMEOUTS_PER_TTL = 4

export interface Surroundings {
  readonly leases: Leases
  readonly network: Network
}

/** @throws PenholdError `BadDefinition` where the settings cannot work */
export async function openSurroundings(config: ClusterConfig, redis: RedisSettings): Promise<Surroundings> {
  return { network: await openNetwork(config), leases: await openLeases(config, redis) }
}

/** @throws PenholdError `BadDefinition` where the settings cannot work */
export async function openNetwork({ network: { secrets, tls }, onWarning }: ClusterConfig): Promise<Network> {
  const { TcpNetwork } = await import('../platform/tcp-network.ts')
  const refusals = new Refusals(systemClock, onWarning)
  return new TcpNetwork({
    ...(secrets && { secrets }),
    ...(tls && { tls }),
    onRefused: (error, from) => refusals.add(error, from),
  })
}

/** @throws PenholdError `BadDefinition` where the settings cannot work */
export async function openLeases({ name, timeouts, onWarning }: ClusterConfig, redis: RedisSettings): Promise<Leases> {
  const { openRedisLeases } = await import('../platform/redis-leases.ts')
  const timeoutMs = Math.floor(timeouts.leaseMs / LEASE_TIMEOUTS_PER_TTL)
  return openRedisLeases({ name, redis, timeoutMs, onWarning })
}
