/** How a lane is doing, as it is told to people and probes. */
import { reasonOf } from '../aggregate/error.ts'
import { msBetween } from '../log/position.ts'
import type { AllPlace } from './all.ts'
import type { EventFeed } from './event-feed.ts'

/**
 * `running`: it has events to handle. `caught up`: it has handled all that the log has. `waiting`: something failed and is
 * tried again by itself. `paused`: by hand. `halted`: it stands still until somebody mends what is wrong.
 */
export type LaneState = 'running' | 'caught up' | 'waiting' | 'paused' | 'halted'

export interface LaneStatus {
  readonly lane: string
  readonly state: LaneState
  readonly place: AllPlace
  /** The log's greatest position, asked for now; undefined where the feed does not say. */
  readonly head: number | undefined
  /** What lies between; undefined where the head is not known, and where it is not known yet where the lane stands, or it has not begun. */
  readonly lag: Lag | undefined
  /** Events that had a handler and took effect, since it was started. */
  readonly events: number
  /** So long ago it came to where it stands. Where there is a lag and this grows, it is stuck. */
  readonly stillMs: number
  /** What keeps it from going on. */
  readonly trouble: Trouble | undefined
}

export interface Lag {
  readonly positions: number
  readonly ms: number
}

export interface Trouble {
  readonly message: string
  /** So often it was tried. */
  readonly attempts: number
  /** The event that is to blame, where it is one. */
  readonly event: { readonly stream: string; readonly version: number; readonly type: string } | undefined
}

/** A lane as it sees itself. */
export type LaneSight = Pick<LaneStatus, 'lane' | 'place' | 'events' | 'stillMs' | 'trouble'> & {
  /** Its state, as far as it is known without asking the log. */
  readonly condition: LaneState
  /** Whether it is known where it stands. */
  readonly isPlaced: boolean
}

/** How a lane is doing, compared with how far its row goes by now. */
export async function statusOf(feed: EventFeed, look: () => LaneSight): Promise<LaneStatus> {
  let head: number | undefined
  let unknown: Trouble | undefined
  try {
    head = await feed.head()
  } catch (error) {
    unknown = { message: `the log's head is not known: ${reasonOf(error)}`, attempts: 1, event: undefined }
  }
  const { condition, isPlaced, ...sight } = look()
  const { place, trouble } = sight
  const isLevel = head !== undefined && isPlaced && place.position >= head
  return {
    ...sight,
    state: condition !== 'running' ? condition : head === undefined ? 'waiting' : isLevel ? 'caught up' : 'running',
    head,
    lag: head === undefined || !isPlaced ? undefined : lagOf(place, head),
    trouble: trouble ?? unknown,
  }
}

/** Undefined for a lane at the beginning: positions count from a fixed day, which is no event's. */
export function lagOf(place: AllPlace, head: number): Lag | undefined {
  if (place.position >= head) return { positions: 0, ms: 0 }
  if (place.position === 0) return undefined
  return { positions: head - place.position, ms: Math.max(0, msBetween(place.position, head)) }
}

/** What a whole is, of which these are the parts: what needs somebody first. `elsewhere`: no part of it runs here. */
export function worstState(states: readonly LaneState[]): LaneState | 'elsewhere' {
  if (states.length === 0) return 'elsewhere'
  const order: readonly LaneState[] = ['halted', 'waiting', 'paused', 'running']
  return order.find((state) => states.includes(state)) ?? 'caught up'
}
