/**
 * What an examination of a node means for whoever probes it. Pure.
 *
 * - Live: starting the process anew would help nobody. A worker whose thread hangs for good, in a call to a disk that does
 *   not return, say, is replaced by none for as long as it does; so a node with one is not live. Nor is one that cannot
 *   replace a worker for another reason.
 * - Ready: what is asked of this node's workers is answered, as far as that is the node's to say. That Redis is away makes
 *   nobody unready: all nodes would be, and owners serve on. Damage makes nobody unready: what is whole is served, and
 *   no other node could open the rest. A projection that halts makes nobody unready: commands are served.
 * - Degraded: something stands still that nobody is unready for, and that does not mend itself.
 */
import type { NodeMeasure, ShardMeasure, WorkerMeasure } from '../cluster/control.ts'
import type { OwnershipCondition } from '../cluster/ownership-ports.ts'
import type { ConsumerCondition } from '../react/consumer-status.ts'
import type { TimersCondition } from '../react/timers.ts'
import { listed as shownShards, type WaitingShards } from '../react/waiting.ts'
import type { LocalInbox } from './inboxes.ts'
import type { LocalCondition } from './projections.ts'
import type { WorkerReading } from './pulse.ts'
import type { WorkerStatus } from './worker-host.ts'

/** A node as it was found when somebody asked. */
export interface Examination {
  readonly phase: 'starting' | 'serving' | 'stopping'
  /** By number. */
  readonly workers: readonly WorkerReading[]
  /** For a node that is one of several, once it has joined. */
  readonly ownership: OwnershipCondition | undefined
  /** For a node alone: shards that it should serve, and that are neither served nor refused for what is in their files. */
  readonly lost: readonly number[]
  readonly projections: readonly LocalCondition[]
  /** What of them runs here. */
  readonly reactors: readonly ConsumerCondition[]
  /** Those that run here. */
  readonly inboxes: readonly LocalInbox[]
  readonly wheels: TimersCondition
}

export interface Verdict {
  readonly isWell: boolean
  /** One reason a line; none where all is well. Never the text of an error: it would be told to strangers. */
  readonly why: readonly string[]
}

/** Beyond the time that a handler may hold its thread, after which the watchdog replaces the worker. */
export const SILENT_MS = 30_000
/** A shard that is this node's to serve is taken over by then; else something keeps it from that. */
export const AWAITED_MS = 10_000
/** A write or a sync takes no longer, or it is stuck. */
export const STUCK_MS = 5_000
/** Who waits for a moment, as for a store or a receiver that is away, goes on by itself. */
export const WAITING_MS = 60_000
const WHY = ', and tries again: its warnings and its status say why'

export function judgeLive({ phase, workers }: Examination, handlerMs: number): Verdict {
  return verdict(
    workers.flatMap((reading, worker) => {
      if (reading.kind === 'answered' || reading.ms < handlerMs + SILENT_MS) return []
      if (reading.kind === 'silent') return [`worker ${worker} has not answered for ${reading.ms} ms`]
      // The first start may have much to read, and ends the node where it fails.
      return phase === 'serving' ? [`worker ${worker} could not be started for ${reading.ms} ms`] : []
    }),
  )
}

export function judgeReady({ phase, workers, ownership, lost }: Examination): Verdict {
  const damaged = new Set(workers.flatMap((reading) => damagedOf(reading)))
  const late = (ownership?.awaited ?? []).filter(({ shard, ms }) => ms >= AWAITED_MS && !damaged.has(shard))
  return verdict([
    ...(phase === 'serving' ? [] : [`it is ${phase}`]),
    ...(ownership?.isDraining === true && phase === 'serving' ? ['it hands its shards over (penhold drain)'] : []),
    ...workers.flatMap((reading, worker) => problemsOf(reading, worker)),
    ...(late.length === 0 ? [] : [`not taken over within ${AWAITED_MS} ms: ${listed(late.map(({ shard }) => shard))}`]),
    ...(lost.length === 0 ? [] : [`another process has taken over ${listed(lost)}`]),
  ])
}

/** One reason a line, as `why`; none where nothing is. */
export function degradedOf(found: Examination): readonly string[] {
  const { workers, ownership, projections, reactors, inboxes, wheels } = found
  const damaged = workers.flatMap((reading) => damagedOf(reading))
  const awayMs = ownership?.storeAwayMs
  return [
    ...(awayMs === undefined ? [] : [`Redis is away since ${awayMs} ms: nothing moves`]),
    ...(damaged.length === 0 ? [] : [`closed by damage: ${listed(damaged)}`]),
    ...projections.flatMap((projection) => troublesOf(projection)),
    ...reactors.flatMap((reactor) => standstillOf(reactor)),
    ...inboxes.flatMap((inbox) => inboxTroublesOf(inbox)),
    ...waitOf('what runs timers', wheels.waiting),
    ...[...wheels.ownerless].map(
      ([type, count]) => `${count} timers of '${type}' are due, and the config of this node does not have it`,
    ),
  ]
}

function troublesOf({ name, state, rebuild, waitingMs }: LocalCondition): readonly string[] {
  return [
    ...(state === 'halted' ? [`projection ${name} stands still until somebody mends it`] : []),
    ...((state === 'waiting' || state === 'starting') && waitingMs >= WAITING_MS
      ? [`projection ${name} waits since ${waitingMs} ms`]
      : []),
    ...(rebuild === 'halted' ? [`the rebuild of projection ${name} stands still until somebody mends it`] : []),
  ]
}

