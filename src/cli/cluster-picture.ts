/** What Redis and the nodes say of a cluster, put together, for people and for programs. Pure. */
import type { NodeMeasure, ShardMeasure } from '../cluster/control.ts'
import type { Lease, Member, View } from '../cluster/leases.ts'
import type { ConsumerStatus } from '../react/consumer-status.ts'
import type { ToldWheels } from '../node/consumer-operation.ts'
import type { LocalInbox } from '../node/inboxes.ts'
import { inboxNotes, inboxProblems, shownInboxes as shownInboxesOf, type ShownInbox } from './inbox-picture.ts'
import { projectionTable, shownOf, toJson as projectionsToJson, type Shown } from './projection-picture.ts'
import type { Sighting } from './projection-sightings.ts'
import { notesOf, problemsOf, shownOf as shownReactorsOf, type Shown as ShownReactor } from './reactor-picture.ts'
import { table } from './table.ts'
import { shownWheels, wheelNotes, wheelProblems, type ShownWheels } from './wheel-picture.ts'

/** Why a node said nothing when it was asked; refused where it will not change its mind until somebody changes something. */
export interface Silence {
  readonly silence: string
  readonly isRefused: boolean
}

export type Answer =
  | (NodeMeasure & {
      readonly projections: readonly Sighting[]
      /** And what else takes events. */
      readonly reactors: readonly ConsumerStatus[]
      /** Those that it runs; a node of an older version does not say, nor how its timers are. */
      readonly inboxes: readonly LocalInbox[] | undefined
      readonly wheels: ToldWheels | undefined
    })
  | Silence

export interface Picture {
  readonly name: string
  readonly leaseMs: number
  /** Outboxes that run in processes of their own. */
  readonly apart: ReadonlySet<string>
  /** The names of the config's. */
  readonly inboxes: readonly string[]
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

/** With the number of shards that each has a lease for. */
export function silentMembers({ view, answers }: Picture): readonly (Silence & { name: string; shards: number })[] {
  return view.members.flatMap(({ id, name }) => {
    const answer = answers.get(id)
    if (answer === undefined || !('silence' in answer)) return []
    return [{ ...answer, name, shards: view.leases.filter(({ member }) => member === id).length }]
  })
}

/** What the holder of a lease says of the shard. */
function measured({ answers }: Picture, { member, shard }: Lease): ShardMeasure | undefined {
  const answer = answers.get(member)
  return answer === undefined || 'silence' in answer ? undefined : answer.shards.find((one) => one.shard === shard)
}

/** The projections, as the nodes that answer say. */
export function shownProjections({ answers }: Picture): readonly Shown[] {
  return shownOf({ all: [...answers.values()].flatMap((answer) => ('silence' in answer ? [] : answer.projections)) })
}

/** Reactors, processes, outboxes and timers, in the same way. */
export function shownReactors({ answers, apart }: Picture): readonly ShownReactor[] {
  return shownReactorsOf(
    [...answers.values()].flatMap((answer) => ('silence' in answer ? [] : answer.reactors)),
    apart,
  )
}

/** Inboxes, as the nodes that run them say. */
export function shownInboxes({ view, answers, inboxes }: Picture): readonly ShownInbox[] {
  const told = view.members.flatMap(({ id, name }) => {
    const answer = answers.get(id)
    const own = answer === undefined || 'silence' in answer ? undefined : answer.inboxes
    return own === undefined ? [] : [{ node: name, inboxes: own }]
  })
  return shownInboxesOf(inboxes, { told, isWhole: told.length === view.members.length })
}

export function shownTimers({ answers }: Picture): ShownWheels {
  return shownWheels([...answers.values()].flatMap((answer) => ('silence' in answer ? [] : (answer.wheels ?? []))))
}

/** What somebody should know of what takes events and messages, one reason a line. */
export function reactionProblems(picture: Picture): readonly string[] {
  return [
    ...problemsOf(shownReactors(picture)),
    ...inboxProblems(shownInboxes(picture)),
    ...wheelProblems(shownTimers(picture)),
  ]
}

/** What of it waits, or has parked something. */
function reactionNotes(picture: Picture): readonly string[] {
  return [...notesOf(shownReactors(picture)), ...inboxNotes(shownInboxes(picture)), ...wheelNotes(shownTimers(picture))]
}

export function toJson(picture: Picture): object {
  const { name, leaseMs, view, answers } = picture
  return {
    cluster: { name, ...view.cluster },
    isSettling: view.isSettling,
    members: view.members.map((member) => {
      const answer = answers.get(member.id) ?? { silence: 'it was not asked', isRefused: false }
      const shards = shardsByWorker(view, member)
      return { ...member, shardsByWorker: shards, ...('silence' in answer ? answer : { lagByWorker: answer.workers }) }
    }),
    leases: view.leases.map((lease) => {
      const said = measured(picture, lease)
      const ageMs = ageOf(leaseMs, lease)
      const epoch = epochOf(picture, lease)
      return { ...lease, epoch, ageMs, ...(said && { state: said.state, seq: said.seq, undurable: said.undurable }) }
    }),
    projections: projectionsToJson(shownProjections(picture)),
    reactors: shownReactors(picture),
    inboxes: shownInboxes(picture),
    timers: shownTimers(picture),
    moving: arriving(picture),
    leaving: leaving(picture),
    unowned: unowned(view),
  }
}

export function toText(picture: Picture, isByShard: boolean): string {
  const { name, view } = picture
  const { cluster, members, isSettling } = view
  const [comes, goes] = [arriving(picture), leaving(picture)]
  const projections = shownProjections(picture)
  const notes = reactionNotes(picture)
  return [
    `cluster '${name}' (${cluster.clusterId}): ${cluster.shards} shards, nodes: ${members.length}`,
    ...(members.length === 0 ? [] : ['', nodeTable(view), '', workerTable(picture)]),
    ...(projections.length === 0 ? [] : ['', projectionTable(projections)]),
    ...(notes.length === 0 ? [] : ['', ...notes]),
    ...(isByShard ? ['', shardTable(picture)] : []),
    '',
    ...ownerless(picture),
    ...(comes.length === 0 ? [] : [`on the way to their owner: ${listed(comes)}`]),
    ...(goes.length === 0 ? [] : [`being handed over: ${listed(goes)}`]),
    ...(isSettling ? ['Redis was empty or away, and waits for owners to tell what they own'] : []),
  ].join('\n')
}

/** Which shards nobody serves, as far as it can be known. */
function ownerless(picture: Picture): readonly string[] {
  const { view } = picture
  const without = unowned(view)
  const silent = silentMembers(picture).filter(({ shards }) => shards > 0)
  const nobodys = view.isSettling
    ? `not told yet who owns ${listed(without)}: Redis is settling, owners go on serving`
    : `without an owner: ${listed(without)}`
  if (without.length === 0 && silent.length === 0) return ['every shard has an owner']
  return [
    ...(without.length === 0 ? [] : [nobodys]),
    ...silent.map(({ name, shards, isRefused }) => {
      const count = shards === 1 ? '1 shard is' : `${shards} shards are`
      return `${count} with ${name}, which ${isRefused ? 'refuses to say how it is' : 'does not answer'}`
    }),
  ]
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
      const isSilence = answer === undefined || 'silence' in answer
      const { state, journal, records, bytes, oldestMs } = (isSilence ? undefined : answer.workers[worker]) ?? {}
      if (state === undefined || state === 'silent') {
        const why = isSilence && answer?.isRefused === true ? 'refuses' : 'silent'
        return [member.name, worker, shards, why, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]
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
