/** What has become of the rebuild of a generation, as all nodes say together that run lanes of the projection. Pure. */
import type { RebuildStatus } from '../read/projection-status.ts'
import { runs, type Sighting } from './projection-sightings.ts'
import { counted } from './report.ts'

export type Outcome =
  | { readonly kind: 'live' }
  /** `fraction` of it is done, over all lanes, whichever nodes run them. */
  | { readonly kind: 'under way'; readonly fraction: number }
  /** It does not go on by itself: why, and what to do. */
  | { readonly kind: 'stuck'; readonly problem: string }
  /** Nobody takes part in it. Where that is still so after a while, it is stuck: nodes hear of what others did a second later. */
  | { readonly kind: 'unheard of'; readonly problem: string }

/** What one of the nodes says of the generation. */
interface Part {
  readonly node: string
  readonly rebuild: RebuildStatus
}

export function comeTo(sightings: readonly Sighting[], name: string, generation: number): Outcome {
  const running = sightings.filter((sighting) => runs(sighting))
  if (running.some(({ status }) => status.generation === generation)) return { kind: 'live' }
  const parts = running.flatMap(({ member, status: { rebuild } }): readonly Part[] =>
    rebuild?.generation === generation ? [{ node: member.name, rebuild }] : [],
  )
  const it = `generation ${generation} of ${name}`
  if (parts.length === 0) {
    // Whoever waits for its store knows of nothing that is new there.
    if (running.some(({ status }) => status.state === 'waiting')) return { kind: 'under way', fraction: 0 }
    const isAside = running.some(({ status }) => status.unfinished === generation)
    return { kind: 'unheard of', problem: `${it} ${isAside ? asideProblem(name) : GONE_PROBLEM}` }
  }
  const nowhere = nowhereOf(sightings)
  // Who could not open the store does not run the lanes that are its.
  const unopened = nowhere.size === 0 ? [] : sightings.filter((one) => !runs(one) && one.status.state === 'halted')
  const problem = haltedProblem(name, parts, unopened) ?? (nowhere.size === 0 ? waitingProblem(name, parts) : undefined)
  if (problem !== undefined) return { kind: 'stuck', problem: `${it} ${problem}` }
  return { kind: 'under way', fraction: fractionOf(parts, lanesOf(running).size) }
}

const GONE_PROBLEM = 'is not there any more: somebody has aborted its rebuild'

function asideProblem(name: string): string {
  return `is not rebuilt any more: somebody has gone back from it; run penhold projection rebuild ${name} --resume, and it goes live again, or --abort`
}

/** One lane that stands still keeps all from going live. */
function haltedProblem(name: string, parts: readonly Part[], unopened: readonly Sighting[]): string | undefined {
  const troubles = [
    ...parts.flatMap(({ node, rebuild: { state, trouble } }) => (state === 'halted' ? [[node, trouble]] : [])),
    ...unopened.map(({ member, status: { trouble } }) => [member.name, trouble]),
  ].map(([node, trouble]) => `at ${node}: ${trouble}`)
  if (troubles.length === 0) return undefined
  return `stands still ${troubles.join('; ')}; then run penhold projection resume ${name}, or penhold projection rebuild ${name} --abort`
}

/** What all wait for that somebody has to decide. Once that is done, others hear of it a second later than who was told. */
function waitingProblem(name: string, parts: readonly Part[]): string | undefined {
  if (parts.every(({ rebuild }) => rebuild.state === 'paused'))
    return `is begun and waits, as ${name} is paused; run penhold projection resume ${name}, and it goes on`
  if (!parts.every(({ rebuild: { state, isHeldBack } }) => state === 'caught up' && isHeldBack)) return undefined
  const parked = Math.max(...parts.map(({ rebuild }) => rebuild.parkedStreams ?? 0))
  return `has caught up, and does not go live by itself, as it has parked events of ${counted(parked, 'stream')}; see penhold projection parked list ${name} --rebuild, retry or skip them, or run penhold projection promote ${name}`
}

/** Each node tells of the lanes that it runs: all count the same, and those that run nowhere have done nothing. */
function fractionOf(parts: readonly Part[], lanes: number): number {
  const done = parts.reduce((sum, { rebuild }) => sum + rebuild.fraction * rebuild.lanes.length, 0)
  return done / Math.max(1, lanes)
}

/** All lanes that are known of. */
function lanesOf(running: readonly Sighting[]): ReadonlySet<string> {
  return new Set(
    running.flatMap(({ status }) => [...status.lanes, ...(status.elsewhere ?? [])].map(({ lane }) => lane)),
  )
}

/** Lanes that no node says it runs. */
function nowhereOf(sightings: readonly Sighting[]): ReadonlySet<string> {
  const here = new Set(sightings.flatMap(({ status }) => status.lanes.map(({ lane }) => lane)))
  return new Set([...lanesOf(sightings)].filter((lane) => !here.has(lane)))
}
