/** What is done by hand with parked events: they are retried, in order, or skipped, and never without somebody saying so. */
import { reasonOf } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import type { HandlerFailure } from './attempt.ts'
import { projectionState } from './error.ts'
import type { FeedEvent, Feeds } from './event-feed.ts'
import type { Held, Lane } from './lane.ts'
import { ParkedReader } from './parked-reader.ts'
import type { ParkedEvent, ReadModel } from './read-model.ts'

/** A parked event, as it is told to who looks after them. */
export interface Parked extends Omit<ParkedEvent, 'reason' | 'parkedAt'> {
  /** What its handler threw; undefined for one that waits behind another of its stream. */
  readonly reason: string | undefined
  readonly parkedAt: Date
}

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

export function toParked({ reason, parkedAt, ...event }: ParkedEvent): Parked {
  return { ...event, reason: reason === '' ? undefined : reason, parkedAt: new Date(parkedAt) }
}

/** Retries the parked events of a stream until none is left, or one fails. What is parked meanwhile is retried too. */
export async function retryParked(lane: Lane<any>, stream: string, options: ParkingOptions): Promise<Retried> {
  const { readModel, generation, feeds, clock } = options
  const reader = new ParkedReader(stream, feeds)
  let done = 0
  try {
    for (;;) {
      // While they are read the lane goes on with its other streams.
      const ahead = await reader.take(await readModel.parked(generation, { stream, limit: RETRIED_TOGETHER }))
      const step = await lane.between((held) => retrySome(held, { stream, ahead }, options))
      done += step.done
      if (step.isOver || step.failure !== undefined) return { done, failed: step.failure && told(step.failure) }
      await clock.yield()
    }
  } finally {
    await reader.close()
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
  { stream, ahead }: { readonly stream: string; readonly ahead: readonly FeedEvent[] },
  { readModel, generation }: ParkingOptions,
): Promise<RetriedSome> {
  const parked = await readModel.parked(generation, { stream, limit: RETRIED_TOGETHER })
  // Somebody else may have retried some meanwhile, or skipped them.
  const read = new Map(ahead.map((event) => [event.version, event]))
  const missing = parked.findIndex(({ version }) => !read.has(version))
  const ready = missing < 0 ? parked : parked.slice(0, missing)
  let events = ready.map(({ version }) => read.get(version)!)
  let failure: HandlerFailure | undefined
  while (events.length > 0) {
    const failed = await commit({ to: place, park: [], unpark: events, events })
    if (failed === undefined) break
    failure = failed
    events = events.slice(0, events.indexOf(failed.event))
  }
  const isOver = failure === undefined && missing < 0 && parked.length < RETRIED_TOGETHER
  if (isOver) emptied(stream)
  return { done: events.length, failure, isOver }
}

function told({ event: { version, type }, error }: HandlerFailure): NonNullable<Retried['failed']> {
  return { version, type, reason: reasonOf(error) }
}
