/**
 * Who waits for the first attempt of a synchronous reactor at an event, and what is known of that. A lane has an event tried as it
 * always does, and says when something has changed; nothing that waits changes what it does.
 *
 * What is known follows from where the lane stands, and is kept nowhere: so it is the same for an event that was done before
 * anybody asked, and for a lane that has begun anew meanwhile.
 */
import type { Clock } from '../log/clock.ts'
import type { LaneState } from '../read/lane-status.ts'
import { comparePlaces } from '../read/place.ts'
import type { ParkedRetry } from './parked-retry.ts'
import type { Window } from './window.ts'

/** An event that is wanted by whoever is to try it. */
export interface AwaitedEvent {
  readonly stream: string
  readonly shard: number
  readonly version: number
  readonly position: number
  /** Its number in its shard. */
  readonly seq: number
}

export type Attempted =
  | { readonly kind: 'done' }
  /** It was tried, or is not tried before somebody sees to what is parked. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** It was not tried to its end. */
  | { readonly kind: 'pending'; readonly reason: string }

export interface LaneView {
  readonly window: Window
  readonly parked: Pick<ParkedRetry, 'before'>
  readonly isClosed: boolean
  readonly condition: LaneState
}

/** Where so many events of the shard are still to be read before one, nobody waits for it. */
export const UNREAD_MAX = 1_000

/** Also where no lane runs that could know more. */
export const LEFT: Attempted = pending('its shard has left this node')

/** What a lane knows of its first attempt at an event; undefined before there was one. */
export function attemptedBy(lane: LaneView, event: AwaitedEvent): Attempted | undefined {
  const { isClosed, condition } = lane
  const known = knownOf(lane, event)
  if (known !== undefined) return known
  if (isClosed) return LEFT
  if (condition === 'paused' || condition === 'halted') return pending(`it is ${condition}`)
  return undefined
}

function knownOf({ window, parked }: LaneView, event: AwaitedEvent): Attempted | undefined {
  const { stream, version } = event
  if (comparePlaces(event, window.read) > 0) {
    const unread = event.seq - 1 - (window.readSeq ?? event.seq)
    return unread > UNREAD_MAX ? pending(`it has ${unread} events of the shard to read before`) : undefined
  }
  const before = parked.before(event)
  if (before !== undefined)
    return { kind: 'failed', reason: `version ${before} of ${stream} is parked, and all behind it` }
  const first = window.firstOf(stream, version)
  if (first === undefined) return { kind: 'done' }
  if (first.failures === 0) return undefined
  const { reason } = first
  if (first.event.version === version) return { kind: 'failed', reason }
  return pending(`it waits behind version ${first.event.version} of ${stream}, which fails: ${reason}`)
}

function pending(reason: string): Attempted {
  return { kind: 'pending', reason }
}

/** Somebody who waits. */
interface Waiting {
  readonly look: () => void
}

/** Who waits at a node for the first attempts of one reactor in one shard. */
export class AttemptsAwaited {
  readonly #clock: Clock
  /** By stream. */
  readonly #waiting = new Map<string, Set<Waiting>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves as soon as it is known what has become of the first attempt, or after `ms`. */
  async attempted(stream: string, ms: number, look: () => Attempted | undefined): Promise<Attempted> {
    const known = look()
    if (known !== undefined) return known
    return await new Promise((resolve) => {
      const end = (attempted: Attempted): void => {
        cancel()
        this.#remove(stream, waiting)
        resolve(attempted)
      }
      const waiting: Waiting = {
        look: () => {
          const now = look()
          if (now !== undefined) end(now)
        },
      }
      const cancel = this.#clock.after(ms, () => end(pending('it was not done in time')))
      this.#add(stream, waiting)
    })
  }

  /** More may be known of events of a stream, or of all. */
  look(stream?: string): void {
    if (this.#waiting.size === 0) return
    const all = stream === undefined ? [...this.#waiting.values()] : [this.#waiting.get(stream) ?? []]
    for (const some of all) for (const waiting of some) waiting.look()
  }

  #add(stream: string, waiting: Waiting): void {
    const others = this.#waiting.get(stream)
    if (others === undefined) this.#waiting.set(stream, new Set([waiting]))
    else others.add(waiting)
  }

  #remove(stream: string, waiting: Waiting): void {
    const others = this.#waiting.get(stream)
    others?.delete(waiting)
    if (others?.size === 0) this.#waiting.delete(stream)
  }
}
