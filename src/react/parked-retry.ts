/**
 * What of a lane's streams is parked, and trying it again when somebody asks for it: a stream's events in order, read again
 * from the log, until none is left or one fails again. Meanwhile what comes of the stream waits behind them.
 */
import type { Clock } from '../log/clock.ts'
import type { AllPlace } from '../read/all.ts'
import { backOffMs } from '../read/back-off.ts'
import { Bell } from '../read/bell.ts'
import type { FeedEvent, Feeds } from '../read/event-feed.ts'
import { comparePlaces } from '../read/place.ts'
import type { Attempt } from './attempt.ts'
import type { ConsumerState, ParkedStream } from './consumer-record.ts'
import { attemptOne, type HandleOptions } from './handling.ts'

export interface ParkedRetryOptions extends HandleOptions {
  readonly feeds: Feeds
  readonly clock: Clock
  /** Up to where the lane has read: what is behind that comes by the lane itself. */
  readonly reached: () => AllPlace
  readonly onDone: () => void
  /**
   * Records that it has failed again, or that nothing of the stream is parked any more, and all of it up to a place is done.
   * Resolve to whether that is so.
   */
  readonly park: (event: FeedEvent, error: unknown) => Promise<boolean>
  readonly unpark: (stream: string, until: AllPlace) => Promise<boolean>
  readonly onTrouble: (error: unknown, attempts: number) => void
}

/** Who is held looks so often whether it still is, at least. */
const HELD_MS = 10_000

interface Parked {
  /**
   * The version from which what waits goes on: those before are done or were skipped. And how often it has failed. What is
   * read may say what was before.
   */
  next: number
  failures: number
  /** The last that the lane has gone past since it began here. */
  passed: number
}

export class ParkedRetry {
  readonly #options: ParkedRetryOptions
  readonly #streams = new Map<string, Parked>()
  /** Of streams that were parked: up to there all is done, though the record's place is not there yet. */
  readonly #done: Map<string, AllPlace>
  readonly #bell = new Bell()
  /** Those that are tried again, or looked into: one at a time. */
  readonly #asked = new Map<string, ParkedStream>()
  /** By stream: the version from which it was looked into, and found to have something that waits. */
  readonly #lookedInto = new Map<string, number>()
  #attempt: Attempt | undefined
  #isRunning = false
  #isHeld = false
  #isOver = false

  constructor({ parked, done = {} }: Pick<ConsumerState, 'parked' | 'done'>, options: ParkedRetryOptions) {
    this.#options = options
    this.#done = new Map(Object.entries(done))
    for (const [stream, { version, failures }] of Object.entries(parked)) {
      this.#streams.set(stream, { next: version, failures, passed: 0 })
    }
  }

  get streams(): number {
    return this.#streams.size
  }

  /** So many streams the record has something of. */
  get kept(): number {
    return this.#streams.size + this.#done.size
  }

  /** Whether an event that the lane comes to is not its own: it waits with its stream, or is done or was skipped before. */
  takes(event: FeedEvent): boolean {
    const parked = this.#streams.get(event.stream)
    if (parked !== undefined) {
      parked.passed = Math.max(parked.passed, event.version)
      return true
    }
    const until = this.#done.get(event.stream)
    return until !== undefined && comparePlaces(event, until) <= 0
  }

