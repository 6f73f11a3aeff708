/** What a Redis says of itself that matters to a cluster. */
import { leasesUnavailable } from '../cluster/leases.ts'
import { connectRedis, type RedisSettings } from './redis-settings.ts'

export interface RedisExamination {
  /** `redis` or `valkey`. */
  readonly product: string
  /** Of the Redis whose commands it has. */
  readonly version: string
  readonly maxmemoryPolicy: string
  /** 0: no limit. */
  readonly maxmemoryBytes: number
  /** Its clock minus this machine's. */
  readonly clockAheadMs: number
  readonly roundTripMs: number
}

const RETRY_MS = 50

/** @throws PenholdError `LeasesUnavailable`, `BadDefinition` */
export async function examineRedis(settings: RedisSettings, timeoutMs: number): Promise<RedisExamination> {
  const { client, address, redact, checkDatabase } = connectRedis(settings, timeoutMs)
  let lastError: unknown = new Error('there is no connection')
  client.on('error', (error: unknown) => (lastError = error))
  const until = performance.now() + timeoutMs
  try {
    while (client.status !== 'ready') {
      if (performance.now() > until) throw lastError
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
    checkDatabase()
    const told = await client.info()
    const field = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(told)?.[1]
    const beganMs = performance.now()
    const [seconds, microseconds] = (await client.time()).map(Number)
    const roundTripMs = performance.now() - beganMs
    return {
      product: field('valkey_version') === undefined ? 'redis' : 'valkey',
      version: field('redis_version') ?? 'unknown',
      maxmemoryPolicy: field('maxmemory_policy') ?? 'unknown',
      maxmemoryBytes: Number(field('maxmemory') ?? 0),
      clockAheadMs: Math.round(seconds! * 1e3 + microseconds! / 1e3 - (Date.now() - roundTripMs / 2)),
      roundTripMs,
    }
  } catch (error) {
    throw leasesUnavailable(redact(error instanceof Error ? error.message || error.name : String(error)), address)
  } finally {
    client.disconnect()
  }
}
