/** What is done by hand with parked events: they are retried, in order, or skipped, and never without somebody saying so. */
import { reasonOf } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import type { HandlerFailure } from './attempt.ts'
import { projectionState } from './error.ts'
import type { FeedEvent, Feeds } from './event-feed.ts'
import type { Held, Lane } from './lane.ts'
import type { ParkedEvent, ReadModel } from './read-model.ts'

/** What has become of a stream's parked events. */
export interface Retried {
  /** So many have taken effect. */
  readonly done: number
  /** The one that has failed again; it and what stands behind it stay parked. */
  readonly failed: { readonly version: number; readonly type: string; readonly reason: string } | undefined
}

export interface ParkingOptions {
  readonly readModel: ReadModel<any>
  readonly generation: number
  readonly feeds: Feeds
  readonly clock: Clock
}

/** So many are retried in one commit, at most. */
const RETRIED_TOGETHER = 100
const LISTED_MAX = 10_000

/** Retries the parked events of a stream until none is left, or one fails. What is parked meanwhile is retried too. */
export async function retryParked(lane: Lane<any>, stream: string, options: ParkingOptions): Promise<Retried> {
  let done = 0
  for (;;) {
    const step = await lane.between((held) => retrySome(held, stream, options))
    done += step.done
    if (step.isOver || step.failure !== undefined) return { done, failed: step.failure && told(step.failure) }
    await options.clock.yield()
  }
}

/** Takes one event off the list of those that are parked, without its effect. */
export async function skipParked(
  lane: Lane<any>,
  { stream, version }: { readonly stream: string; readonly version: number },
  { readModel, generation }: ParkingOptions,
): Promise<ParkedEvent> {
  return await lane.between(async ({ place, commit, emptied }) => {
    const parked = await readModel.parked(generation, { stream, limit: LISTED_MAX })
    const event = parked.find((each) => each.version === version)
    if (event === undefined) throw projectionState(`version ${version} of ${stream} is not parked`)
    await commit({ to: place, park: [], unpark: [{ stream, version }], events: [] })
    if (parked.length === 1) emptied(stream)
    return event
  })
}

interface RetriedSome {
  readonly done: number
  readonly failure: HandlerFailure | undefined
  readonly isOver: boolean
}

async function retrySome(
  { place, commit, emptied }: Held,
  stream: string,
  { readModel, generation, feeds }: ParkingOptions,
): Promise<RetriedSome> {
  const parked = await readModel.parked(generation, { stream, limit: RETRIED_TOGETHER })
  let events: readonly FeedEvent[] = await Promise.all(parked.map(async (each) => await eventOf(each, feeds)))
  let failure: HandlerFailure | undefined
  while (events.length > 0) {
    const failed = await commit({ to: place, park: [], unpark: events, events })
    if (failed === undefined) break
    failure = failed
    events = events.slice(0, events.indexOf(failed.event))
  }
  const isOver = failure === undefined && parked.length < RETRIED_TOGETHER
  if (isOver) emptied(stream)
  return { done: events.length, failure, isOver }
}

async function eventOf(parked: ParkedEvent, feeds: Feeds): Promise<FeedEvent> {
  const event = await feeds.event(parked)
  if (event.stream === parked.stream && event.version === parked.version) return event
  throw projectionState(
    `version ${parked.version} of ${parked.stream} was parked, and the log has version ${event.version} of ${event.stream} there`,
  )
}

function told({ event: { version, type }, error }: HandlerFailure): NonNullable<Retried['failed']> {
  return { version, type, reason: reasonOf(error) }
}
