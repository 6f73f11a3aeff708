/**
 * Where Redis is, and how ioredis is to behave: nothing is queued while it is away, nothing is sent twice by itself,
 * whatever is not answered in time fails, and it is tried for again for ever. What is secret is in no message.
 */
import type { ConnectionOptions } from 'node:tls'
import { Cluster, Redis, type ClusterNode, type RedisOptions } from 'ioredis'
import { definitionError, describe } from '../aggregate/error.ts'
import { nearest } from '../aggregate/nearest.ts'
import { formatAddress, type HostAndPort } from '../cluster/network.ts'

interface Access {
  /** The ACL user; Redis' default user where there is none. */
  readonly username?: string
  readonly password?: string
  /** Certificates and the like, as Node's `tls.connect` takes them; `true` for the machine's own authorities. */
  readonly tls?: boolean | ConnectionOptions
}

/** `redis://[user:password@]host[:port][/database]`; `rediss://` for TLS. */
export interface RedisServer extends Access {
  readonly url: string
}

/** Sentinels that know which server leads at the moment. */
export interface RedisSentinels extends Access {
  /** Each `host:port`. */
  readonly sentinels: readonly string[]
  /** What the sentinels call the group of servers. */
  readonly name: string
  readonly database?: number
  readonly sentinelUsername?: string
  readonly sentinelPassword?: string
}

/** A Redis Cluster; some of its nodes are enough to find the others. */
export interface RedisCluster extends Access {
  /** Each `host:port`. */
  readonly nodes: readonly string[]
}

/** A text is short for `{ url }`. */
export type RedisSettings = string | RedisServer | RedisSentinels | RedisCluster

export interface RedisClient {
  readonly client: Redis | Cluster
  /** Where it is, for messages. */
  readonly address: string
  /** The message without what is secret. */
  readonly redact: (message: string) => string
  /** @throws where it is connected, and not to the database that it is for: ioredis goes on in database 0 */
  readonly checkDatabase: () => void
}

/** Replies are as they come; a mapping would be another type of client. */
type Options = Omit<RedisOptions, 'replyMapping'>

const ACCESS = ['username', 'password', 'tls']
const KNOWN = {
  url: ['url', ...ACCESS],
  sentinels: ['sentinels', 'name', 'database', 'sentinelUsername', 'sentinelPassword', ...ACCESS],
  nodes: ['nodes', ...ACCESS],
}
const RECONNECT_MS_MIN = 100
const RECONNECT_MS_MAX = 1000

/**
 * A client that connects from here on, for as long as it takes.
 * @throws PenholdError `BadDefinition` for settings that cannot work
 */
export function connectRedis(settings: RedisSettings, timeoutMs: number): RedisClient {
  const given = checkedRedis(settings)
  const options: Options = { ...commonOptions(timeoutMs), ...accessOf(given) }
  const secrets = [given.password, 'sentinelPassword' in given ? given.sentinelPassword : undefined]
  if ('url' in given) {
    const url = parseUrl(given.url)
    const client = new Redis({ ...url, ...options, enableOfflineQueue: false, retryStrategy: reconnectMs })
    const address = formatAddress({ host: url.host, port: url.port })
    const checkDatabase = watchDatabase(client)
    return { client, address, redact: redacting([...secrets, url.password]), checkDatabase }
  }
  if ('sentinels' in given) {
    const client = new Redis({ ...options, ...sentinelOptions(given, timeoutMs) })
    const address = `${given.sentinels.join(', ')} (the Sentinels of '${given.name}')`
    return { client, address, redact: redacting(secrets), checkDatabase: watchDatabase(client) }
  }
  const client = new Cluster(given.nodes.map(hostAndPort), {
    enableOfflineQueue: false,
    clusterRetryStrategy: reconnectMs,
    slotsRefreshTimeout: timeoutMs,
    redisOptions: options,
  })
  const address = `${given.nodes.join(', ')} (a Redis Cluster)`
  // It has one database.
  return { client, address, redact: redacting(secrets), checkDatabase: () => undefined }
}

function watchDatabase(client: Redis): () => void {
  let refusal: Error | undefined
  client.on('error', (error: unknown) => {
    if (error instanceof Error && Object(Object(error).command).name === 'select') refusal = error
  })
  client.on('close', () => (refusal = undefined))
  return () => {
    if (refusal !== undefined) throw new Error(`it does not give the database that was asked for (${refusal.message})`)
  }
}

function commonOptions(timeoutMs: number): Options {
  return {
    // What Redis 7 and Valkey speak both, without a command to agree on it.
    protocol: 2,
    disableClientInfo: true,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    // A connection that does not answer is given up: its other end may be gone without a word.
    socketTimeout: timeoutMs,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    maxLoadingRetryTime: RECONNECT_MS_MAX,
    // A leader that was demoted stays connected: look for the new one.
    reconnectOnError: ({ message }) => message.startsWith('READONLY'),
  }
}

