/**
 * `cluster.config.ts`: what a deployment edits. The main thread, every worker and the tools load the same file, so it
 * must define the same thing each time it is loaded.
 */
import fs from 'node:fs'
import { availableParallelism, hostname } from 'node:os'
import { basename, dirname, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isAggregate, type Aggregate } from '../aggregate/aggregate.ts'
import { definitionError, describe, reasonOf, type PenholdError } from '../aggregate/error.ts'
import { suggestion } from '../aggregate/nearest.ts'
import { DEFAULT_ACTOR_LIMITS, type ActorLimits } from '../actor/limits.ts'
import { WEIGHT_MAX, WORKERS_MAX } from '../cluster/member-record.ts'
import { parseAddress } from '../cluster/network.ts'
import type { Inbox } from '../react/inbox.ts'
import type { Outbox } from '../react/outbox.ts'
import { aggregateOf } from '../react/process-aggregate.ts'
import type { AnyProcess } from '../react/process.ts'
import type { Reactor } from '../react/reactor.ts'
import type { Schedule } from '../react/schedule.ts'
import type { Projection } from '../read/projection.ts'
import { checkedRedis, type RedisSettings } from '../platform/redis-settings.ts'
import type { TlsOptions } from '../platform/tcp-network.ts'
import { checkLists } from './config-lists.ts'
import { strangerIn } from './definition-kinds.ts'

export const DEFAULT_SEGMENT_BYTES: number = 64 * 1024 * 1024

export interface Limits extends ActorLimits {
  /** Requests under way to one worker; one more gets `MailboxFull`. */
  readonly underWayMax: number
}

export interface Timeouts {
  /** How long an `ask`, `tell` or `query` waits that names no time of its own. */
  readonly askMs: number
  /** A handler that holds its thread for so long is given up, and its worker replaced. */
  readonly handlerMs: number
  /** How long stopping waits for what is under way. */
  readonly stopMs: number
  /** How long a node of several keeps its shards without a word from it; after that others take them over. */
  readonly leaseMs: number
}

/** How a node of several is reached by the others. */
export interface NetworkSettings {
  /** `host:port` to listen at; port 0 takes a free one. Default `127.0.0.1:0`. Other addresses need `secrets` or `tls`. */
  readonly listen?: string
  /** What the others are told where they do not reach it at `listen`. */
  readonly advertise?: string
  /** Known to all nodes and to nobody else, 32 characters or more each: the first is proven with, all are accepted. */
  readonly secrets?: readonly string[]
  /** PEM certificates, required of both sides. */
  readonly tls?: TlsOptions
}

/** Where a node answers probes: `/health/live` and `/health/ready`. */
export interface HealthSettings {
  /** `host:port`; port 0 takes a free one. Default: nowhere. Whoever reaches it is told names and numbers. */
  readonly listen?: string
}

export interface ClusterDefinition {
  /** Names the cluster; data belongs to the cluster that made it. */
  readonly name: string
  readonly aggregates: readonly Aggregate[]
  /** Read models that are made of the events; each runs at one of the nodes. Default: none. */
  readonly projections?: readonly Projection[]
  /** What events set in motion. Each runs at every node, for the shards that it serves. Default: none. */
  readonly reactors?: readonly Reactor[]
  /** What of the events others may know. Each runs as it says itself. Default: none. */
  readonly outboxes?: readonly Outbox[]
  /** Messages of others that are commands here. Each runs at one of the nodes. Default: none. */
  readonly inboxes?: readonly Inbox[]
  /** Processes, which react to events by sending commands and setting timers. Default: none. */
  readonly processes?: readonly AnyProcess[]
  /** Commands that are sent again and again. Default: none. */
  readonly schedules?: readonly Schedule[]
  /** Where the log is, relative to the config file. */
  readonly dataDir: string
  /** Worker threads, or `inline` for actors on the thread that starts the node. Default: one less than the processors. */
  readonly workers?: number | 'inline'
  /** Slices that aggregates are divided into; fixed when the data directory is made. Default 64. */
  readonly shards?: number
  /** A new file of the log is begun when the current one has so many bytes. Default 64 MiB. */
  readonly segmentBytes?: number
  /** Where the nodes of a cluster find each other. Default: none; one process owns everything. */
  readonly redis?: RedisSettings | undefined
  readonly network?: NetworkSettings
  readonly health?: HealthSettings
  /** What humans call this node, in a cluster of several. Default: host name and process id. */
  readonly nodeName?: string
  /** Its share of the shards is in proportion to it. Default 1. */
  readonly weight?: number
  readonly limits?: Partial<Limits>
  readonly timeouts?: Partial<Timeouts>
  /** A `tell` failed: nobody else is told. Default: a warning of the process. Called on the thread that sent it. */
  readonly onTellFailed?: (error: PenholdError, command: { readonly stream: string; readonly name: string }) => void
  /** Something an operator should know. Default: a warning of the process. */
  readonly onWarning?: (message: string) => void
}

