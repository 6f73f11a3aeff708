/**
 * Runs one lane of one generation of a read model: takes events from its feed, in order, and commits what they change
 * together with how far it has come. It owns the lane's place in memory; the one in the store is the one that counts.
 *
 * - It begins where the store says, and after anything that failed in the store it begins there again: an answer may be
 *   lost where the change was made. So each event takes effect once.
 * - It goes past an event only with its effect, or with the event parked.
 * - It ends when it is closed, and never otherwise: what fails is tried again, or halts it, and `status` says so.
 */
import { PenholdError, reasonOf } from '../aggregate/error.ts'
import { within, type Clock } from '../log/clock.ts'
import { BEGINNING, type AllPlace } from './all.ts'
import { Attempt, type HandlerFailure } from './attempt.ts'
import { backOffMs } from './back-off.ts'
import { Bell } from './bell.ts'
import { checkContinuity } from './continuity.ts'
import { generationOf, takeStep, withChanged, type Control } from './control.ts'
import { isTimeout, isLasting, projectionHalted, projectionReordered, tooMuchParked, waitAborted } from './error.ts'
import type { EventFeed, FeedEvent, Feeds } from './event-feed.ts'
import { Intake, type Taken } from './intake.ts'
import { statusOf, type LaneState, type LaneStatus, type Trouble } from './lane-status.ts'
import { LaneTrouble } from './lane-trouble.ts'
import { Pace } from './pace.ts'
import { checkPlace, comparePlaces } from './place.ts'
import { handlersOf, type Projection } from './projection.ts'
import { LaneMoved, type Change, type ParkedEvent, type ReadModel } from './read-model.ts'
import { noSuchGeneration } from './read-model-error.ts'
import { Turns } from './turns.ts'

export interface LaneOptions<Model> {
  readonly projection: Projection<Model>
  readonly readModel: ReadModel<Model>
  readonly generation: number
  readonly feeds: Feeds
  readonly clock: Clock
  readonly onWarning: (message: string) => void
  /** Its place or its state has changed. */
  readonly onChange: () => void
}

/** Why a lane is held: by hand, while another generation takes its place, or until it is known whether it is paused. */
export type Hold = 'paused' | 'swapping' | 'unsure'

/** More than single events' fault; and what a lane keeps in memory has a bound. */
export const PARKED_STREAMS_MAX = 10_000

/** A batch that was taken from the feed and is not done yet: events that have a handler, in order. */
interface Work extends Taken {
  events: readonly FeedEvent[]
}

/** An event whose handler has failed, and how often in a row. */
interface Failing {
  readonly failure: HandlerFailure
  readonly attempts: number
}

const STORES = ['ReadModelUnavailable', 'ReadModelUnusable', 'BadDefinition']

/** What is committed together: these events' effect, and the rest. */
export type Step = Pick<Change<never>, 'to' | 'park' | 'unpark'> & { readonly events: readonly FeedEvent[] }

/** Thrown to begin again from what the store has. */
const STALE: unique symbol = Symbol('stale')

export class Lane<Model> {
  readonly name: string
  readonly #options: LaneOptions<Model>
  readonly #feed: EventFeed
  readonly #handlers: ReturnType<typeof handlersOf<Model>>
  readonly #pace: Pace
  /** Each commit is one; what is done by hand comes between two. */
  readonly #turns = new Turns()
  readonly #bell = new Bell()
  readonly #holds = new Set<Hold>()
  /** What is being applied. */
  #attempt: Attempt<Model> | undefined
  #isClosed = false
  #isLoaded = false
  /** What the store has may be something else. */
  #isStale = false
  #place: AllPlace = BEGINNING
  #movedAt: number
  /** Where it began: what it has to do is counted from there. */
  #origin: number | undefined
  #events = 0
  /** Streams that have parked events: their later ones are parked behind them. */
  #parked = new Set<string>()
  #failing: Failing | undefined
  #halted: PenholdError | undefined
  /** What has failed other than a handler. */
  readonly #trouble: LaneTrouble
  #intake: Intake | undefined
  readonly #ended: Promise<void>

  constructor(name: string, options: LaneOptions<Model>) {
    this.name = name
    this.#options = options
    this.#feed = options.feeds.feed(name)
    this.#handlers = handlersOf(options.projection)
    this.#pace = new Pace(options.clock, options.projection.batchMax)
    this.#movedAt = options.clock.monotonic()
    this.#trouble = new LaneTrouble(`projection ${options.projection.name}, lane ${name}`, options)
    this.#ended = this.#run()
  }

