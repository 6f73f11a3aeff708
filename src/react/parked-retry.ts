/**
 * What of a lane's streams is parked, and trying it again when somebody asks for it: a stream's events in order, read again
 * from the log, until none is left or one fails again. Meanwhile what comes of the stream waits behind them.
 */
import { reasonOf } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import { placeOf, type AllPlace } from '../read/all.ts'
import { backOffMs } from '../read/back-off.ts'
import { Bell } from '../read/bell.ts'
import type { FeedEvent, Feeds } from '../read/event-feed.ts'
import { comparePlaces } from '../read/place.ts'
import type { Attempt, AttemptOutcome } from './attempt.ts'
import type { ConsumerState, ParkedStream, Unparked } from './consumer-record.ts'
import { attemptOne, type HandleOptions, type Tries } from './handling.ts'
import { RetryQueue, type RetryTurn } from './retry-queue.ts'

export interface ParkedRetryOptions extends HandleOptions {
  readonly feeds: Feeds
  readonly clock: Clock
  /** Up to where the lane has read: what is behind that comes by the lane itself. */
  readonly reached: () => AllPlace
  readonly onDone: () => void
  /** What the record has of a stream now; undefined where somebody else has unparked it, as the lane's next step will tell. Throws where that is not known. */
  readonly recorded: (stream: string) => Promise<ParkedStream | undefined>
  /**
   * Records that it has failed again, or that nothing of the stream is parked any more, and all of it up to a place is done.
   * Resolve to whether that is so.
   */
  readonly park: (event: FeedEvent, error: unknown) => Promise<boolean>
  readonly unpark: (unparked: Unparked) => Promise<boolean>
  readonly onTrouble: (error: unknown, attempts: number) => void
  readonly onWarning: (message: string) => void
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
  /** How often the next was begun since somebody asked for it. */
  attempts: number
  /** How often in a row it had to wait. */
  waits: number
  /** The version that has failed, and been parked for that: it has had its retries. Others wait behind it, or behind one that was skipped. */
  failed: number | undefined
  /** From this version up to the next some may have been skipped; and up to this one their consumer was told of those. */
  skippedFrom: number | undefined
  told: number
}

/** Until somebody wants something of it, which tells the rest. */
const UNASKED = { attempts: 0, waits: 0, failed: undefined, skippedFrom: undefined, told: 0 }

/** What of the record it begins with. */
export type Known = Pick<ConsumerState, 'place' | 'parked' | 'done'>

export class ParkedRetry {
  readonly #options: ParkedRetryOptions
  readonly #streams = new Map<string, Parked>()
  /** Of streams that were parked: up to there all is done, though the record's place is not there yet. */
  readonly #done: Map<string, AllPlace>
  /** Where the record's place is; undefined where that is not known. */
  #place: AllPlace | undefined
  readonly #bell = new Bell()
  /** Those that are tried again, or looked into: one at a time. */
  readonly #queue: RetryQueue
  /** By stream: the version from which it was looked into, and found to have something that waits. */
  readonly #lookedInto = new Map<string, number>()
  #attempt: Attempt | undefined
  /** The turn that is taken, or was last. */
  #turn: Promise<void> = Promise.resolve()
  #unparking: Promise<boolean> | undefined
  #isRunning = false
  #isHeld = false
  #isOver = false

  constructor({ place, parked, done = {} }: Known, options: ParkedRetryOptions) {
    this.#options = options
    this.#place = place
    this.#queue = new RetryQueue(options.clock)
    this.#done = new Map(Object.entries(done))
    for (const [stream, { version, failures }] of Object.entries(parked))
      this.#streams.set(stream, { ...UNASKED, next: version, failures, passed: 0 })
  }

  get streams(): number {
    return this.#streams.size
  }

  /** So many streams more the record has something of: they are done up to beyond its place. */
  get doneStreams(): number {
    return this.#done.size
  }