  /** The record's place is here. */
  advanced(place: AllPlace): void {
    for (const [stream, until] of this.#done) if (comparePlaces(until, place) <= 0) this.#done.delete(stream)
  }

  /** The version with which what is parked of a stream begins, where that has this event. */
  before({ stream, version }: Pick<FeedEvent, 'stream' | 'version'>): number | undefined {
    const parked = this.#streams.get(stream)
    return parked !== undefined && version >= parked.next ? parked.next : undefined
  }

  /** It is parked now, with what its lane has read of its stream, up to a version, and what comes. */
  add({ stream, version }: FeedEvent, last: number): void {
    this.#streams.set(stream, { next: version, failures: 1, passed: last })
  }

  /** Does what is asked for: a stream is tried again, or, where its first was skipped, looked into for what is left. */
  obey(parked: ConsumerState['parked']): void {
    for (const [stream, event] of Object.entries(parked)) {
      const isSkipped = event.reason === '' && this.#lookedInto.get(stream) !== event.version
      if ((event.isAsked || isSkipped) && this.#isNews(stream, event)) this.#asked.set(stream, event)
    }
    if (!this.#isRunning) void this.#run()
  }

  /** No event begins until it is let go on. What is under way goes on. */
  hold(): void {
    this.#isHeld = true
  }

  release(): void {
    this.#isHeld = false
    this.#bell.ring()
  }

  giveUp(): void {
    this.#isOver = true
    this.#attempt?.giveUp()
    this.#bell.ring()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    for (;;) {
      const [first] = this.#asked
      if (first === undefined || this.#isOver) break
      const [stream, event] = first
      // Somebody may ask again while this is done.
      this.#asked.delete(stream)
      // It may have been read before what has been done since.
      if (this.#isNews(stream, event)) await this.#goThrough(stream, event)
    }
    this.#isRunning = false
  }

  #isNews(stream: string, { version, failures }: ParkedStream): boolean {
    const known = this.#streams.get(stream)
    return known !== undefined && version >= known.next && failures >= known.failures
  }

  async #goThrough(stream: string, { version, isAsked, reason }: ParkedStream): Promise<void> {
    const hasFailed = reason !== ''
    const left: Left = { next: version, isAsked, from: version, hasFailed, last: undefined }
    for (let attempts = 1; !this.#isOver; attempts += 1) {
      try {
        if (!(await this.#handleAll(stream, left))) return
        // From here on its events are the lane's again, which come behind these.
        if (this.#streams.get(stream)!.passed < left.next) {
          const { position, shard } = left.last ?? this.#options.reached()
          const until = { position, shard }
          this.#streams.delete(stream)
          this.#lookedInto.delete(stream)
          this.#done.set(stream, until)
          await this.#options.unpark(stream, until)
          return
        }
      } catch (error) {
        this.#options.onTrouble(error, attempts)
      }
      await this.#bell.rungWithin(this.#options.clock, backOffMs(attempts))
    }
  }

  /** Goes on through what the log has of the stream. Resolves to whether none of that waits any more. */
  async #handleAll(stream: string, left: Left): Promise<boolean> {
    const { feeds, consumer, reached } = this.#options
    // The last that is done tells its place: the lane may have begun before it, and come to it once more.
    for await (const page of feeds.stream(stream, Math.max(1, left.next - 1))) {
      for (const event of page) {
        if (event.version < left.next) {
          left.last = event
          continue
        }
        if (left.isAsked) {
          if (comparePlaces(event, reached()) > 0) return true
          const before = left.hasFailed && event.version === left.from ? consumer.retries + 1 : 0
          if (consumer.isWanted(event) && !(await this.#handle(event, before))) return false
        } else if (consumer.isWanted(event)) {
          // Also where the lane has not come there: who ran it before may have, so that it was parked.
          this.#lookedInto.set(stream, left.from)
          return false
        }
        left.last = event
        left.next = event.version + 1
        // Where it is looked into, nothing is done: what somebody asks for goes on from where the record says.
        if (left.isAsked) this.#streams.get(stream)!.next = left.next
      }
    }
    return true
  }

  /** Resolves to whether it is done. It was tried so often before. */
  async #handle(event: FeedEvent, before: number): Promise<boolean> {
    const { onDone, park, onTrouble, clock } = this.#options
    for (let attempts = 1; !this.#isOver; attempts += 1) {
      while (this.#isHeld && !this.#isOver) await this.#bell.rungWithin(clock, HELD_MS)
      if (this.#isOver) return false
      const { attempt, outcome } = attemptOne(event, before + attempts, this.#options)
      this.#attempt = attempt
      const settled = await outcome
      this.#attempt = undefined
      if (settled.kind === 'failed' && (await park(event, settled.error))) this.#failed(event)
      if (settled.kind === 'done') onDone()
      if (settled.kind !== 'waits') return settled.kind === 'done'
      onTrouble(settled.error, attempts)
      await this.#bell.rungWithin(clock, backOffMs(attempts))
    }
    return false
  }

  #failed({ stream, version }: FeedEvent): void {
    const known = this.#streams.get(stream)!
    known.next = version
    known.failures += 1
  }
}

/** How far a stream was gone through. */
interface Left {
  next: number
  /** Whether what waits is tried again. If not, it is looked whether anything does. */
  readonly isAsked: boolean
  /** The version from which the record says that it waits. */
  readonly from: number
  /** Whether that one was tried, and has failed; it may have come to be the first as the one before it was skipped. */
  readonly hasFailed: boolean
  /** Where the event before the next stands, if that was read. */
  last: AllPlace | undefined
}
