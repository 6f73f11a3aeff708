/** The port to what a projection reads: rows of events, first those that are there, then live. */
import type { EmittedEvent } from '../aggregate/aggregate.ts'
import type { RecordedEvent } from '../log/recorded-event.ts'
import type { Restoration } from '../log/restoration.ts'
import type { AllPlace } from './all.ts'
import type { Room } from './room.ts'

/**
 * An event in today's shape, with its place in the log. Data that cannot be brought to today's shape throws where it is
 * looked at: so it is that event's trouble, and not its feed's.
 */
export type FeedEvent<E extends EmittedEvent = EmittedEvent> = RecordedEvent<E> & {
  readonly shard: number
  /** The event's number in its shard: 1, 2, 3 … */
  readonly seq: number
}

/** Some events of a row, in the order of their places. */
export interface Page {
  readonly events: readonly FeedEvent[]
  /**
   * All that the row has up to here is in this page or an earlier one, so that a checkpoint may stand here, even where
   * there was no event. A feed says so too where nothing comes (`behind(position)`): others wait for a position.
   */
  readonly place: AllPlace
  /** What the events take in the log, for whoever keeps them. */
  readonly bytes: number
}

/** One row of events. */
export interface EventFeed {
  /**
   * Everything behind a place, and then what is made durable. The reader pulls: a page is made when it is asked for. The
   * first comes at once, empty where nothing is there. Ends only once the signal is aborted, and throws what keeps it from
   * going on, as an event that is missing; then it is opened anew.
   */
  pages(after: AllPlace, signal: AbortSignal): AsyncIterable<Page>
  /** The greatest position that is durable now: asked for, not remembered, so that the lag is one against the log. */
  head(): Promise<number>
}

/** The rows that a projection reads. A row's name is its lane's: `all`, or the number of a shard. */
export interface Feeds {
  /** All lanes of the projection, wherever they run. */
  readonly lanes: readonly string[]
  /** For what lanes read ahead, of these rows and others. */
  readonly room: Room
  feed(lane: string): EventFeed
  /**
   * By lane, how far its row goes, as of now or later: whoever has come there has all of the row that was acknowledged
   * before. Throws where that is not known in a bounded time.
   */
  heads(): Promise<ReadonlyMap<string, number>>
  /** How often the log was restored: what it has lost by that was read by some. */
  restorations(): Promise<readonly Restoration[]>
  /**
   * What a stream has from a version on, in order, for what was parked of it. A page of bounded size is read from the
   * stream's owner when it is asked for; what is appended after the first was need not come.
   */
  stream(name: string, from: number): AsyncGenerator<readonly FeedEvent[], void>
}
