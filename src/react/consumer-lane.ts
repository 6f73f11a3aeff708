/**
 * Runs one lane of a consumer: takes the events of a shard from its feed, in order, has those handled that are wanted, and
 * keeps in the shard's record how far all is done. It owns the window (window.ts) in memory; the record is what counts.
 *
 * - It begins where the record says. What was done behind that, and not recorded, is done again: at least once.
 * - It goes past an event only once it is done, or parked in the record; then all later ones of its stream wait there too.
 * - It ends when it is closed, and never otherwise: what fails is tried again, or halts it, and `status` says so.
 */
import { PenholdError, reasonOf } from '../aggregate/error.ts'
import { within, type Cancel, type Clock } from '../log/clock.ts'
import type { IdSource } from '../log/identity.ts'
import { BEGINNING, placeOf, type AllPlace } from '../read/all.ts'
import { Bell } from '../read/bell.ts'
import { checkContinuity } from '../read/continuity.ts'
import { isLasting } from '../read/error.ts'
import type { EventFeed, FeedEvent, Feeds } from '../read/event-feed.ts'
import { Intake, type Taken } from '../read/intake.ts'
import { statusOf, type LaneState, type Trouble } from '../read/lane-status.ts'
import { LaneTrouble } from '../read/lane-trouble.ts'
import { comparePlaces } from '../read/place.ts'
import type { Room } from '../read/room.ts'
import { SharedLook } from '../read/shared-look.ts'
import { Turns } from '../read/turns.ts'
import { attemptedBy, type Attempted, type AwaitedEvent } from './attempts-awaited.ts'
import type { Consumer } from './consumer.ts'
import { ConsumerPlace, STALE, startOf } from './consumer-place.ts'
import { CONSUMER, keyOf, OPERATOR_EVENTS, PARKED_STREAMS_MAX, type ConsumerState } from './consumer-record.ts'
import type { ConsumerLaneStatus } from './consumer-status.ts'
import type { Effects } from './effects.ts'
import { consumerHalted, tooMuchParked } from './error.ts'
import { HandleEach } from './handle-each.ts'
import { HandleMany } from './handle-many.ts'
import type { Handling } from './handling.ts'
import { ParkedRetry, type Known } from './parked-retry.ts'
import { Window, type Entry } from './window.ts'

export interface ConsumerLaneOptions {
  readonly consumer: Consumer
  readonly shard: number
  /** With the events of internal streams. */
  readonly feeds: Feeds
  readonly effects: Effects
  readonly ids: IdSource
  readonly clock: Clock
  /** For what lanes have in their windows, of this consumer and others. */
  readonly windows: Room
  readonly onWarning: (message: string) => void
  /** An event is parked now, with its stream, for what its handler has thrown. */
  readonly onParked: (event: FeedEvent, error: unknown) => void
  /** More may be known of first attempts at events of a stream, or of all. Left out where nobody waits for any. */
  readonly onTried?: (stream?: string) => void
}

/** So many events are behind the low-water mark, at most, and about so many bytes of them. */
const WINDOW_MAX = 1_000
const WINDOW_BYTES_MAX = 4 * 1024 * 1024
/** What was done is recorded so soon. */
const CHECKPOINT_MS = 1_000
/** Where nothing that was read is wanted, the place is recorded after so many events, or so long. */
const UNWANTED_MAX = 10_000
const UNWANTED_MS = 60_000
/** While it does not read, it looks this often into its record for what operators want. */
const LOOK_MS = 1_000
/** Whatever the record says, somebody has resumed it since. */
const NEVER = -1
/** So long the last step may take when it is closed. */
const LAST_MS = 1_000

export class ConsumerLane {
  readonly shard: number
  readonly #options: ConsumerLaneOptions
  readonly #feed: EventFeed
  readonly #place: ConsumerPlace
  /** Each step of the record is one. */
  readonly #turns = new Turns()
  readonly #bell = new Bell()
  #isClosed = false
  /** It is not known what the record says. */
  #isStale = true
  /** And what was read of it meanwhile may be what it said before. */
  #isMissed = false
  /** Where the record stands. */
  #recorded: AllPlace = BEGINNING
  #recordedAt: number
  #isPaused = false
  #resumed = 0
  #window: Window
  #handling: Handling
  #parked: ParkedRetry
  /** Since the place was recorded: events that were read and are no record's, and those that are done. */
  #readSince = 0
  #doneSince = 0
  #events = 0
  #movedAt: number
  #halted: PenholdError | undefined
  /** What has failed other than a handler. */
  readonly #trouble: LaneTrouble
  #intake: Intake | undefined
  #checkpointing: Cancel | undefined
  /** What is being looked at may be what it said before. */
  readonly #looks = new SharedLook(() => this.#lookNow())
  readonly #ended: Promise<void>

