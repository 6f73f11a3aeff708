/** What Redis and the nodes say of a cluster, put together, for people and for programs. Pure. */
import type { NodeMeasure, ShardMeasure } from '../cluster/control.ts'
import type { Lease, Member, View } from '../cluster/leases.ts'
import { table } from './table.ts'

/** What a node said when it was asked, or why it did not. */
export type Answer = NodeMeasure | { readonly silence: string }

export interface Picture {
  readonly name: string
  readonly leaseMs: number
  readonly view: View
  /** By id of the member. */
  readonly answers: ReadonlyMap<string, Answer>
}

/** So many shards are named one by one. */
const NAMED_MAX = 16
const UNKNOWN = '?'

/** Nobody has so much as tried to own these. */
export function unowned({ cluster, leases }: View): readonly number[] {
  const owned = new Set(leases.map(({ shard }) => shard))
  return Array.from({ length: cluster.shards }, (_, shard) => shard).filter((shard) => !owned.has(shard))
}

/** Granted to somebody who has told neither Redis nor us yet that it serves them. */
function arriving(picture: Picture): readonly number[] {
  const leases = picture.view.leases.filter(({ epoch }) => epoch === 0)
  return leases.filter((lease) => measured(picture, lease)?.state !== 'served').map(({ shard }) => shard)
}

/** A lease follows what its holder says. */
function epochOf(picture: Picture, lease: Lease): number {
  return Math.max(lease.epoch, measured(picture, lease)?.epoch ?? 0)
}

/** Their owners are handing them over. */
function leaving({ answers }: Picture): readonly number[] {
  const shards = [...answers.values()].flatMap((answer) => ('silence' in answer ? [] : answer.shards))
  return shards.filter(({ state }) => state === 'leaving').map(({ shard }) => shard)
}

/** What the holder of a lease says of the shard. */
function measured({ answers }: Picture, { member, shard }: Lease): ShardMeasure | undefined {
  const answer = answers.get(member)
  return answer === undefined || 'silence' in answer ? undefined : answer.shards.find((one) => one.shard === shard)
}

export function toJson(picture: Picture): object {
  const { name, leaseMs, view, answers } = picture
  return {
    cluster: { name, ...view.cluster },
    isSettling: view.isSettling,
    members: view.members.map((member) => {
      const answer = answers.get(member.id) ?? { silence: 'it was not asked' }
      const shards = shardsByWorker(view, member)
      return { ...member, shardsByWorker: shards, ...('silence' in answer ? answer : { lagByWorker: answer.workers }) }
    }),
    leases: view.leases.map((lease) => {
      const said = measured(picture, lease)
      const ageMs = ageOf(leaseMs, lease)
      const epoch = epochOf(picture, lease)
      return { ...lease, epoch, ageMs, ...(said && { state: said.state, seq: said.seq, undurable: said.undurable }) }
    }),
    moving: arriving(picture),
    leaving: leaving(picture),
    unowned: unowned(view),
  }
}

export function toText(picture: Picture, isByShard: boolean): string {
  const { name, view } = picture
  const { cluster, members, isSettling } = view
  const [without, comes, goes] = [unowned(view), arriving(picture), leaving(picture)]
  return [
    `cluster '${name}' (${cluster.clusterId}): ${cluster.shards} shards, nodes: ${members.length}`,
    ...(members.length === 0 ? [] : ['', nodeTable(view), '', workerTable(picture)]),
    ...(isByShard ? ['', shardTable(picture)] : []),
    '',
    without.length === 0 ? 'every shard has an owner' : `without an owner: ${listed(without)}`,
    ...(comes.length === 0 ? [] : [`on the way to their owner: ${listed(comes)}`]),
    ...(goes.length === 0 ? [] : [`being handed over: ${listed(goes)}`]),
    ...(isSettling ? ['Redis was empty or away, and waits for owners to tell what they own'] : []),
  ].join('\n')
}

function nodeTable(view: View): string {
  const nodes = view.members.map((member) => {
    const { id, address, workers, weight, state, protocol } = member
    const sum = shardsByWorker(view, member).reduce((total, count) => total + count, 0)
    return [member.name, address, state, workers, weight, protocol, sum, id]
  })
  return table([['NODE', 'ADDRESS', 'STATE', 'WORKERS', 'WEIGHT', 'PROTOCOL', 'SHARDS', 'ID'], ...nodes])
}

function workerTable({ view, answers }: Picture): string {
  const rows = view.members.flatMap((member) => {
    const answer = answers.get(member.id)
    return shardsByWorker(view, member).map((shards, worker) => {
      const said = answer === undefined || 'silence' in answer ? undefined : answer.workers[worker]
      const { state, journal, records, bytes, oldestMs } = said ?? {}
      if (state === undefined || state === 'silent') {
        return [member.name, worker, shards, 'silent', UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]
      }
      return [member.name, worker, shards, state, journal!, records!, bytes!, `${oldestMs} ms`]
    })
  })
  return table([['NODE', 'WORKER', 'SHARDS', 'STATE', 'JOURNAL', 'UNDURABLE', 'BYTES', 'OLDEST'], ...rows])
}

function shardTable(picture: Picture): string {
  const { view, leaseMs } = picture
  const names = new Map(view.members.map(({ id, name }) => [id, name]))
  const rows = view.leases.map((lease) => {
    const { shard, member, worker, remainingMs } = lease
    const { state, seq, undurable } = measured(picture, lease) ?? {}
    const times = [`${remainingMs} ms`, `${ageOf(leaseMs, lease)} ms`]
    const lag = [seq ?? UNKNOWN, undurable ?? UNKNOWN]
    return [shard, names.get(member) ?? member, worker, epochOf(picture, lease), state ?? UNKNOWN, ...times, ...lag]
  })
  return table([['SHARD', 'NODE', 'WORKER', 'EPOCH', 'STATE', 'LEFT', 'AGE', 'SEQ', 'UNDURABLE'], ...rows])
}

function shardsByWorker({ leases }: View, { id, workers }: Member): readonly number[] {
  const mine = leases.filter(({ member }) => member === id)
  return Array.from({ length: workers }, (_, worker) => mine.filter((lease) => lease.worker === worker).length)
}

/** Since it was renewed, by the time that this config gives a lease. */
function ageOf(leaseMs: number, { remainingMs }: Lease): number {
  return Math.max(0, leaseMs - remainingMs)
}

function listed(shards: readonly number[]): string {
  const rest = shards.length > NAMED_MAX ? ', …' : ''
  const numbers = `${shards.slice(0, NAMED_MAX).join(', ')}${rest}`
  return shards.length === 1 ? `shard ${numbers}` : `${shards.length} shards (${numbers})`
}