function sentinelOptions(given: RedisSentinels, timeoutMs: number): Options {
  const { sentinels, name, database, sentinelUsername, sentinelPassword } = given
  const tls = tlsOf(given)
  return {
    sentinels: sentinels.map(hostAndPort),
    name,
    enableOfflineQueue: false,
    retryStrategy: reconnectMs,
    sentinelRetryStrategy: reconnectMs,
    sentinelCommandTimeout: timeoutMs,
    ...(database === undefined ? {} : { db: database }),
    ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
    ...(tls === undefined ? {} : { enableTLSForSentinelMode: true, sentinelTLS: tls }),
  }
}

function accessOf(access: Access): Options {
  const { username, password } = access
  const tls = tlsOf(access)
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
  }
}

function tlsOf({ tls }: Access): ConnectionOptions | undefined {
  if (tls === undefined || tls === false) return undefined
  return tls === true ? {} : tls
}

function reconnectMs(attempts: number): number {
  return Math.min(RECONNECT_MS_MIN * 2 ** Math.min(attempts - 1, 10), RECONNECT_MS_MAX)
}

/** Connects to nothing. @throws PenholdError `BadDefinition` for settings that cannot work */
export function checkedRedis(settings: unknown): Exclude<RedisSettings, string> {
  if (typeof settings === 'string') {
    parseUrl(settings)
    return { url: settings }
  }
  const problem = (what: string): Error =>
    definitionError(`redis: ${what}. Give a URL, or { url }, { sentinels, name } or { nodes }.`)
  if (typeof settings !== 'object' || settings === null) throw problem(`it is ${describe(settings)}`)
  if (settings instanceof URL) throw problem('it is an object of URL, where its text is wanted: url.href')
  const kinds = (['url', 'sentinels', 'nodes'] as const).filter((kind) => Object.hasOwn(settings, kind))
  const [kind] = kinds
  if (kind === undefined || kinds.length > 1) {
    throw problem(kind === undefined ? 'it does not say where Redis is' : `it has both ${kinds.join(' and ')}`)
  }
  const unknown = Object.keys(settings).find((key) => !KNOWN[kind].includes(key))
  if (unknown !== undefined) {
    throw problem(`there is no setting '${unknown}' beside ${kind}; the nearest is '${nearest(unknown, KNOWN[kind])}'`)
  }
  const given = settings as { readonly [key: string]: unknown }
  if (given[kind] === undefined) throw problem(`its ${kind} is undefined, as of a variable that is not set`)
  for (const key of ['url', 'name', 'username', 'password', 'sentinelUsername', 'sentinelPassword']) {
    // What was given is not shown: it may be a secret in the wrong place.
    if (given[key] !== undefined && (typeof given[key] !== 'string' || given[key] === '')) {
      throw problem(`${key} is no text with something in it`)
    }
  }
  if (kind === 'sentinels' && given['name'] === undefined) throw problem('sentinels need the name of their group')
  if (kind === 'url') parseUrl(given['url'] as string)
  else checkAddresses(kind, given[kind])
  return settings as Exclude<RedisSettings, string>
}

function checkAddresses(kind: string, given: unknown): void {
  if (!Array.isArray(given) || given.length === 0)
    throw definitionError(`redis: ${kind} is no list with something in it; give a list of 'host:port'`)
  given.forEach((address, i) => {
    if (typeof address === 'string' && /^[^\s/@]+:\d{1,5}$/.test(address)) return
    throw definitionError(
      `redis: ${kind}[${i}] is no 'host:port'; give that, and user and password as settings of their own`,
    )
  })
}

function hostAndPort(address: string): { host: string; port: number } & ClusterNode {
  const colon = address.lastIndexOf(':')
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) }
}

/** The URL is not shown in a message: it may have a password in it. */
function parseUrl(given: string): Options & HostAndPort {
  const url = URL.canParse(given) ? new URL(given) : undefined
  if (url === undefined || !['redis:', 'rediss:'].includes(url.protocol) || url.hostname === '') {
    const what = /^rediss?:\/\//.test(given)
      ? 'the url is none that can be used'
      : 'the url does not begin with redis://'
    throw definitionError(`redis: ${what}; give redis://[user:password@]host[:port][/database], or rediss:// for TLS`)
  }
  const database = /^\/?(\d*)$/.exec(url.pathname)?.[1]
  if (database === undefined || url.search !== '' || url.hash !== '') {
    throw definitionError(
      `redis: behind ${url.host} the url has more than the number of a database; settings are given beside url`,
    )
  }
  const { username, password } = url
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 6379 : Number(url.port),
    ...(username === '' ? {} : { username: decoded(username) }),
    ...(password === '' ? {} : { password: decoded(password) }),
    ...(database === '' ? {} : { db: Number(database) }),
    ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw definitionError("redis: user and password in the url are percent-encoded; a '%' itself is written as %25")
  }
}

function redacting(secrets: readonly (string | undefined)[]): (message: string) => string {
  const known = secrets.filter((secret) => secret !== undefined && secret !== '')
  return (message) => known.reduce<string>((text, secret) => text.replaceAll(secret!, '***'), message)
}
