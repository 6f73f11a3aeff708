/**
 * The events of a lane that were read and are not done with, in order, and how far all is done: its low-water mark. What is
 * done out of order stays in it until all before it is done too, and is not done again meanwhile.
 */
import type { AllPlace } from '../read/all.ts'
import type { FeedEvent } from '../read/event-feed.ts'
import type { Room } from '../read/room.ts'

export interface Entry {
  readonly event: FeedEvent
  /** All before it was read up to here. */
  readonly before: AllPlace
  /** What it takes in memory, about. */
  readonly bytes: number
  state: 'waiting' | 'under way' | 'done'
  /** How often it has failed in this life of the lane, and why the last time. */
  failures: number
  reason: string
  /** How often it was begun in this life of the lane, whatever that came to; anew where somebody has it tried again. */
  attempts: number
}

/** So much an event takes in memory beside what it takes in the log, about. */
const ENTRY_BYTES = 500

export class Window {
  #entries: Entry[] = []
  /** So many of them, from the first, are done. */
  #head = 0
  #read: AllPlace
  #readSeq: number | undefined
  #bytes = 0
  readonly #room: Room
  #isReleased = false

  /** What it has is in the room, until it is released. */
  constructor(from: AllPlace, room: Room) {
    this.#read = from
    this.#room = room
  }

  /** Up to where it was read. */
  get read(): AllPlace {
    return this.#read
  }

  /** Which of its shard's events was read last; undefined before any was. */
  get readSeq(): number | undefined {
    return this.#readSeq
  }

  /** All up to here is done. */
  get lowWater(): AllPlace {
    return this.#entries[this.#head]?.before ?? this.#read
  }

  /** Whether it is what keeps the low-water mark where it is. */
  isFirst(entry: Entry): boolean {
    return this.#entries[this.#head] === entry
  }

  /** Events behind the low-water mark. */
  get size(): number {
    return this.#entries.length - this.#head
  }

  /** Of those that are not done. */
  get bytes(): number {
    return this.#bytes
  }

  /** Takes in the next event that is wanted; `bytes` is what it takes in the log, about. */
  add(event: FeedEvent, { before, bytes: inLog }: Pick<Entry, 'before' | 'bytes'>): Entry {
    const bytes = inLog + ENTRY_BYTES
    const entry: Entry = { event, before, bytes, state: 'waiting', failures: 0, reason: '', attempts: 0 }
    this.#entries.push(entry)
    this.#bytes += bytes
    if (!this.#isReleased) this.#room.take(bytes)
    this.#read = event
    return entry
  }

  /** All was read up to here, the last of it this event, if there was one. */
  pass(place: AllPlace, last?: Pick<FeedEvent, 'seq'>): void {
    this.#read = place
    this.#readSeq = last?.seq ?? this.#readSeq
  }

  done(entry: Entry): void {
    if (entry.state === 'done') return
    entry.state = 'done'
    this.#bytes -= entry.bytes
    if (!this.#isReleased) this.#room.give(entry.bytes)
    while (this.#entries[this.#head]?.state === 'done') this.#head += 1
    if (this.#head < this.#entries.length / 2) return
    this.#entries.splice(0, this.#head)
    this.#head = 0
  }

  /** The first of a stream that is not done, up to a version. */
  firstOf(stream: string, version: number): Entry | undefined {
    for (let i = this.#head; i < this.#entries.length; i += 1) {
      const entry = this.#entries[i]!
      const { event } = entry
      if (entry.state !== 'done' && event.stream === stream && event.version <= version) return entry
    }
    return undefined
  }

  /** It is of no account any more. */
  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#room.give(this.#bytes)
  }

  /** Those that wait, in order, but for streams that something holds back. */
  *waiting(heldBack?: { has(stream: string): boolean }): Generator<Entry> {
    for (let i = this.#head; i < this.#entries.length; i += 1) {
      const entry = this.#entries[i]!
      if (entry.state === 'waiting' && heldBack?.has(entry.event.stream) !== true) yield entry
    }
  }
}
