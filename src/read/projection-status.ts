/** How a projection is doing: its live generation, and the one that is being rebuilt beside it. */
import { worstState, type Lag, type LaneState, type LaneStatus } from './lane-status.ts'
import type { Projector } from './projector.ts'
import type { ReadModel } from './read-model.ts'
import { reasonOf } from './error.ts'
import type { AllPlace } from './all.ts'

export interface GenerationStatus {
  readonly generation: number
  /** Of all its lanes that run here what needs somebody first. */
  readonly state: LaneState
  readonly lanes: readonly LaneStatus[]
  /** Of the lane that is furthest behind; undefined where one does not know. */
  readonly lag: Lag | undefined
  /** Events that had a handler and took effect, since it was started here. */
  readonly events: number
  /** Streams that have parked events; undefined where the store does not say. */
  readonly parkedStreams: number | undefined
  readonly trouble: string | undefined
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

export async function generationStatus(
  projector: Projector<any>,
  readModel: ReadModel<any>,
): Promise<GenerationStatus> {
  const lanes = await projector.status()
  let parkedStreams: number | undefined
  let problem: string | undefined
  try {
    parkedStreams = (await readModel.parkedStreams(projector.generation)).size
  } catch (error) {
    problem = reasonOf(error)
  }
  const state = worstState(lanes.map((lane) => lane.state))
  return {
    generation: projector.generation,
    state: problem !== undefined && state !== 'halted' ? 'waiting' : state,
    lanes,
    lag: greatestLag(lanes),
    events: projector.events,
    parkedStreams,
    trouble: lanes.find((lane) => lane.state === state && lane.trouble !== undefined)?.trouble?.message ?? problem,
  }
}

export async function rebuildStatus(
  projector: Projector<any>,
  readModel: ReadModel<any>,
  { live, isParkedAccepted }: { readonly live: (lane: string) => AllPlace; readonly isParkedAccepted: boolean },
): Promise<RebuildStatus> {
  const status = await generationStatus(projector, readModel)
  const isHeldBack = (status.parkedStreams ?? 0) > 0 && !isParkedAccepted
  return { ...status, fraction: projector.fraction(live), isHeldBack }
}

function greatestLag(lanes: readonly LaneStatus[]): Lag | undefined {
  let greatest: Lag = { positions: 0, ms: 0 }
  for (const { lag } of lanes) {
    if (lag === undefined) return undefined
    if (lag.positions > greatest.positions) greatest = lag
  }
  return greatest
}