/** A definition with everything filled in. */
export interface ClusterConfig extends Required<Omit<ClusterDefinition, 'limits' | 'timeouts' | 'redis'>> {
  readonly redis: RedisSettings | undefined
  readonly limits: Limits
  readonly timeouts: Timeouts
}

/** Settings that a program may override for its node. */
export type Overrides = Partial<
  Pick<
    ClusterDefinition,
    'dataDir' | 'workers' | 'shards' | 'segmentBytes' | 'redis' | 'network' | 'health' | 'nodeName' | 'weight'
  >
> & {
  readonly limits?: Partial<Limits>
  readonly timeouts?: Partial<Timeouts>
}

const ENDINGS = ['.ts', '.js', '.mjs', '.mts']
const SHARDS_MAX = 4096
const HEALTH_SETTINGS = ['listen']
const NETWORK_SETTINGS = ['listen', 'advertise', 'secrets', 'tls']
const TLS_SETTINGS = ['ca', 'cert', 'key', 'peerName'] as const
const DEFAULT_LIMITS: Limits = { ...DEFAULT_ACTOR_LIMITS, underWayMax: 100_000 }
/** What Penhold itself keeps in the log, such as why an event is parked, fits in so many. */
const COMMAND_BYTES_MIN = 16 * 1024
/** Redis has a quarter of it to answer. */
const LEASE_MS_MIN = 300
const DEFAULT_TIMEOUTS: Timeouts = { askMs: 10_000, handlerMs: 5_000, stopMs: 30_000, leaseMs: 3_000 }

/**
 * Defines a cluster. Everything but name, aggregates and data directory has a default.
 * @throws PenholdError `BadDefinition` that says what is wrong
 */
export function defineCluster(definition: ClusterDefinition): ClusterConfig {
  checkShape(definition)
  const { name, aggregates, dataDir } = definition
  const given: unknown = name
  if (typeof given !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(given)) {
    throw definitionError(
      `a cluster's name is ${describe(given)}; use 1 to 64 letters, digits, '-' and '_', a letter or digit first`,
    )
  }
  if (typeof dataDir !== 'string' || dataDir === '') {
    throw definitionError(`cluster '${name}': dataDir is ${describe(dataDir)}; give the path of a folder, as './data'`)
  }
  checkLists(definition)
  const config: ClusterConfig = {
    name,
    aggregates,
    projections: definition.projections ?? [],
    reactors: definition.reactors ?? [],
    outboxes: definition.outboxes ?? [],
    inboxes: definition.inboxes ?? [],
    processes: definition.processes ?? [],
    schedules: definition.schedules ?? [],
    dataDir,
    workers: definition.workers ?? Math.max(1, availableParallelism() - 1),
    shards: definition.shards ?? 64,
    segmentBytes: definition.segmentBytes ?? DEFAULT_SEGMENT_BYTES,
    redis: definition.redis,
    network: definition.network ?? {},
    health: definition.health ?? {},
    nodeName: definition.nodeName ?? `${hostname()}-${process.pid}`,
    weight: definition.weight ?? 1,
    limits: { ...DEFAULT_LIMITS, ...definition.limits },
    timeouts: { ...DEFAULT_TIMEOUTS, ...definition.timeouts },
    onTellFailed: shielded(definition.onTellFailed ?? warnTellFailed),
    onWarning: shielded(definition.onWarning ?? ((message) => process.emitWarning(message, 'PenholdWarning'))),
  }
  checkSettings(name, definition, config)
  checkNumbers(config)
  checkAddresses(config)
  return config
}

