/**
 * What keeps a generation that is being rebuilt from going live until somebody does something, and those who wait for its
 * end: who would wait in vain is told what to do.
 */
import type { PenholdError } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import type { Bell } from './bell.ts'
import { generationOf, rebuildOf, type Control, type Generation } from './control.ts'
import { generationAside, rebuildHeldBack, rebuildPaused, rebuildUnderWay, waitAborted, waitsInVain } from './error.ts'
import type { Feeds } from './event-feed.ts'
import { comesLevel } from './level.ts'
import type { Projection } from './projection.ts'
import type { Projector } from './projector.ts'
import type { ReadModel } from './read-model.ts'

export interface UnfinishedOptions {
  readonly projection: Projection
  readonly readModel: ReadModel<any>
  readonly feeds: Feeds
  readonly clock: Clock
  /** Rings whenever a lane that runs here has come further, and the record has changed. */
  readonly changes: Bell
  /** As it was known last. */
  readonly control: () => Control
  /** What is rebuilt here. */
  readonly rebuild: () => Projector<any> | undefined
  readonly isClosed: () => boolean
}

const LOOK_MS = 1_000

/**
 * Resolves once the generation is not being rebuilt any more: to whether it has gone live.
 * @throws PenholdError `ProjectionState` where it waits for somebody, `ProjectionHalted` where it stands still here; `Aborted`
 */
export async function untilRebuilt(
  number: number,
  options: UnfinishedOptions & { readonly signal: AbortSignal | undefined },
): Promise<boolean> {
  const { projection, clock, changes, control, signal } = options
  let lookAt = clock.monotonic() + LOOK_MS
  while (rebuildOf(control())?.number === number) {
    if (signal?.aborted === true) throw waitAborted(projection.name, signal.reason)
    refuseInVain(number, options)
    const leftMs = lookAt - clock.monotonic()
    if (leftMs > 0) {
      await changes.rungWithin(clock, leftMs)
      continue
    }
    const streams = await streamsHoldingBack(number, options)
    if (streams > 0) throw rebuildHeldBack(projection.name, number, streams)
    lookAt = clock.monotonic() + LOOK_MS
  }
  return generationOf(control(), number)?.state === 'kept'
}

/** Why nothing else is begun while there is this generation. */
export async function unfinishedError(
  { number, state }: Generation,
  options: UnfinishedOptions,
): Promise<PenholdError> {
  const { name } = options.projection
  if (state === 'aside') return generationAside(name, number)
  const streams = await streamsHoldingBack(number, options)
  return streams > 0 ? rebuildHeldBack(name, number, streams) : rebuildUnderWay(name, number)
}

/** As far as it is known at once. */
function refuseInVain(number: number, { projection, feeds, control, rebuild, isClosed }: UnfinishedOptions): void {
  const { name } = projection
  if (isClosed()) throw waitAborted(name, 'it is closed')
  if (control().isPaused) throw rebuildPaused(name, number)
  const here = rebuild()
  const halted = here?.generation === number ? here.halted(feeds.lanes) : undefined
  if (halted !== undefined) throw waitsInVain(name, halted)
}

/**
 * Of so many streams it has parked events with which it does not go live by itself, and all else; 0 where it has not caught
 * up, where somebody has said that it may, and where its store does not say.
 */
async function streamsHoldingBack(number: number, options: UnfinishedOptions): Promise<number> {
  const { readModel, control, rebuild, isClosed } = options
  const isHeldBack = (): boolean => {
    const unfinished = rebuildOf(control())
    return !isClosed() && unfinished?.number === number && unfinished.state !== 'accepted'
  }
  try {
    if (!isHeldBack() || (await readModel.parkedStreams(number)).size === 0) return 0
    const live = generationOf(control(), control().live)!
    const place: Projector<any>['place'] = (lane) => {
      const here = rebuild()
      return here?.generation === number ? here.place(lane) : undefined
    }
    const isLevel = await comesLevel({ generation: number, place }, { ...options, live, isOver: () => !isHeldBack() })
    // Some may have been retried meanwhile.
    return isLevel && isHeldBack() ? (await readModel.parkedStreams(number)).size : 0
  } catch {
    return 0
  }
}