function standstillOf({ kind, name, halted, parkedStreams, waiting }: ConsumerCondition): readonly string[] {
  return [
    ...waitOf(`${kind} ${name}`, waiting),
    ...(halted === 0 ? [] : [`${kind} ${name} stands still in ${halted} shards until somebody mends it`]),
    ...(parkedStreams === 0 ? [] : [`${kind} ${name} has parked events of ${parkedStreams} streams`]),
  ]
}

function inboxTroublesOf({ name, waitingMs, parked }: LocalInbox): readonly string[] {
  return [
    ...(waitingMs < WAITING_MS ? [] : [`inbox ${name} waits since ${waitingMs} ms${WHY}`]),
    ...(parked === 0 ? [] : [`inbox ${name} has parked ${parked} messages`]),
  ]
}

function waitOf(who: string, waiting: WaitingShards | undefined): readonly string[] {
  if (waiting === undefined || waiting.ms < WAITING_MS) return []
  return [`${who} waits in ${shownShards(waiting.shards)} since ${waiting.ms} ms${WHY}`]
}

function verdict(why: readonly string[]): Verdict {
  return { isWell: why.length === 0, why }
}

function problemsOf(reading: WorkerReading, worker: number): readonly string[] {
  if (reading.kind === 'absent') return [`worker ${worker} is being started`]
  if (reading.kind === 'silent') return [`worker ${worker} has not answered for ${reading.ms} ms`]
  const { isFull, isInPlace, lag } = reading.status
  return [
    ...(isFull ? [`worker ${worker} finds no room on the disk`] : []),
    ...(isInPlace ? [] : [`worker ${worker} does not find its journal in the data directory`]),
    ...(lag.oldestMs >= STUCK_MS ? [`worker ${worker} waits for the disk since ${lag.oldestMs} ms`] : []),
  ]
}

/** What is told to whoever probes: numbers and names alone. */
export function toJson(found: Examination): object {
  const { phase, workers, ownership, projections, reactors, inboxes, wheels } = found
  return {
    phase,
    workers: workers.map((reading) => (reading.kind === 'answered' ? workerJson(reading.status) : { ...reading })),
    projections: projections.map(({ name, state, rebuild, waitingMs }) => ({ name, state, rebuild, waitingMs })),
    reactors: reactors.map(({ name, state, halted, parkedStreams, waiting }) => {
      return { name, state, halted, parkedStreams, waiting: waiting?.shards ?? [], waitingMs: waiting?.ms ?? 0 }
    }),
    inboxes: inboxes.map(({ name, state, waitingMs, parked }) => ({ name, state, waitingMs, parked })),
    timers: {
      held: wheels.held,
      waiting: [...wheels.troubles.keys()],
      ownerless: Object.fromEntries(wheels.ownerless),
    },
    ...(ownership && {
      redis: { isAway: ownership.storeAwayMs !== undefined, awayMs: ownership.storeAwayMs ?? 0 },
      isDraining: ownership.isDraining,
      awaited: ownership.awaited.map(({ shard, ms }) => ({ shard, ms })),
      leaving: ownership.leaving,
    }),
  }
}

function workerJson(status: WorkerStatus): object {
  const { journal, shards, lag, isFull, isInPlace, refused } = status
  return {
    kind: 'answered',
    journal,
    shards: shards.length,
    refused: refused.map(({ shard }) => shard),
    undurable: lag,
    isFull,
    isInPlace,
  }
}

/** The same for those who ask over the connection for control. */
export function toMeasure({ workers, ownership }: Examination): NodeMeasure {
  const leaving = new Set(ownership?.leaving)
  const shards = workers.flatMap((reading, worker): ShardMeasure[] => {
    if (reading.kind !== 'answered') return []
    return reading.status.shards.map((head) => {
      return { ...head, worker, state: leaving.has(head.shard) ? 'leaving' : 'served', ms: 0 }
    })
  })
  const served = new Set(shards.map(({ shard }) => shard))
  const awaited = (ownership?.awaited ?? []).filter(({ shard }) => !served.has(shard))
  return {
    workers: workers.map(measureOf),
    shards: [
      ...shards,
      ...awaited.map(({ shard, worker, ms }): ShardMeasure => {
        return { shard, worker, epoch: 0, state: 'awaited', seq: 0, undurable: 0, ms }
      }),
    ],
  }
}

function measureOf(reading: WorkerReading): WorkerMeasure {
  if (reading.kind !== 'answered') return { state: 'silent', journal: 0, records: 0, bytes: 0, oldestMs: 0 }
  const { journal, lag, isFull } = reading.status
  return { state: isFull ? 'full' : 'writes', journal, ...lag }
}

function damagedOf(reading: WorkerReading): readonly number[] {
  const refused = reading.kind === 'answered' ? reading.status.refused : []
  return refused.filter(({ code }) => code === 'LogCorrupt').map(({ shard }) => shard)
}

function listed(shards: readonly number[]): string {
  return `${shards.length === 1 ? 'shard' : 'shards'} ${shards.join(', ')}`
}
