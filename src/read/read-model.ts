/**
 * The port to where a projection keeps its read model. One promise makes a projection effectively once: the change of
 * the read model, how far it has come, and what was parked are committed together, or nothing of it is.
 *
 * A projection has generations of its read model: one is live, and is what queries see; others are being rebuilt, or are
 * kept to go back to. Each is complete in itself: model, places and parked events. What each is there for is kept beside
 * them (control.ts), so that what is damaged in one is in nobody's way.
 */
import { BEGINNING, type AllPlace } from './all.ts'
import type { Controlled } from './control.ts'

/** Where a projection puts its read model, as a user names it in a definition. */
export interface ReadModelStore<Model> {
  /**
   * Opens a projection's read model, and makes it, with an empty first generation, where there is none. A store of files
   * has its relative paths begin at the data directory; at the working directory where none is named.
   * @throws PenholdError `BadDefinition` for a name that is none; `ReadModelUnusable` where what is kept cannot be read
   */
  open(projection: string, dataDir?: string): Promise<ReadModel<Model>>
}

/**
 * Each call ends in a bounded time, well or not. Any may throw `ReadModelUnavailable`, where the store does not answer: the
 * same can succeed later, and `places` says whether a change was made; `ReadModelUnusable`, where what is kept is damaged;
 * and `NoSuchGeneration`.
 */
export interface ReadModel<Model> extends Controlled {
  /** How far each lane has come. Those that are not named stand at the beginning. */
  places(generation: number): Promise<ReadonlyMap<string, AllPlace>>
  /**
   * Changes a generation, whole or not at all; durable, as far as the store is, when it resolves.
   * @throws LaneMoved where the lane does not stand at `from`, or what is to be unparked is not parked: somebody else runs
   * it. What `apply` throws is passed on, but for what the store itself has failed in it.
   */
  commit(generation: number, change: Change<Model>): Promise<void>
  /** Reads a generation. What `ask` changes is undone, or refused. */
  query<Answer>(generation: number, ask: (model: Model) => Answer | Promise<Answer>): Promise<Answer>

  /** Streams that have parked events. */
  parkedStreams(generation: number): Promise<ReadonlySet<string>>
  /** Parked events, by stream and version; those of one stream where it is named. */
  parked(
    generation: number,
    options: { readonly stream?: string; readonly limit: number },
  ): Promise<readonly ParkedEvent[]>

  close(): Promise<void>
}

/** One step of one lane: a row of events with an order of its own. `all` is the lane of those that read `$all` in order. */
export interface Change<Model> {
  readonly lane: string
  /** Where the lane stands before, and after. They may be the same, where only parked events are changed. */
  readonly from: AllPlace
  readonly to: AllPlace
  /** Parked events that are done with. */
  readonly unpark: readonly { readonly stream: string; readonly version: number }[]
  /** Events that are to be parked, after `unpark`; those that are parked already keep their reason. */
  readonly park: readonly ParkedEvent[]
  /** Changes the read model. */
  readonly apply: (model: Model) => void | Promise<void>
}

/** An event that a projection could not handle, or that stands behind one of the same stream. */
export interface ParkedEvent {
  readonly stream: string
  readonly version: number
  readonly place: AllPlace
  readonly type: string
  /** What its handler threw; empty for one that waits behind another. */
  readonly reason: string
  /** Milliseconds since 1970. */
  readonly parkedAt: number
}

/** The lane stands elsewhere than its runner thinks. */
export class LaneMoved extends Error {
  override readonly name = 'LaneMoved'

  constructor(lane: string, from: AllPlace) {
    super(`lane ${lane} does not stand at position ${from.position} any more: somebody else runs this projection`)
  }
}

/** Whether a lane stands at a place. One that no place is known of stands at the beginning. */
export function isAt(lane: AllPlace | undefined, { position, shard }: AllPlace): boolean {
  const at = lane ?? BEGINNING
  return at.position === position && at.shard === shard
}