  /** Settles once a stream is unparked, or stays parked; undefined where none is under way. Until then its lane takes in nothing. */
  get unparking(): Promise<boolean> | undefined {
    return this.#unparking
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
    this.#place = place
    for (const [stream, until] of this.#done) if (comparePlaces(until, place) <= 0) this.#done.delete(stream)
  }

  /** The version with which what is parked of a stream begins, where that has this event. */
  before({ stream, version }: Pick<FeedEvent, 'stream' | 'version'>): number | undefined {
    const parked = this.#streams.get(stream)
    return parked !== undefined && version >= parked.next ? parked.next : undefined
  }

  /** It is parked now, with what its lane has read of its stream, up to a version, and what comes. */
  add({ stream, version }: FeedEvent, last: number): void {
    this.#streams.set(stream, { ...UNASKED, next: version, failures: 1, passed: last })
  }

  /** Does what is asked for: a stream is tried again, or, where its first was skipped, looked into for what is left. */
  obey(parked: ConsumerState['parked']): void {
    for (const [stream, event] of Object.entries(parked)) {
      const { version, isAsked, reason } = event
      const isSkipped = reason === '' && this.#lookedInto.get(stream) !== version
      if ((!isAsked && !isSkipped) || !this.#isNews(stream, event)) continue
      const known = this.#streams.get(stream)!
      known.next = version
      known.failed = reason === '' ? undefined : version
      known.skippedFrom = event.skippedFrom
      this.#queue.add({ stream, isAsked })
    }
    this.#bell.ring()
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

  /** Resolves when what was under way is done with, or has to wait. */
  async idle(): Promise<void> {
    await this.#turn
  }

  giveUp(): void {
    this.#isOver = true
    this.#attempt?.giveUp()
    this.#bell.ring()
  }

  async #run(): Promise<void> {
    const { clock } = this.#options
    this.#isRunning = true
    while (!this.#isOver && !this.#queue.isEmpty) {
      const turn = this.#queue.take(this.#isHeld)
      if (turn === undefined) await this.#bell.rungWithin(clock, this.#queue.msToNext(HELD_MS))
      else {
        this.#turn = this.#take(turn)
        await this.#turn
      }
    }
    this.#isRunning = false
  }

  #isNews(stream: string, { version, failures }: ParkedStream): boolean {
    const known = this.#streams.get(stream)
    return known !== undefined && version >= known.next && failures >= known.failures
  }

  /** Goes through a stream for as long as it need not wait. */
  async #take(turn: RetryTurn): Promise<void> {
    const { stream, isAsked } = turn
    const parked = this.#streams.get(stream)
    if (parked === undefined) return
    try {
      const from = await this.#tellGivenUp(stream, parked)
      if (from === undefined) return
      const end = isAsked ? await this.#retry(stream, parked, from) : await this.#lookInto(stream, from)
      if (this.#isOver || end.kind === 'ended') return
      if (end.kind === 'held') return this.#queue.again(turn, 0)
      // From here on its events are the lane's again, which come behind these, and behind what was skipped meanwhile.
      const isThrough = Math.max(parked.passed + 1, parked.next) <= end.next
      if (isThrough && (await this.#unpark(stream, end))) return
    } catch (error) {
      this.#options.onTrouble(error, parked.waits + 1)
    }
    parked.waits += 1
    this.#queue.again(turn, backOffMs(parked.waits))
  }

  /**
   * Tells whoever wants to know of what was skipped. Resolves to the version from which it goes on, and to nothing where it does not: what
   * somebody skips from there on meanwhile is told of in its turn.
   */
  async #tellGivenUp(stream: string, parked: Parked): Promise<number | undefined> {
    const { consumer } = this.#options
    const { skippedFrom, next, told } = parked
    if (consumer.givesUp === undefined || skippedFrom === undefined || told >= next) return next
    for await (const event of this.#events(stream, Math.max(skippedFrom, told))) {
      if (event.version >= next) break
      if (event.version >= skippedFrom && consumer.isWanted(event)) await this.#giveUpEvent(event, parked)
      if (this.#isOver) return undefined
    }
    parked.told = next
    return next
  }

  async #giveUpEvent(event: FeedEvent, parked: Parked): Promise<void> {
    const { consumer, onWarning } = this.#options
    const { givesUp } = consumer
    if (givesUp === undefined || event.version < parked.told) return
    const does = { one: givesUp }
    const tries = { attempt: 1, isOutOfRetries: true, isBehindParked: false }
    const settled = await this.#attemptAt(event, tries, { ...this.#options, consumer: { ...consumer, does } })
    if (settled.kind === 'waits') throw settled.error
    if (settled.kind === 'given up') return
    parked.told = event.version + 1
    if (settled.kind === 'done') return
    const what = `${consumer.kind} ${consumer.name}, which was to be told that version ${event.version} of ${event.stream} was skipped`
    onWarning(`${what}, could not be: ${reasonOf(settled.error)}`)
  }

  async #attemptAt(event: FeedEvent, tries: Tries, options: HandleOptions = this.#options): Promise<AttemptOutcome> {
    const { attempt, outcome } = attemptOne(event, tries, options)
    this.#attempt = attempt
    const settled = await outcome
    this.#attempt = undefined
    return settled
  }

  /** Resolves to whether nothing of it is parked any more. */
  async #unpark(stream: string, { next, last }: Through): Promise<boolean> {
    this.#unparking = this.#recordUnparked({ stream, next, until: placeOf(last ?? this.#options.reached()) })
    try {
      return await this.#unparking
    } finally {
      this.#unparking = undefined
    }
  }

