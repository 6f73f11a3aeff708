/** `penhold status`: who is in the cluster, and who serves what. */
import { setTimeout as sleep } from 'node:timers/promises'
import { definitionError, PenholdError } from '../aggregate/error.ts'
import { clusterNotFound } from '../cluster/error.ts'
import type { Leases, Member, View } from '../cluster/leases.ts'
import type { ClusterConfig } from '../node/config.ts'
import { openLeases } from '../node/surroundings.ts'
import { Exit, type Command, type Terminal } from './command.ts'
import { CONFIG_HELP, findCluster } from './config-file.ts'
import { table } from './table.ts'

const WATCH_MS = 1_000
const CLEAR = '\u001b[2J\u001b[H'
/** So many shards are named one by one. */
const NAMED_MAX = 16

export const status: Command = {
  summary: 'says who is in the cluster and who serves what',
  help: `Says what Redis knows of a cluster: its nodes, and the shards that each of their workers has a lease for. Who
serves what is decided by the log; a lease says who may try, and follows it within a heartbeat.

  penhold status [--config FILE] [--shards] [--watch] [--json]

  --config FILE     the cluster ${CONFIG_HELP}
  --shards          also each shard: its worker, its epoch, what is left of its lease, and its age: since it was renewed
  --watch           again every second, until Ctrl-C
  --json            print a JSON object with all of it; with --watch, one a line
  --help            print this

PENHOLD_REDIS counts instead of the config's redis.

Exit code: 0 every shard has an owner, 1 some have none or Redis cannot tell, 2 usage.`,
  options: { config: { type: 'string' }, shards: { type: 'boolean' }, watch: { type: 'boolean' } },
  async run(values, terminal, signal) {
    const { config } = await findCluster(values['config'], process.env)
    const leases = await openClusterLeases(config)
    const print = async (): Promise<Exit> => {
      const view = await lookAt(config.name, leases)
      const isJson = values['json'] === true
      const text = isJson ? JSON.stringify(toJson(config, view)) : toText(config, view, values['shards'] === true)
      const isRenewed = values['watch'] === true && terminal.isScreen && !isJson
      terminal.out(isRenewed ? `${CLEAR}${text}` : text)
      return unowned(view).length === 0 ? Exit.ok : Exit.failed
    }
    try {
      return values['watch'] === true ? await watch(print, terminal, signal) : await print()
    } finally {
      await leases.close()
    }
  },
}

/** Also while Redis is away. Resolves to what was printed last. */
async function watch(print: () => Promise<Exit>, terminal: Terminal, signal: AbortSignal): Promise<Exit> {
  let exit: Exit = Exit.ok
  while (!signal.aborted) {
    exit = await print().catch((error: unknown) => {
      if (!(error instanceof PenholdError)) throw error
      terminal.err(`${error.code}: ${error.message}`)
      return Exit.failed
    })
    await sleep(WATCH_MS, undefined, { signal }).catch(() => undefined)
  }
  return exit
}

/** @throws PenholdError `BadDefinition` where the config names no Redis */
export async function openClusterLeases(config: ClusterConfig): Promise<Leases> {
  if (config.redis !== undefined) return openLeases(config, config.redis)
  throw definitionError(`cluster '${config.name}' has no redis, so that it is one process alone`)
}

/** @throws PenholdError `ClusterNotFound`, `LeasesUnavailable` */
export async function lookAt(name: string, leases: Leases): Promise<View> {
  const view = await leases.look()
  if (view === undefined) throw clusterNotFound(name)
  return view
}

/** Nobody has so much as tried to own these. */
function unowned({ cluster, leases }: View): readonly number[] {
  const owned = new Set(leases.map(({ shard }) => shard))
  return Array.from({ length: cluster.shards }, (_, shard) => shard).filter((shard) => !owned.has(shard))
}

/** Granted to somebody who has not told yet that it has claimed them. */
function moving({ leases }: View): readonly number[] {
  return leases.filter(({ epoch }) => epoch === 0).map(({ shard }) => shard)
}

function toJson({ name, timeouts }: ClusterConfig, view: View): object {
  const { cluster, isSettling } = view
  return {
    cluster: { name, ...cluster },
    isSettling,
    members: view.members.map((member) => ({ ...member, shardsByWorker: shardsByWorker(view, member) })),
    leases: view.leases.map((lease) => ({ ...lease, ageMs: ageMs(timeouts.leaseMs, lease.remainingMs) })),
    moving: moving(view),
    unowned: unowned(view),
  }
}

function toText({ name, timeouts }: ClusterConfig, view: View, isByShard: boolean): string {
  const { cluster, members, leases, isSettling } = view
  const [without, arriving] = [unowned(view), moving(view)]
  const nodes = members.map((member) => {
    const { id, address, workers, weight, state, protocol } = member
    const shards = shardsByWorker(view, member)
    const sum = shards.reduce((total, count) => total + count, 0)
    return [member.name, address, state, workers, weight, protocol, sum, shards.join(' '), id]
  })
  const heading = ['NODE', 'ADDRESS', 'STATE', 'WORKERS', 'WEIGHT', 'PROTOCOL', 'SHARDS', 'BY WORKER', 'ID']
  const names = new Map(members.map((member) => [member.id, member.name]))
  const shards = leases.map(({ shard, member, worker, epoch, remainingMs }) => {
    const age = ageMs(timeouts.leaseMs, remainingMs)
    return [shard, names.get(member) ?? member, worker, epoch, `${remainingMs} ms`, `${age} ms`]
  })
  return [
    `cluster '${name}' (${cluster.clusterId}): ${cluster.shards} shards, nodes: ${members.length}`,
    ...(members.length === 0 ? [] : ['', table([heading, ...nodes])]),
    ...(isByShard ? ['', table([['SHARD', 'NODE', 'WORKER', 'EPOCH', 'LEFT', 'AGE'], ...shards])] : []),
    '',
    without.length === 0 ? 'every shard has an owner' : `without an owner: ${listed(without)}`,
    ...(arriving.length === 0 ? [] : [`on the way to their owner: ${listed(arriving)}`]),
    ...(isSettling ? ['Redis was empty or away, and waits for owners to tell what they own'] : []),
  ].join('\n')
}

function shardsByWorker({ leases }: View, { id, workers }: Member): readonly number[] {
  const mine = leases.filter(({ member }) => member === id)
  return Array.from({ length: workers }, (_, worker) => mine.filter((lease) => lease.worker === worker).length)
}

/** Since it was renewed, by the time that this config gives a lease. */
function ageMs(leaseMs: number, remainingMs: number): number {
  return Math.max(0, leaseMs - remainingMs)
}

function listed(shards: readonly number[]): string {
  const rest = shards.length > NAMED_MAX ? ', …' : ''
  const numbers = `${shards.slice(0, NAMED_MAX).join(', ')}${rest}`
  return shards.length === 1 ? `shard ${numbers}` : `${shards.length} shards (${numbers})`
}
