/** Events in memory, as a log would have them, and the feeds that projections read them from. */
import type { Restoration } from '../../src/log/restoration.ts'
import { BEGINNING, type AllPlace } from '../../src/read/all.ts'
import { Bell } from '../../src/read/bell.ts'
import type { EventFeed, FeedEvent, Feeds, Page } from '../../src/read/event-feed.ts'
import { Room } from '../../src/read/room.ts'
import { behind, comparePlaces } from '../../src/read/place.ts'

export const SHARDS = 3
/** Positions are some time apart. */
const STEP = 4096

export class EventRow {
  readonly events: FeedEvent[] = []
  readonly changed = new Bell()
  /** So many events are in a page, at most. */
  pageMax = 3
  /** What each takes in the log. */
  eventBytes = 100
  /** The next pages fail, so many of them. */
  failures = 0
  /** The next feeds end, so many of them. */
  endings = 0
  /** Nobody knows how far the log goes. */
  isHeadless = false
  /** What the feeds change. */
  bend: (event: FeedEvent) => FeedEvent = (event) => event
  restorations: readonly Restoration[] = []
  /** How often a stream was begun to be read. */
  readings = 0
  /** Waited for before a page of a stream is read. */
  onReadAgain: () => Promise<void> = () => Promise.resolve()
  readonly #versions = new Map<string, number>()
  readonly #seqs = new Map<number, number>()
  #position: number

  constructor(position = 100 * STEP) {
    this.#position = position
  }

  /** Where the newest event is. */
  get head(): number {
    return this.#position
  }

  /** Adds an event. `isBeside`: at the position of the one before, where that is of a lower shard. */
  add(type: string, stream: string, data: unknown = {}, isBeside = false): FeedEvent {
    const shard = shardOf(stream)
    const last = this.events.at(-1)
    if (!(isBeside && last !== undefined && last.shard < shard)) this.#position += STEP
    const version = next(this.#versions, stream)
    const event: FeedEvent = {
      id: `${stream}/${version}`,
      type,
      data,
      stream,
      version,
      position: this.#position,
      time: new Date(0),
      metadata: { commandId: '', correlationId: '', causationId: '' },
      shard,
      seq: next(this.#seqs, shard),
    }
    this.events.push(event)
    this.changed.ring()
    return event
  }

  feeds(order: 'all' | 'shard' = 'all'): Feeds {
    const lanes = order === 'all' ? ['all'] : Array.from({ length: SHARDS }, (_, shard) => String(shard))
    return {
      lanes,
      room: new Room(),
      feed: (lane) => this.#feed(lane),
      heads: () =>
        this.isHeadless
          ? Promise.reject(new Error('the log is away'))
          : Promise.resolve(new Map(lanes.map((lane) => [lane, this.#headOf(lane)]))),
      restorations: () => Promise.resolve(this.restorations),
      stream: (name, from) => this.#stream(name, from),
    }
  }

  find(stream: string, version: number): FeedEvent {
    return this.events.find((event) => event.stream === stream && event.version === version)!
  }

  async *#stream(name: string, from: number): AsyncGenerator<readonly FeedEvent[], void> {
    this.readings += 1
    const events = this.events.filter(({ stream, version }) => stream === name && version >= from)
    for (let at = 0; at < events.length; at += this.pageMax) {
      await this.onReadAgain()
      yield events.slice(at, at + this.pageMax)
    }
  }

  #feed(lane: string): EventFeed {
    return {
      head: () =>
        this.isHeadless ? Promise.reject(new Error('the log is away')) : Promise.resolve(this.#headOf(lane)),
      pages: (after, signal) => this.#pages(lane, after, signal),
    }
  }

  /** Nobody says of a shard that nothing comes at a position: its row goes as far as its newest event. */
  #headOf(lane: string): number {
    if (lane === 'all') return this.#position
    return this.events.findLast(({ shard }) => String(shard) === lane)?.position ?? 0
  }

  async *#pages(lane: string, after: AllPlace, signal: AbortSignal): AsyncGenerator<Page> {
    let place = after
    let isFirst = true
    signal.addEventListener('abort', () => this.changed.ring())
    while (!signal.aborted) {
      if (this.failures > 0) {
        this.failures -= 1
        throw new Error('the feed fails')
      }
      if (this.endings > 0) {
        this.endings -= 1
        return
      }
      const rest = this.events.filter(
        (event) => comparePlaces(event, place) > 0 && (lane === 'all' || String(event.shard) === lane),
      )
      const events = rest.slice(0, this.pageMax)
      const end = lane === 'all' ? behind(this.#position) : place
      const to =
        events.length < rest.length
          ? placeOf(events.at(-1)!)
          : comparePlaces(end, place) > 0
            ? end
            : placeOf(events.at(-1) ?? place)
      if (isFirst || comparePlaces(to, place) !== 0) {
        isFirst = false
        place = to
        yield { events: events.map((event) => this.bend(event)), place, bytes: this.eventBytes * events.length }
      } else {
        await this.changed.rung()
      }
    }
  }
}

export function placeOf({ position, shard }: AllPlace): AllPlace {
  return { position, shard }
}

export function shardOf(stream: string): number {
  return (stream.codePointAt(stream.length - 1) ?? 0) % SHARDS
}

/** Whether an event lies up to a place of its lane. */
export function isUpTo(event: FeedEvent, places: ReadonlyMap<string, AllPlace>): boolean {
  return comparePlaces(event, places.get('all') ?? places.get(String(event.shard)) ?? BEGINNING) <= 0
}

function next<K>(numbers: Map<K, number>, key: K): number {
  const number = (numbers.get(key) ?? 0) + 1
  numbers.set(key, number)
  return number
}