  async #recordUnparked(unparked: Unparked): Promise<boolean> {
    const { stream, until } = unparked
    if (!(await this.#options.unpark(unparked))) return false
    this.#streams.delete(stream)
    this.#lookedInto.delete(stream)
    if (this.#place === undefined || comparePlaces(until, this.#place) > 0) this.#done.set(stream, until)
    return true
  }

  /** Handles what the log has of the stream, also where the lane has not read of it yet: it comes to it as something that is done. */
  async #retry(stream: string, parked: Parked, from: number): Promise<End> {
    const { consumer } = this.#options
    let [next, last]: [number, AllPlace | undefined] = [from, undefined]
    for await (const event of this.#events(stream, from)) {
      if (event.version >= from) {
        const end = consumer.isWanted(event) ? await this.#handle(event, parked) : undefined
        if (end !== undefined) return { kind: end }
        next = event.version + 1
        // It may have been skipped with others behind it.
        parked.next = Math.max(parked.next, next)
        parked.attempts = 0
        parked.waits = 0
      }
      last = event
    }
    return { kind: 'through', next, last }
  }

  /** Nothing is done here: what somebody asks for goes on from where the record says. */
  async #lookInto(stream: string, from: number): Promise<End> {
    let [next, last]: [number, AllPlace | undefined] = [from, undefined]
    for await (const event of this.#events(stream, from)) {
      if (event.version >= from && this.#options.consumer.isWanted(event)) {
        // Also where the lane has not come there: who ran it before may have, so that it was parked.
        this.#lookedInto.set(stream, from)
        return { kind: 'ended' }
      }
      last = event
      next = event.version + 1
    }
    return { kind: 'through', next: Math.max(from, next), last }
  }

  /** And the last that is done, which tells its place: the lane may have begun before it, and come to it once more. */
  async *#events(stream: string, next: number): AsyncGenerator<FeedEvent, void> {
    for await (const page of this.#options.feeds.stream(stream, Math.max(1, next - 1))) yield* page
  }

  /**
   * Resolves to nothing where it is done, or was skipped; throws what it waits with. Somebody may skip it at any time, also while
   * it is tried: then its failure is of no account.
   */
  async #handle(event: FeedEvent, parked: Parked): Promise<'ended' | 'held' | undefined> {
    const { onDone, park } = this.#options
    const before = await this.#wanted(event, parked)
    if (before !== 'wanted') return before
    if (this.#isOver) return 'ended'
    if (this.#isHeld) return 'held'
    parked.attempts += 1
    const hasFailed = event.version === parked.failed
    const tries = { attempt: parked.attempts, isOutOfRetries: hasFailed, isBehindParked: !hasFailed }
    const settled = await this.#attemptAt(event, tries)
    switch (settled.kind) {
      case 'done':
        onDone()
        return undefined
      case 'waits':
        throw settled.error
      case 'given up':
        return 'ended'
      case 'failed': {
        if (!(await park(event, settled.error))) return 'ended'
        parked.failures += 1
        parked.attempts = 0
        const after = await this.#wanted(event, parked)
        return after === 'wanted' ? 'ended' : after
      }
    }
  }

  /** Whether the event is to be tried as the record has it now; nothing where it was skipped. */
  async #wanted(event: FeedEvent, parked: Parked): Promise<'wanted' | 'ended' | undefined> {
    const known = await this.#options.recorded(event.stream)
    if (known?.isAsked !== true) return 'ended'
    if (known.version <= event.version) return 'wanted'
    await this.#giveUpEvent(event, parked)
    // Its consumer may not have been told: who is next does that, for as long as the stream is parked.
    return this.#isOver ? 'ended' : undefined
  }
}

/** `through`: nothing of it waits up to the version `next`; the event before that, if it was read, is at `last`. */
type End = { readonly kind: 'ended' } | { readonly kind: 'held' } | Through

interface Through {
  readonly kind: 'through'
  readonly next: number
  readonly last: AllPlace | undefined
}
