/** How a projection is doing: its live generation, and the one that is being rebuilt beside it. */
import { reasonOf } from '../aggregate/error.ts'
import { within, type Clock } from '../log/clock.ts'
import type { Feeds } from './event-feed.ts'
import { lagOf, worstState, type Lag, type LaneState, type LaneStatus } from './lane-status.ts'
import type { Projector } from './projector.ts'
import type { ReadModel } from './read-model.ts'
import { BEGINNING, type AllPlace } from './all.ts'

/**
 * Of all lanes that run here what needs somebody first. `elsewhere`: none does. `starting`: none does yet; its store is being
 * opened for the first time, or its lanes are about to run here.
 */
export type ProjectionState = LaneState | 'elsewhere' | 'starting'

export interface GenerationStatus {
  /** 0 where the store could not be opened yet. */
  readonly generation: number
  /** Of lanes that run at other nodes it is only known whether they have caught up. */
  readonly state: ProjectionState
  /** Those that run here. */
  readonly lanes: readonly LaneStatus[]
  /** The others, by what their store and the log say; undefined where one of these does not answer. */
  readonly elsewhere: readonly LaneElsewhere[] | undefined
  /** Of the lane that is furthest behind; undefined where one does not know, or has not begun. */
  readonly lag: Lag | undefined
  /** Events that had a handler and took effect here, since it was started. */
  readonly events: number
  /** Streams that have parked events; undefined where the store does not say. */
  readonly parkedStreams: number | undefined
  readonly trouble: string | undefined
}

/** A lane that runs at another node, or nowhere at the moment. */
export interface LaneElsewhere {
  readonly lane: string
  readonly place: AllPlace
  readonly head: number
  /** Undefined where it has not begun. */
  readonly lag: Lag | undefined
}

export interface RebuildStatus extends GenerationStatus {
  /** Which part is done, from 0 to 1, of what was to be done when it was begun or resumed here. */
  readonly fraction: number
  /** It has parked events, and goes live only once they are retried, skipped, or accepted with `promote`. */
  readonly isHeldBack: boolean
}

export interface ProjectionStatus extends GenerationStatus {
  readonly name: string
  readonly rebuild: RebuildStatus | undefined
  /** A generation from which somebody went back, or whose rebuild was not quite begun: resume it, or abort it. */
  readonly unfinished: number | undefined
  /** The generation to which `rollBack` goes. */
  readonly previous: number | undefined
}

/** How a projection is, as far as that is known without asking log or store; so it is never `caught up`. */
export interface ProjectionCondition {
  readonly name: string
  readonly state: ProjectionState
  /** Of the generation that is rebuilt here beside the live one. */
  readonly rebuild: ProjectionState | undefined
}

/** Whose status is asked for. */
export interface StatusOptions {
  readonly projector: Projector<any>
  readonly readModel: ReadModel<any>
  readonly feeds: Feeds
  readonly clock: Clock
}

/** A store that does not answer holds up nobody who wants to know how things are. */
const ANSWER_MS = 1_000

export async function generationStatus(options: StatusOptions): Promise<GenerationStatus> {
  const { projector, clock } = options
  let answer: Partial<Kept> & { problem?: string } = { problem: `its store has not answered within ${ANSWER_MS} ms` }
  const own = projector.status()
  const asked = askStore(options, own).then(
    (kept) => void (answer = kept),
    (error: unknown) => void (answer = { problem: reasonOf(error) }),
  )
  const [lanes] = await Promise.all([own, within(clock, ANSWER_MS, asked)])
  const { parkedStreams, elsewhere, problem } = answer
  const state = stateOf(lanes, { elsewhere, problem })
  return {
    generation: projector.generation,
    state,
    lanes,
    elsewhere,
    lag: elsewhere && greatestLag([...lanes, ...elsewhere]),
    events: projector.events,
    parkedStreams,
    trouble: lanes.find((lane) => lane.state === state && lane.trouble !== undefined)?.trouble?.message ?? problem,
  }
}

/** What the store has to be asked for. */
interface Kept {
  readonly parkedStreams: number
  readonly elsewhere: readonly LaneElsewhere[]
}

async function askStore(
  { projector: { generation }, readModel, feeds }: StatusOptions,
  own: Promise<readonly LaneStatus[]>,
): Promise<Kept> {
  const parkedStreams = (await readModel.parkedStreams(generation)).size
  const here = new Set((await own).map(({ lane }) => lane))
  const others = feeds.lanes.filter((name) => !here.has(name))
  const elsewhere = others.length === 0 ? [] : await statusElsewhere(others, await readModel.places(generation), feeds)
  return { parkedStreams, elsewhere }
}

function stateOf(
  lanes: readonly LaneStatus[],
  { elsewhere, problem }: { readonly elsewhere: Kept['elsewhere'] | undefined; readonly problem: string | undefined },
): GenerationStatus['state'] {
  const own = worstState(lanes.map(({ state }) => state))
  if (own === 'halted' || own === 'elsewhere') return own
  if (problem !== undefined) return 'waiting'
  const isBehind = elsewhere?.some(({ lag }) => lag?.positions !== 0) === true
  return own === 'caught up' && isBehind ? 'running' : own
}

async function statusElsewhere(
  lanes: readonly string[],
  places: ReadonlyMap<string, AllPlace>,
  feeds: Feeds,
): Promise<readonly LaneElsewhere[]> {
  const heads = await feeds.heads()
  return lanes.map((lane) => {
    const [place, head] = [places.get(lane) ?? BEGINNING, heads.get(lane)!]
    return { lane, place, head, lag: lagOf(place, head) }
  })
}

export async function rebuildStatus(
  options: StatusOptions,
  { live, isParkedAccepted }: { readonly live: (lane: string) => AllPlace; readonly isParkedAccepted: boolean },
): Promise<RebuildStatus> {
  const status = await generationStatus(options)
  const isHeldBack = (status.parkedStreams ?? 0) > 0 && !isParkedAccepted
  return { ...status, fraction: options.projector.fraction(live), isHeldBack }
}

function greatestLag(lanes: readonly { readonly lag: Lag | undefined }[]): Lag | undefined {
  let greatest: Lag = { positions: 0, ms: 0 }
  for (const { lag } of lanes) {
    if (lag === undefined) return undefined
    if (lag.positions > greatest.positions) greatest = lag
  }
  return greatest
}
