/** What the nodes of a cluster say of its reactors, processes, outboxes and timers, put together. Pure. */
import type { ClusterConfig } from '../node/config.ts'
import { WAITING_MS } from '../node/health.ts'
import type { ConsumerStatus } from '../react/consumer-status.ts'
import { worstState } from '../read/lane-status.ts'
import { counted, oneLine } from './report.ts'

/** What is known of one that runs. */
export interface Shown {
  readonly name: string
  readonly kind: ConsumerStatus['kind']
  readonly state: string
  /** Shards that are served by a node that answers, and those of them that stand still. */
  readonly shards: number
  readonly halted: number
  readonly parkedStreams: number
  readonly trouble: string | undefined
  /** A node of an older version does not say. */
  readonly waiting: ShownWait | undefined
}

/** So many shards wait, the first for so long, and with what. */
export interface ShownWait {
  readonly shards: number
  readonly ms: number
  readonly reason: string
}

/** What no node runs that is to run: an outbox with a process of its own is run by that. */
const APART = 'apart'

/** The names of outboxes with a process of their own. */
export function outboxesApart({ outboxes }: Pick<ClusterConfig, 'outboxes'>): ReadonlySet<string> {
  return new Set(outboxes.filter(({ runs }) => runs === 'apart').map(({ name }) => name))
}

/** What the nodes say of each, put together; `apart` are the outboxes that they do not run. */
export function shownOf(statuses: readonly ConsumerStatus[], apart: ReadonlySet<string>): readonly Shown[] {
  const byName = Map.groupBy(statuses, ({ kind, name }) => `${kind}:${name}`)
  return [...byName.values()].map((told): Shown => {
    const { kind, name } = told[0]!
    const lanes = told.flatMap((status) => status.lanes)
    const state = worstState(lanes.map((lane) => lane.state))
    return {
      kind,
      name,
      state: kind === 'outbox' && apart.has(name) ? APART : state === 'elsewhere' ? 'nowhere' : state,
      shards: lanes.length,
      halted: lanes.filter((lane) => lane.state === 'halted').length,
      parkedStreams: told.reduce((sum, { parkedStreams }) => sum + parkedStreams, 0),
      trouble: lanes.find((lane) => lane.state === state && lane.trouble !== undefined)?.trouble?.message,
      waiting: waitOf(told),
    }
  })
}

/** Of what several nodes say. */
export function waitOf(told: readonly Pick<ConsumerStatus, 'waiting'>[]): ShownWait | undefined {
  const waits = told.flatMap(({ waiting }) => waiting ?? []).toSorted((a, b) => b.ms - a.ms)
  const [longest] = waits
  if (longest === undefined) return undefined
  const shards = waits.reduce((sum, wait) => sum + wait.shards.length, 0)
  return { shards, ms: longest.ms, reason: longest.reason }
}

/** What somebody should know of, one reason a line. */
export function problemsOf(shown: readonly Shown[]): readonly string[] {
  return shown.flatMap(({ name, kind, state, halted, trouble, waiting }) => {
    if (state === APART) return []
    if (state === 'nowhere') return [`no node runs ${kind} ${name} at the moment; see that every shard has an owner`]
    return [
      ...(halted === 0 ? [] : [`${kind} ${name} stands still in ${counted(halted, 'shard')}: ${trouble}`]),
      ...waitProblems(`${kind} ${name}`, waiting),
    ]
  })
}

/** What waits and goes on by itself, and what is parked: a reason a line, with what to do. */
export function notesOf(shown: readonly Shown[]): readonly string[] {
  return shown.flatMap(({ kind, name, state, waiting, trouble, parkedStreams }) => [
    ...waitNotes(`${kind} ${name}`, waiting),
    ...(waiting === undefined && state === 'waiting' && trouble !== undefined
      ? [`${kind} ${name} waits, and tries again: ${oneLine(trouble)}`]
      : []),
    ...(parkedStreams === 0
      ? []
      : [`${kind} ${name} has parked events of ${counted(parkedStreams, 'stream')}: penhold parked list ${name}`]),
  ])
}

/** One that waits for a moment is nobody's problem. */
export function waitNotes(who: string, wait: ShownWait | undefined): readonly string[] {
  return wait === undefined || wait.ms >= WAITING_MS ? [] : [waitLine(who, wait)]
}

/** One that waits for long. */
export function waitProblems(who: string, wait: ShownWait | undefined): readonly string[] {
  return wait === undefined || wait.ms < WAITING_MS ? [] : [waitLine(who, wait)]
}

function waitLine(who: string, { shards, ms, reason }: ShownWait): string {
  const since = `${Math.round(ms / 1000)} s`
  return `${who} waits in ${counted(shards, 'shard')} since ${since}, and tries again: ${oneLine(reason)}`
}