  /** What is committed up to; the beginning until it is known. */
  get place(): AllPlace {
    return this.#place
  }

  get events(): number {
    return this.#events
  }

  /** Which part is done, from 0 to 1, of what was to be done up to a place when it began. */
  fraction(to: AllPlace): number {
    const { position } = this.#place
    if (position >= to.position) return 1
    const origin = this.#origin ?? position
    return position <= origin ? 0 : (position - origin) / (to.position - origin)
  }

  /** Why it stands still until somebody mends it. */
  get halted(): PenholdError | undefined {
    return this.#halted
  }

  /** No other commit begins until it is released. */
  hold(why: Hold): void {
    this.#holds.add(why)
    this.#bell.ring()
    this.#options.onChange()
  }

  /**
   * Resolves once nothing is under way. Handlers have so long; then what they have done is undone, and counts as if it had
   * never begun.
   */
  async settled(ms: number): Promise<void> {
    const over = this.#turns.over()
    if (ms > 0) await within(this.#options.clock, ms, over)
    this.#attempt?.giveUp(STALE)
    await over
  }

  /** Goes on, where nothing else holds it. */
  release(why: Hold): void {
    this.#holds.delete(why)
    this.#bell.ring()
    this.#options.onChange()
  }

  /** Tries again what has halted it, or what it waits with. */
  retry(): void {
    if (this.#halted !== undefined) {
      this.#halted = undefined
      this.#failing = undefined
    }
    this.#bell.ring()
    this.#options.onChange()
  }

  /** Resolves once nothing is under way, and nothing will be. Handlers have so long. */
  async close(ms: number): Promise<void> {
    this.#isClosed = true
    this.#intake?.close()
    this.#bell.ring()
    await this.settled(ms)
    await this.#ended
  }

  /** Does something between two batches, at the place where the lane stands. What fails makes the lane begin again. */
  async between<T>(work: (lane: Held) => Promise<T>): Promise<T> {
    return await this.#turns.take(async () => {
      try {
        if (!this.#isLoaded) await this.#load()
        return await work({
          place: this.#place,
          commit: (step) => this.#commit(step),
          emptied: (stream) => void this.#parked.delete(stream),
        })
      } catch (error) {
        this.#isStale = true
        throw error === STALE ? waitAborted(this.#options.projection.name, 'it has ended here') : error
      }
    })
  }

  status(): Promise<LaneStatus> {
    return statusOf(this.#feed, () => ({
      lane: this.name,
      condition: this.condition,
      place: this.#place,
      isPlaced: this.#isLoaded,
      events: this.#events,
      stillMs: Math.round(this.#options.clock.monotonic() - this.#movedAt),
      trouble: this.#whatTroubles(),
    }))
  }