function checkAddresses({ health, network }: ClusterConfig): void {
  if (health.listen !== undefined) parseAddress(health.listen, 'health.listen')
  if (network.listen !== undefined) parseAddress(network.listen, 'network.listen')
  if (network.advertise !== undefined) parseAddress(network.advertise, 'network.advertise')
}

/** The config with a program's own settings over it. */
export function withOverrides(config: ClusterConfig, overrides: Overrides): ClusterConfig {
  const limits = { ...config.limits, ...overrides.limits }
  const timeouts = { ...config.timeouts, ...overrides.timeouts }
  return defineCluster({ ...config, ...overrides, limits, timeouts })
}

/** Where a config file is, given as a URL or a path. @throws PenholdError `BadDefinition` where there is none */
export function configUrl(given: URL | string): URL {
  const isUrl = given instanceof URL || given.startsWith('file:')
  const url = isUrl ? new URL(given) : pathToFileURL(given)
  if (!fs.existsSync(fileURLToPath(url))) throw definitionError(noConfig(fileURLToPath(url)))
  return url
}

/** That there is no such file, and which stands beside it with another ending, as where code was compiled or was not. */
export function noConfig(path: string): string {
  const bare = path.replace(/\.[cm]?[jt]s$/, '')
  const beside = ENDINGS.map((ending) => `${bare}${ending}`).find((other) => fs.existsSync(other))
  const hint = beside === undefined ? '' : `; beside it there is ${basename(beside)}`
  return `there is no config file ${path}${hint}`
}

/** All that can be addressed, processes too. */
export function addressedBy({
  aggregates,
  processes,
}: Pick<ClusterConfig, 'aggregates' | 'processes'>): readonly Aggregate[] {
  return [...aggregates, ...processes.map(aggregateOf)]
}

/** @throws PenholdError `BadDefinition` where the aggregate is none of the config's */
export function checkAddressed(config: ClusterConfig, aggregate: Aggregate, host: 'node' | 'client'): void {
  if (!isAggregate(aggregate)) {
    throw definitionError(`${host}.ref was given ${strangerIn(aggregate, 'defineAggregate')}`)
  }
  if (config.aggregates.some(({ type }) => type === aggregate.type)) return
  throw definitionError(`the cluster '${config.name}' has no aggregate '${aggregate.type}'; add it to the config`)
}

/**
 * Loads a config file. The data directory is resolved against the file's folder.
 * @throws PenholdError `BadDefinition` where the file has no cluster for its default export
 */
export async function loadConfig(url: URL, overrides: Overrides): Promise<ClusterConfig> {
  const module = await load(url)
  const config = module.default as ClusterConfig | undefined
  if (!Array.isArray(config?.aggregates) || config?.limits === undefined) {
    throw definitionError(`${url.href} must say: export default defineCluster({ … })`)
  }
  const resolved = withOverrides(config, overrides)
  return { ...resolved, dataDir: resolve(dirname(fileURLToPath(url)), resolved.dataDir) }
}

/** What goes wrong in the file, or in what it imports, is told with its place. */
async function load(url: URL): Promise<{ readonly default?: unknown }> {
  try {
    return (await import(url.href)) as { readonly default?: unknown }
  } catch (error) {
    // What Penhold finds wrong it says in full; where in Penhold it found it helps nobody.
    const isOurs = error instanceof Error && error.name === 'PenholdError'
    const shown = isOurs ? error.message : error instanceof Error ? (error.stack ?? String(error)) : String(error)
    throw definitionError(`the config file ${fileURLToPath(url)} cannot be loaded: ${shown}`, error)
  }
}

