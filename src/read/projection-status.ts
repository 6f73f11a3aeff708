/** How a projection is doing: its live generation, and the one that is being rebuilt beside it. */
import { reasonOf } from '../aggregate/error.ts'
import type { Feeds } from './event-feed.ts'
import { lagOf, worstState, type Lag, type LaneState, type LaneStatus } from './lane-status.ts'
import type { Projector } from './projector.ts'
import type { ReadModel } from './read-model.ts'
import { BEGINNING, type AllPlace } from './all.ts'

export interface GenerationStatus {
  readonly generation: number
  /** Of all its lanes what needs somebody first; of those elsewhere it is only known whether they have caught up. */
  readonly state: LaneState
  /** Those that run here. */
  readonly lanes: readonly LaneStatus[]
  /** The others, by what their store and the log say; undefined where one of these does not answer. */
  readonly elsewhere: readonly LaneElsewhere[] | undefined
  /** Of the lane that is furthest behind; undefined where one does not know. */
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
  readonly lag: Lag
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

/** Whose status is asked for. */
export interface StatusOptions {
  readonly projector: Projector<any>
  readonly readModel: ReadModel<any>
  readonly feeds: Feeds
}

export async function generationStatus({ projector, readModel, feeds }: StatusOptions): Promise<GenerationStatus> {
  const { generation } = projector
  const lanes = await projector.status()
  let parkedStreams: number | undefined
  let elsewhere: readonly LaneElsewhere[] | undefined
  let problem: string | undefined
  try {
    parkedStreams = (await readModel.parkedStreams(generation)).size
    const others = feeds.lanes.filter((name) => !lanes.some(({ lane }) => lane === name))
    elsewhere = others.length === 0 ? [] : await statusElsewhere(others, await readModel.places(generation), feeds)
  } catch (error) {
    problem = reasonOf(error)
  }
  const isBehind = elsewhere?.some(({ lag }) => lag.positions > 0) === true
  const state = worstState([...lanes.map((lane) => lane.state), isBehind ? 'running' : 'caught up'])
  return {
    generation,
    state: problem !== undefined && state !== 'halted' ? 'waiting' : state,
    lanes,
    elsewhere,
    lag: elsewhere && greatestLag([...lanes, ...elsewhere]),
    events: projector.events,
    parkedStreams,
    trouble: lanes.find((lane) => lane.state === state && lane.trouble !== undefined)?.trouble?.message ?? problem,
  }
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