  /** Its state, as far as it is known without asking the log. */
  get condition(): LaneState {
    if (this.#halted !== undefined) return 'halted'
    if (this.#holds.has('paused')) return 'paused'
    const waits = this.#trouble.now !== undefined || this.#failing !== undefined || this.#holds.has('unsure')
    return waits ? 'waiting' : 'running'
  }

  #whatTroubles(): Trouble | undefined {
    const failing = this.#failing
    const event = failing && blamed(failing.failure)
    const attempts = failing?.attempts ?? 1
    if (this.#halted !== undefined) return { message: this.#halted.message, attempts, event }
    return this.#trouble.now ?? (failing && { message: reasonOf(failing.failure.error), attempts, event })
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      try {
        await this.#follow()
      } catch (error) {
        if (error === STALE || this.#isClosed) continue
        if (isLasting(error)) this.#halt(error)
        else await this.#waitWith(error)
      }
    }
  }

  /** From what the store has, on and on, until something fails. */
  async #follow(): Promise<void> {
    if (!(await this.#mayGoOn())) return
    await this.#turns.take(() => this.#load())
    const { projection, feeds } = this.#options
    const { batchMax } = projection
    const intake = new Intake((signal) => this.#feed.pages(this.#place, signal), { batchMax, room: feeds.room })
    this.#intake = intake
    let reached = this.#place
    try {
      while (await this.#mayGoOn()) {
        const taken = await intake.take(this.#pace.count)
        if (taken === undefined) return
        checkContinuity(this.name, reached, taken)
        reached = taken.place
        this.#origin ??= taken.events[0]?.position
        await this.#settle({ ...taken, events: taken.events.filter((event) => this.#handlers(event) !== undefined) })
        // Commands are handled on the same thread.
        await this.#options.clock.yield()
      }
    } finally {
      intake.close()
    }
  }

  async #load(): Promise<void> {
    const { readModel, generation } = this.#options
    await this.#checkOrder()
    const places = await readModel.places(generation)
    const place = places.get(this.name) ?? BEGINNING
    const parked = await readModel.parkedStreams(generation)
    if (comparePlaces(place, BEGINNING) > 0) {
      const restorations = await this.#options.feeds.restorations()
      checkPlace(place.position, { head: await this.#feed.head(), restorations })
    }
    this.#isStale = false
    this.#isLoaded = true
    this.#parked = new Set(parked)
    if (place.position > 0) this.#origin ??= place.position
    if (comparePlaces(place, this.#place) !== 0) this.#moveTo(place)
  }

  /** A lane of another order has done what this one would do again. */
  async #checkOrder(): Promise<void> {
    const { readModel, generation, projection } = this.#options
    const { name, order } = projection
    const mark = (control: Control): Control => {
      const found = generationOf(control, generation)
      if (found === undefined) throw noSuchGeneration(name, generation)
      return found.order === undefined ? withChanged(control, generation, { order }) : control
    }
    const made = generationOf(await takeStep(readModel, mark), generation)!.order!
    if (made !== order) throw projectionReordered(name, { generation, made, order })
  }

  /** Resolves to whether the lane goes on, once nothing holds or halts it; to false where it is closed. */
  async #mayGoOn(): Promise<boolean> {
    while (!this.#isClosed && this.#isHeld) await this.#bell.rung()
    return !this.#isClosed
  }

  get #isHeld(): boolean {
    return this.#holds.size > 0 || this.#halted !== undefined
  }

  /** Until all of a batch is done, or the lane is closed. */
  async #settle(work: Work): Promise<void> {
    for (;;) {
      if (!(await this.#mayGoOn())) throw STALE
      if (this.#isNext(work) && !this.#isHopeless) {
        await this.#bell.rungWithin(this.#options.clock, backOffMs(this.#failing!.attempts))
      }
      const isDone = await this.#turns.take(() => {
        // Looked at again: it may have been held or closed since.
        if (this.#isClosed || this.#isHeld) return false
        if (this.#isStale) throw STALE
        return this.#advance(work)
      })
      if (isDone) return
    }
  }

  /** Whether the event that fails is the first of what is left. */
  #isNext({ events }: Work): boolean {
    const [first] = events
    return first !== undefined && this.#failing !== undefined && isSame(first, this.#failing.failure.event)
  }

  get #isHopeless(): boolean {
    return this.#failing !== undefined && this.#failing.attempts > this.#options.projection.retries
  }

  /** Commits what is to be committed next. Resolves to whether all is done. */
  async #advance(work: Work): Promise<boolean> {
    if (work.events.length === 0 && comparePlaces(work.place, this.#place) === 0) {
      this.#trouble.over()
      return true
    }
    const failing = this.#failing
    const at = failing === undefined ? -1 : work.events.findIndex((event) => isSame(event, failing.failure.event))
    if (at === 0 && this.#isHopeless) return await this.#giveUp(work, failing!)
    // What comes before the event that fails, then that one alone.
    const events = at < 0 ? work.events : work.events.slice(0, Math.max(1, at))
    const failure = await this.#commit({
      to: endOf(work, events.length),
      park: events.filter(({ stream }) => this.#parked.has(stream)).map((event) => this.#toParked(event, '')),
      unpark: [],
      events: events.filter(({ stream }) => !this.#parked.has(stream)),
    })
    if (failure === undefined) return this.#done(work, events.length)
    const isAgain = failing !== undefined && isSame(failure.event, failing.failure.event)
    this.#failing = { failure, attempts: isAgain ? failing.attempts + 1 : 1 }
    this.#options.onChange()
    return false
  }

  #done(work: Work, count: number): boolean {
    const isDone = count === work.events.length
    work.events = work.events.slice(count)
    this.#options.onChange()
    return isDone
  }

  /** Of the event that comes first. */
  async #giveUp(work: Work, { failure }: Failing): Promise<boolean> {
    const { projection } = this.#options
    const { event, error } = failure
    if (projection.onFailure === 'halt') {
      this.#halt(projectionHalted(projection.name, event, error))
      return false
    }
    if (this.#parked.size >= PARKED_STREAMS_MAX) {
      this.#halt(tooMuchParked(projection.name, this.#parked.size, error))
      return false
    }
    await this.#commit({ to: endOf(work, 1), park: [this.#toParked(event, reasonOf(error))], unpark: [], events: [] })
    this.#parked.add(event.stream)
    this.#trouble.warn(
      `has parked '${event.type}', version ${event.version} of ${event.stream}, and parks what follows there: ${reasonOf(error)}. Mend that, and have it retried or skipped (retryParked, skipParked; penhold projection parked).`,
    )
    return this.#done(work, 1)
  }

  /**
   * Commits a step, and stands where it leads. Resolves to the failure of a handler, where there was one and the store is
   * well: then nothing has changed.
   */
  async #commit({ events, ...step }: Step): Promise<HandlerFailure | undefined> {
    if (this.#isClosed) throw STALE
    const { readModel, generation, projection, clock } = this.#options
    const { handlerTimeoutMs } = projection
    const attempt = new Attempt<Model>(events, { handlers: this.#handlers, handlerTimeoutMs, clock })
    this.#attempt = attempt
    const change = { ...step, lane: this.name, from: this.#place, apply: (model: Model) => attempt.apply(model) }
    try {
      await this.#pace.time(events.length, () => readModel.commit(generation, change))
    } catch (error) {
      const { failure } = attempt
      if (attempt.isGivenUp) throw STALE
      if (failure === undefined || error instanceof LaneMoved || isStores(error, failure)) throw error
      await this.#examineStore()
      return failure
    } finally {
      this.#attempt = undefined
      // A handler that the store did not wait for changes nothing more.
      attempt.giveUp(STALE)
    }
    this.#events += events.length
    this.#trouble.over()
    if (comparePlaces(step.to, this.#place) !== 0) this.#moveTo(step.to)
  }

  /** A handler fails also where its store is away or somebody else's: that is not the event's fault. */
  async #examineStore(): Promise<void> {
    const { readModel, generation } = this.#options
    const place = (await readModel.places(generation)).get(this.name) ?? BEGINNING
    if (comparePlaces(place, this.#place) !== 0) throw new LaneMoved(this.name, this.#place)
  }

  #moveTo(place: AllPlace): void {
    this.#place = place
    this.#movedAt = this.#options.clock.monotonic()
    // Whoever it was that has gone past it.
    if (this.#failing !== undefined && comparePlaces(this.#failing.failure.event, place) <= 0) this.#failing = undefined
  }

  #halt(error: PenholdError): void {
    this.#halted = error
    this.#trouble.warn(error.message)
    this.#options.onChange()
  }

  async #waitWith(error: unknown): Promise<void> {
    this.#trouble.tell(error)
    this.#options.onChange()
    await this.#trouble.rest(this.#bell)
  }

  #toParked({ stream, version, position, shard, type }: FeedEvent, reason: string): ParkedEvent {
    return { stream, version, place: { position, shard }, type, reason, parkedAt: this.#options.clock.now() }
  }
}

/** A lane between two batches. */
export interface Held {
  readonly place: AllPlace
  /** Resolves to the failure of a handler, where there was one: then nothing has changed. */
  readonly commit: (step: Step) => Promise<HandlerFailure | undefined>
  /** Nothing of this stream is parked any more. */
  readonly emptied: (stream: string) => void
}

/** Where the lane stands behind so many events of a batch. */
function endOf({ events, place }: Work, count: number): AllPlace {
  if (count === events.length) return place
  const { position, shard } = events[count - 1]!
  return { position, shard }
}

/**
 * What a handler met was the store's own failure, as the store says in its place. A store that was waiting for a handler may
 * have lost its patience, which is not its failure.
 */
function isStores(error: unknown, failure: HandlerFailure): boolean {
  return (
    error !== failure.error && !isTimeout(failure.error) && error instanceof PenholdError && STORES.includes(error.code)
  )
}

function isSame(a: FeedEvent, b: FeedEvent): boolean {
  return comparePlaces(a, b) === 0
}

function blamed({ event: { stream, version, type } }: HandlerFailure): NonNullable<Trouble['event']> {
  return { stream, version, type }
}