/** For programs without a compiler. Names and numbers have checks of their own. */
function checkShape(definition: ClusterDefinition): void {
  if (!isObject(definition)) throw definitionError(`a cluster is defined by an object, not by ${describe(definition)}`)
  for (const group of ['network', 'health', 'limits', 'timeouts'] as const) {
    const given = definition[group]
    if (given === undefined || isObject(given)) continue
    throw definitionError(
      `the cluster's ${group} is ${describe(given)}; give an object with its settings (docs/settings.md)`,
    )
  }
  const { redis, nodeName, network } = definition
  if (redis !== undefined) checkedRedis(redis)
  checkTls(network?.tls)
  // Nodes that are not called so would not take it for a member.
  if (nodeName !== undefined && (typeof nodeName !== 'string' || !/^\P{C}{1,255}$/u.test(nodeName))) {
    throw definitionError(
      `the cluster's nodeName is ${describe(nodeName)}; give a text of up to 255 characters, all of them to be seen`,
    )
  }
  for (const callback of ['onTellFailed', 'onWarning'] as const) {
    const given = definition[callback]
    if (given === undefined || typeof given === 'function') continue
    throw definitionError(`the cluster's ${callback} is ${describe(given)}; give a function`)
  }
}

function checkTls(tls: unknown): void {
  if (tls === undefined) return
  const missing = TLS_SETTINGS.find((key) => Object(tls)[key] === undefined)
  if (missing === undefined) return
  const what = isObject(tls) ? `it needs '${missing}'` : `it is ${describe(tls)}`
  throw definitionError(`network.tls: ${what}; give { ca, cert, key, peerName }, the first three as PEM`)
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A setting that is misspelt would have no effect, and nobody would know. */
function checkSettings(name: string, definition: ClusterDefinition, config: ClusterConfig): void {
  const check = (prefix: string, given: object, known: readonly string[]): void => {
    const unknown = Object.keys(given).find((key) => !known.includes(key))
    if (unknown === undefined) return
    throw definitionError(
      `cluster '${name}': there is no setting '${prefix}${unknown}'; ${suggestion(unknown, known, prefix)}`,
    )
  }
  check('', definition, Object.keys(config))
  check('network.', definition.network ?? {}, NETWORK_SETTINGS)
  check('network.tls.', definition.network?.tls ?? {}, TLS_SETTINGS)
  check('health.', definition.health ?? {}, HEALTH_SETTINGS)
  check('limits.', definition.limits ?? {}, Object.keys(DEFAULT_LIMITS))
  check('timeouts.', definition.timeouts ?? {}, Object.keys(DEFAULT_TIMEOUTS))
}

function checkNumbers({ name, workers, shards, segmentBytes, weight, limits, timeouts }: ClusterConfig): void {
  const inRange = (what: string, value: unknown, min: number, max: number, or = ''): void => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return
    throw definitionError(
      `cluster '${name}': ${what} is ${describe(value)}; give a whole number from ${min} to ${max}${or}`,
    )
  }
  if (workers !== 'inline') inRange('workers', workers, 1, WORKERS_MAX, `, or 'inline'`)
  inRange('shards', shards, 1, SHARDS_MAX)
  inRange('weight', weight, 1, WEIGHT_MAX)
  inRange('segmentBytes', segmentBytes, 64 * 1024, 1024 * 1024 * 1024)
  for (const [limit, value] of Object.entries(limits)) inRange(`limits.${limit}`, value, 1, 2 ** 31)
  for (const [timeout, value] of Object.entries(timeouts)) inRange(`timeouts.${timeout}`, value, 1, 2 ** 31 - 1)
  inRange('timeouts.leaseMs', timeouts.leaseMs, LEASE_MS_MIN, 2 ** 31 - 1)
  inRange('limits.commandBytesMax', limits.commandBytesMax, COMMAND_BYTES_MIN, 8 * 1024 * 1024)
}

function warnTellFailed(error: PenholdError, command: { readonly stream: string; readonly name: string }): void {
  process.emitWarning(
    `tell '${command.name}' to ${command.stream} failed with ${error.code}: ${error.message}`,
    'PenholdWarning',
  )
}

/** A user's callback that throws must not take what runs around it along. */
function shielded<Arguments extends readonly unknown[]>(callback: (...args: Arguments) => void) {
  return (...args: Arguments): void => {
    try {
      callback(...args)
    } catch (error) {
      process.emitWarning(`a callback of the cluster's config failed: ${reasonOf(error)}`, 'PenholdWarning')
    }
  }
}
