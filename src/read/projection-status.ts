/** How a projection is doing: its live generation, and the one that is being rebuilt beside it. */
import { within, type Clock } from '../log/clock.ts'
import { worstState, type Lag, type LaneState, type LaneStatus } from './lane-status.ts'
import type { Projector } from './projector.ts'
import type { ReadModel } from './read-model.ts'
import { reasonOf } from './error.ts'
import type { AllPlace } from './all.ts'

export interface GenerationStatus {
  /** 0 where the store could not be opened yet. */
  readonly generation: number
  /** Of all its lanes that run here what needs somebody first; `elsewhere` where none does. */
  readonly state: LaneState | 'elsewhere'
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
  /** A rebuild that was begun and does not run here: resume it, or abort it. */
  readonly unfinished: number | undefined
  /** The generation to which `rollBack` goes. */
  readonly previous: number | undefined
}

/** How a projection is, as far as that is known without asking log or store; so it is never `caught up`. */
export interface ProjectionCondition {
  readonly name: string
  readonly state: LaneState | 'elsewhere'
  /** Of the generation that is rebuilt here beside the live one. */
  readonly rebuild: LaneState | 'elsewhere' | undefined
}

/** A store that does not answer holds up nobody who wants to know how things are. */
const ANSWER_MS = 1_000

export async function generationStatus(
  projector: Projector<any>,
  { readModel, clock }: { readonly readModel: ReadModel<any>; readonly clock: Clock },
): Promise<GenerationStatus> {
  let parkedStreams: number | undefined
  let problem: string | undefined = `its store has not answered within ${ANSWER_MS} ms`
  const asked = readModel.parkedStreams(projector.generation).then(
    ({ size }) => {
      parkedStreams = size
      problem = undefined
    },
    (error: unknown) => void (problem = reasonOf(error)),
  )
  const [lanes] = await Promise.all([projector.status(), within(clock, ANSWER_MS, asked)])
  const state = worstState(lanes.map((lane) => lane.state))
  return {
    generation: projector.generation,
    state: problem === undefined || state === 'halted' || state === 'elsewhere' ? state : 'waiting',
    lanes,
    lag: greatestLag(lanes),
    events: projector.events,
    parkedStreams,
    trouble: lanes.find((lane) => lane.state === state && lane.trouble !== undefined)?.trouble?.message ?? problem,
  }
}

export async function rebuildStatus(
  projector: Projector<any>,
  {
    live,
    isParkedAccepted,
    ...ports
  }: {
    readonly readModel: ReadModel<any>
    readonly clock: Clock
    readonly live: (lane: string) => AllPlace
    readonly isParkedAccepted: boolean
  },
): Promise<RebuildStatus> {
  const status = await generationStatus(projector, ports)
  const isHeldBack = (status.parkedStreams ?? 0) > 0 && !isParkedAccepted
  return { ...status, fraction: projector.fraction(live), isHeldBack }
}

function greatestLag(lanes: readonly LaneStatus[]): Lag | undefined {
  if (lanes.length === 0) return undefined
  let greatest: Lag = { positions: 0, ms: 0 }
  for (const { lag } of lanes) {
    if (lag === undefined) return undefined
    if (lag.positions > greatest.positions) greatest = lag
  }
  return greatest
}