  constructor(options: ConsumerLaneOptions) {
    const { consumer, shard, feeds, clock } = options
    this.shard = shard
    this.#options = options
    this.#feed = feeds.feed(String(shard))
    this.#trouble = new LaneTrouble(`${consumer.kind} ${consumer.name}, shard ${shard}`, { ...options, isTold: false })
    this.#place = new ConsumerPlace({
      ...options,
      key: keyOf(consumer),
      bell: this.#bell,
      isClosed: () => this.#isClosed,
      onTrouble: (error, attempts) => this.#trouble.tell(error, attempts),
    })
    this.#movedAt = clock.monotonic()
    this.#recordedAt = clock.monotonic()
    this.#window = new Window(BEGINNING, options.windows)
    this.#handling = this.#newHandling()
    this.#parked = this.#newParked({ place: undefined, parked: {} })
    this.#ended = this.#run()
  }

  /** Resolves once nothing is under way, and nothing will be. Handlers have so long. */
  async close(ms: number): Promise<void> {
    const { clock } = this.#options
    this.#isClosed = true
    this.#options.onTried?.()
    this.#intake?.close()
    this.#handling.hold()
    this.#parked.hold()
    this.#bell.ring()
    if (ms > 0) await within(clock, ms, Promise.all([this.#handling.idle(), this.#parked.idle()]))
    this.#handling.giveUp()
    this.#parked.giveUp()
    this.#checkpointing?.()
    await within(clock, LAST_MS, this.#record())
    await within(clock, LAST_MS, this.#ended)
    this.#window.release()
  }

  async status(): Promise<ConsumerLaneStatus> {
    const status = await statusOf(this.#feed, () => ({
      lane: String(this.shard),
      condition: this.condition,
      place: placeOf(this.#isStale ? BEGINNING : this.#window.lowWater),
      isPlaced: !this.#isStale,
      events: this.#events,
      stillMs: Math.round(this.#options.clock.monotonic() - this.#movedAt),
      trouble: this.trouble,
    }))
    return { ...status, waiting: this.#window.size, parkedStreams: this.#parked.streams }
  }

  /** What is known of its first attempt at an event; undefined before there was one. */
  attempted(event: AwaitedEvent): Attempted | undefined {
    const { condition } = this
    return attemptedBy({ condition, window: this.#window, parked: this.#parked, isClosed: this.#isClosed }, event)
  }

  get events(): number {
    return this.#events
  }

  get parkedStreams(): number {
    return this.#parked.streams
  }

  /** Its state, as far as it is known without asking the log. */
  get condition(): LaneState {
    if (this.#halted !== undefined) return 'halted'
    if (this.#isPaused) return 'paused'
    return this.trouble === undefined ? 'running' : 'waiting'
  }

  /** What keeps it from going on, or an event of it. */
  get trouble(): Trouble | undefined {
    const failing = this.#handling.trouble
    if (this.#halted === undefined) return this.#trouble.now ?? failing
    return { message: this.#halted.message, attempts: failing?.attempts ?? 1, event: failing?.event }
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      try {
        await this.#follow()
      } catch (error) {
        if (error === STALE || this.#isClosed) continue
        if (isLasting(error)) await this.#haltFor(error)
        else {
          this.#trouble.tell(error)
          await this.#trouble.rest(this.#bell)
        }
      }
    }
  }

  /** It stands still until it is resumed; where it is the record that cannot be read, until that can. */
  async #haltFor(error: PenholdError): Promise<void> {
    if (this.#halted?.message !== error.message) this.#halt(error)
    if (!this.#isStale) return
    this.#resumed = NEVER
    await this.#bell.rungWithin(this.#options.clock, LOOK_MS)
  }

  /** From what the window has read, on and on, until something fails. */
  async #follow(): Promise<void> {
    if (this.#isStale) await this.#turns.take(() => this.#load())
    // What halts a lane for an event leaves it reading; what halts it here has to be mended first.
    while (isLasting(this.#halted) && !this.#isClosed && !this.#isStale) await this.#lookLater()
    if (this.#isClosed || this.#isStale) return
    const window = this.#window
    const intake = new Intake((signal) => this.#feed.pages(window.read, signal), {
      batchMax: this.#windowMax,
      room: this.#options.feeds.room,
    })
    this.#intake = intake
    try {
      for (;;) {
        while (this.#isFull && !this.#isClosed && !this.#isStale) await this.#lookLater()
        const taken = await intake.take(this.#windowMax - window.size)
        if (taken === undefined || this.#isStale) return
        // What comes of a stream while it is unparked is the lane's once that is so, or waits: which, nobody knows until it is
        // recorded. Between this look and taking in nothing is awaited, so that none begins meanwhile.
        while (this.#parked.unparking !== undefined && !this.#isStale) await this.#parked.unparking
        if (this.#isClosed || this.#isStale) return
        checkContinuity(String(this.shard), window.read, taken)
        this.#takeIn(taken)
        // Commands are handled on the same thread.
        await this.#options.clock.yield()
      }
    } finally {
      intake.close()
    }
  }

  get #windowMax(): number {
    const { does } = this.#options.consumer
    return 'many' in does ? Math.max(WINDOW_MAX, 2 * does.most) : WINDOW_MAX
  }

  get #isFull(): boolean {
    const { size, bytes } = this.#window
    if (size >= this.#windowMax || bytes >= WINDOW_BYTES_MAX) return true
    // With nothing to do it reads on, however much others have.
    return bytes > 0 && !this.#options.windows.isFor(this.#bell)
  }

  #takeIn({ events, place, bytes }: Taken): void {
    const { consumer } = this.#options
    const share = Math.ceil(bytes / Math.max(1, events.length))
    let hasNews = false
    let before: AllPlace = this.#window.read
    for (const event of events) {
      if (event.stream === this.#place.stream) hasNews ||= OPERATOR_EVENTS.has(event.type)
      else if (!event.stream.startsWith(CONSUMER)) {
        this.#readSince += 1
        if (consumer.isWanted(event)) this.#add(event, { before, bytes: share })
      }
      before = event
    }
    this.#window.pass(place, events.at(-1))
    this.#trouble.over()
    if (hasNews) void this.look()
    this.#handling.go()
    this.#options.onTried?.()
    if (this.#isToBeRecorded) this.#recordLater()
  }

  #add(event: FeedEvent, where: { readonly before: AllPlace; readonly bytes: number }): void {
    if (this.#parked.takes(event)) this.#doneSince += 1
    else this.#handling.add(this.#window.add(event, where))
  }

  get #isToBeRecorded(): boolean {
    if (this.#doneSince > 0 || this.#readSince >= UNWANTED_MAX) return true
    return this.#readSince > 0 && this.#options.clock.monotonic() - this.#recordedAt >= UNWANTED_MS
  }

  async #load(): Promise<void> {
    let state: ConsumerState
    do {
      this.#isMissed = false
      state = await this.#place.state()
      if (state.place === undefined) {
        await this.#place.begin(await startOf(this.#options.consumer, this.#feed))
        this.#isMissed = true
      }
    } while (this.#isMissed)
    if (this.#isClosed) throw STALE
    this.#handling.giveUp()
    this.#parked.giveUp()
    this.#place.goOnFrom(state)
    this.#recorded = state.place!
    this.#recordedAt = this.#options.clock.monotonic()
    this.#window.release()
    this.#window = new Window(state.place!, this.#options.windows)
    this.#handling = this.#newHandling()
    this.#parked = this.#newParked(state)
    this.#readSince = 0
    this.#doneSince = 0
    this.#isStale = false
    this.#movedAt = this.#options.clock.monotonic()
    if (this.#halted !== undefined && !isLasting(this.#halted)) this.#halted = undefined
    this.#obey(state)
  }

  #newHandling(): Handling {
    const { consumer } = this.#options
    const options = {
      ...this.#options,
      window: this.#window,
      onDone: (entry: Entry) => this.#done(entry),
      onFailed: ({ event }: Entry) => this.#options.onTried?.(event.stream),
      onGivenUp: (entry: Entry, error: unknown) => void this.#giveUp(entry, error),
    }
    const { does } = consumer
    return 'many' in does ? new HandleMany(options, does) : new HandleEach(options)
  }

  #newParked(state: Known): ParkedRetry {
    const window = this.#window
    return new ParkedRetry(state, {
      ...this.#options,
      reached: () => window.read,
      onDone: () => (this.#events += 1),
      recorded: (stream) => this.#place.parked(stream),
      park: (event, error) => this.#park(event, error, window),
      unpark: (unparked) => this.#take(() => this.#place.unpark(this.#recorded, unparked), window),
      onTrouble: (error, attempts) => this.#trouble.tell(error, attempts),
    })
  }

  #done(entry: Entry): void {
    this.#window.done(entry)
    this.#events += 1
    this.#doneSince += 1
    this.#movedAt = this.#options.clock.monotonic()
    this.#recordLater()
    this.#bell.ring()
    this.#options.onTried?.(entry.event.stream)
  }

  async #giveUp(entry: Entry, error: unknown): Promise<void> {
    const { consumer } = this.#options
    const { event } = entry
    const handling = this.#handling
    if (consumer.onFailure === 'halt') return this.#halt(consumerHalted(consumer.name, event, error))
    // Once the one that holds the place is parked, the place goes past what the record has as done, which is less then.
    const done = this.#window.isFirst(entry) ? 0 : this.#parked.doneStreams
    const most = Math.max(this.#parked.streams, done)
    if (most >= PARKED_STREAMS_MAX) return this.#halt(tooMuchParked(consumer.name, most, error))
    const dropped = handling.drop(event.stream)
    // None of it begins any more, whatever somebody wants until it is recorded; it holds the place until then.
    for (const each of dropped) each.state = 'under way'
    this.#parked.add(event, dropped.at(-1)?.event.version ?? event.version)
    const isParked = await this.#park(event, error)
    if (!isParked || handling !== this.#handling) return
    for (const each of dropped) this.#window.done(each)
    this.#doneSince += 1
    this.#recordLater()
    this.#bell.ring()
    this.#options.onParked(event, error)
  }

  /** Resolves to whether it is. */
  #park({ stream, version, type, position }: FeedEvent, error: unknown, window = this.#window): Promise<boolean> {
    const at = this.#options.clock.now()
    const event = { stream, version, type, position, reason: reasonOf(error), at }
    return this.#take(() => this.#place.park(this.#recorded, event), window)
  }

  #recordLater(): void {
    this.#checkpointing ??= this.#options.clock.after(CHECKPOINT_MS, () => {
      this.#checkpointing = undefined
      void this.#record()
    })
  }

  /** Records how far all is done. */
  async #record(): Promise<void> {
    await this.#take(async () => {
      const to = placeOf(this.#window.lowWater)
      if (comparePlaces(to, this.#recorded) <= 0) return
      await this.#place.advance(this.#recorded, to)
      this.#recorded = to
      this.#parked.advanced(to)
      this.#recordedAt = this.#options.clock.monotonic()
      this.#readSince = 0
      this.#doneSince = 0
    })
    // What is under way before the rest holds the mark; it is looked for again.
    if (!this.#isClosed && this.#window.size > 0) this.#recordLater()
  }

  /**
   * Takes a step of the record. Resolves to whether it was taken; where somebody else has, all begins from what is there. Then there is
   * another window, and no step is taken that belongs to the one before: what has begun anew would not know of it.
   */
  #take(step: () => Promise<boolean | void>, window = this.#window): Promise<boolean> {
    return this.#turns.take(async () => {
      if (this.#isStale || window !== this.#window) return false
      try {
        return (await step()) !== false
      } catch (error) {
        if (error !== STALE) this.#trouble.tell(error, 1)
        this.#isStale = true
        this.#handling.giveUp()
        this.#parked.giveUp()
        this.#intake?.close()
        this.#bell.ring()
        return false
      }
    })
  }

  async #lookLater(): Promise<void> {
    const { clock } = this.#options
    const since = clock.monotonic()
    await this.#bell.rungWithin(clock, LOOK_MS)
    if (clock.monotonic() - since >= LOOK_MS) await this.look()
  }

  /** Does what operators want, as the record says it now or later. */
  look(): Promise<void> {
    return this.#looks.answer()
  }

  async #lookNow(): Promise<void> {
    try {
      const window = this.#window
      const state = await this.#place.state()
      this.#isMissed ||= this.#isStale
      if (this.#isClosed || this.#isStale) return
      // It has begun anew, perhaps with what stands there by now.
      if (window !== this.#window) return await this.#lookNow()
      this.#trouble.over()
      this.#obey(state)
    } catch (error) {
      this.#trouble.tell(error, 1)
      // What somebody wants may be told of once.
      this.#options.clock.after(LOOK_MS, () => {
        if (!this.#isClosed && !this.#isStale) void this.look()
      })
    }
  }

  #obey(state: ConsumerState): void {
    this.#isPaused = state.isPaused
    if (state.resumed !== this.#resumed) {
      this.#resumed = state.resumed
      this.#halted = undefined
      this.#handling.retry()
    }
    if (this.#isPaused || this.#halted !== undefined) this.#handling.hold()
    else this.#handling.release()
    // What halts it is no parked stream's: those are tried again all the same.
    if (this.#isPaused) this.#parked.hold()
    else this.#parked.release()
    this.#parked.obey(state.parked)
    this.#options.onTried?.()
    this.#bell.ring()
  }

  #halt(error: PenholdError): void {
    this.#halted = error
    this.#handling.hold()
    this.#options.onTried?.()
    this.#trouble.warn(error.message)
  }
}
