/**
 * Publishes the messages of one shard, in their order, and finds out what is in the way where whoever takes them takes none:
 * that all of it is away, which is waited for; or that one message alone is never taken, while others are, of which nobody else
 * can tell the two apart. It knows what has arrived of messages that are not done with, so that it is not published again because
 * others failed.
 *
 * After a few attempts in a row that came to nothing it goes on carefully: the first message alone, then twice as many each time.
 * One that fails alone is suspect, and published alone from then on. Where another was taken meanwhile, of this shard or of any, it is
 * that message's failure and no other's; and so it is the next time, unless another has failed alone as well.
 *
 * Who takes them may want to be left alone for a while: then nothing was asked, and nothing is known. It may be a suspect that has it
 * say so each time; so after that the others come first.
 *
 * A call of the publisher has its time. Then it is given up as one that has failed, though it may go on by itself: what it does
 * after that is done twice, as others do it as well, each in the order of each stream from where all before has arrived. So the
 * first copies stand in order however late one of them comes. That it resolves late says nothing: it may have left off because it was given up.
 */
import { reasonOf } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import type { FeedEvent } from '../read/event-feed.ts'
import { OthersWait } from './consumer.ts'
import { CAREFUL_AFTER } from './handle-many.ts'
import {
  LeftAlone,
  messageNotTaken,
  PublisherLate,
  PublishRefused,
  type OpenPublisher,
  type OutboxMessage,
  type Publishing,
} from './publisher.ts'

/** A message, and the event that it was made of. */
export interface Mapped {
  readonly event: FeedEvent
  readonly message: OutboxMessage
}

/** One that does not arrive; all before it have. */
export interface NotTaken {
  readonly mapped: Mapped
  readonly cause: unknown
  /** It is not refused, and may be taken later. */
  readonly isAway: boolean
}

/** What an outbox knows of whoever takes its messages, by all its shards: how often any was taken, and how often one alone was not. */
export interface Known {
  taken: number
  away: number
  /** So many calls were given up, and have not come to an end. */
  unended: number
}

export interface ShardPublishingOptions {
  readonly publisher: OpenPublisher
  readonly known: Known
  /** So many are published together. */
  readonly most: number
  /** So long that may take. */
  readonly callMs: number
  readonly clock: Clock
}

interface Suspect extends Readonly<Pick<Known, 'taken' | 'away'>> {
  /** It was its own failure the last time. */
  readonly isAlone: boolean
}

/** So many messages of a shard are known to have arrived, at most, while others before them have not. */
const ARRIVED_MAX = 10_000
/** Each is kept in memory, with what it was given. */
export const UNENDED_MAX = 1_000
/**
 * Of a shard. More than its lane has in its window, each of which may be one: what is pushed out before it is tried again would never be
 * told apart. Those that were parked meanwhile go first.
 */
const SUSPECTS_MAX = 10_000

type Outcome =
  | { readonly kind: 'arrived' }
  | { readonly kind: 'refused'; readonly mapped: Mapped; readonly cause: unknown }
  | { readonly kind: 'away'; readonly error: unknown }
  /** The call had no end in its time. */
  | { readonly kind: 'late'; readonly error: unknown }
  /** Some of them were not asked for at all. */
  | { readonly kind: 'left alone'; readonly error: unknown }

export class ShardPublishing {
  readonly #options: ShardPublishingOptions
  readonly #known: Known
  readonly #most: number
  /** By the message's id, the oldest first. */
  readonly #arrived = new Set<string>()
  /** By the message's id, what was known when it failed alone. */
  readonly #suspects = new Map<string, Suspect>()
  /** Attempts in a row that have ended with nothing known but that something is away. */
  #waits = 0
  /** Calls in which any was taken. */
  #taken = 0
  /** Whoever takes them wanted to be left alone the last time. */
  #wasLeftAlone = false

  constructor(options: ShardPublishingOptions) {
    this.#options = options
    this.#known = options.known
    this.#most = options.most
  }

  /**
   * Resolves once all have arrived, or up to the first that is not taken though others are.
   * @throws OthersWait where some have arrived; whatever else keeps them from arriving
   */
  async publish(mapped: readonly Mapped[], signal: AbortSignal): Promise<NotTaken | undefined> {
    const before = this.#taken
    try {
      const notTaken = await this.#all(this.#left(mapped), signal)
      // That a message which is known to be away alone is so still says nothing of the others, which are given beside it.
      if (notTaken?.isAway !== true || this.#taken > before) this.#waits = 0
      const done = notTaken === undefined ? mapped : mapped.slice(0, mapped.indexOf(notTaken.mapped))
      this.#forget(done)
      return notTaken
    } catch (error) {
      this.#waits += 1
      const done = mapped.filter(({ message }) => this.#arrived.has(message.id))
      // After its time nobody hears of it.
      if (done.length === 0 || signal.aborted) throw error
      this.#forget(done)
      if (done.length === mapped.length) return undefined
      throw new OthersWait(
        done.map(({ event }) => event),
        error,
      )
    }
  }

  async #all(given: readonly Mapped[], signal: AbortSignal): Promise<NotTaken | undefined> {
    const isCareful = this.#waits >= CAREFUL_AFTER
    let left = this.#wasLeftAlone ? await this.#othersFirst(given, signal) : given
    let size = isCareful ? 1 : this.#most
    while (left.length > 0) {
      const some = this.#next(left, size)
      const outcome = await this.#attempt(some, signal)
      if (outcome.kind === 'refused') return { ...outcome, isAway: false }
      if (outcome.kind === 'arrived') {
        if (some.length === left.length) break
        this.#note(some)
        left = left.slice(some.length)
        size = Math.min(2 * size, this.#most)
        continue
      }
      const { error } = outcome
      if (signal.aborted || outcome.kind === 'left alone') throw error
      const [first] = some
      if (some.length === 1 && (await this.#isAlone(first!, left, { isCareful, signal }))) {
        const cause = messageNotTaken(first!.message, reasonOf(error), error)
        return { mapped: first!, cause, isAway: true }
      }
      if (some.length === 1 || !isCareful || outcome.kind === 'late') throw error
      // One of these: the first of them alone.
      left = this.#left(left)
      size = 1
    }
    return undefined
  }

  /**
   * Publishes what is of no suspect's stream, and returns what is left then. One that is refused is given again in its turn, and
   * so is all behind it in its stream.
   */
  async #othersFirst(given: readonly Mapped[], signal: AbortSignal): Promise<readonly Mapped[]> {
    this.#wasLeftAlone = false
    const streams = new Set(given.filter(({ message }) => this.#suspects.has(message.id)).map(streamOf))
    let others: readonly Mapped[] = streams.size === 0 ? [] : given.filter((each) => !streams.has(streamOf(each)))
    // All may be suspect, of which one is in the way of the others.
    if (streams.size > 1 && others.length === 0) {
      await this.#takesAnother(given[0]!, given, signal)
      if (signal.aborted) throw signal.reason as Error
    }
    let size = 1
    while (others.length > 0) {
      const some = others.slice(0, size)
      const outcome = await this.#attempt(some, signal)
      if (outcome.kind === 'refused') {
        const refused = outcome.mapped
        this.#note(some.slice(0, some.indexOf(refused)))
        others = this.#left(others).filter((each) => streamOf(each) !== streamOf(refused))
        continue
      }
      if (outcome.kind === 'arrived') {
        this.#note(some)
        others = others.slice(some.length)
        size = Math.min(2 * size, this.#most)
        continue
      }
      if (signal.aborted || outcome.kind === 'left alone') throw outcome.error
      if (some.length === 1) this.#suspect(some[0]!, false)
      if (some.length === 1 || outcome.kind === 'late') throw outcome.error
      others = this.#left(others)
      size = 1
    }
    return this.#left(given)
  }

  /** Up to so many; a suspect by itself. */
  #next(left: readonly Mapped[], size: number): readonly Mapped[] {
    const suspect = this.#suspects.size === 0 ? -1 : left.findIndex(({ message }) => this.#suspects.has(message.id))
    if (suspect === -1) return size >= left.length ? left : left.slice(0, size)
    return left.slice(0, suspect === 0 ? 1 : Math.min(size, suspect))
  }

  /** Publishes all; where one is refused, all before it. */
  async #attempt(some: readonly Mapped[], signal: AbortSignal): Promise<Outcome> {
    let refused: Outcome | undefined
    let wasTold = false
    const published = (message: OutboxMessage): void => {
      wasTold = true
      this.#add(message)
    }
    let left = some
    while (left.length > 0) {
      if (signal.aborted) return { kind: 'away', error: signal.reason }
      try {
        const messages = left.map(({ message }) => message)
        await this.#call(messages, { signal, published })
        this.#noteTaken()
        break
      } catch (error) {
        if (wasTold) this.#noteTaken()
        // Whatever it says after that is no message's trouble. Once the attempt is over nobody hears of it.
        if (!signal.aborted && this.#left(left).length === 0) break
        const at =
          error instanceof PublishRefused ? left.findIndex(({ message }) => message.id === error.refused.id) : -1
        if (error instanceof LeftAlone) {
          this.#wasLeftAlone = true
          return { kind: 'left alone', error }
        }
        if (error instanceof PublisherLate) {
          // One more such attempt at all of them would take as long.
          this.#waits = Math.max(this.#waits, CAREFUL_AFTER)
          return { kind: 'late', error }
        }
        if (at === -1) return { kind: 'away', error }
        const mapped = left[at]!
        this.#suspects.delete(mapped.message.id)
        refused = { kind: 'refused', mapped, cause: error }
        // Those behind it come again, once somebody knows what becomes of it.
        left = this.#left(left.slice(0, at))
      }
    }
    return refused ?? { kind: 'arrived' }
  }

  /** Has the publisher take messages within its time. What it does after that is only known where it says so by `published`. */
  async #call(messages: readonly OutboxMessage[], { signal, published }: Publishing): Promise<void> {
    const { publisher, known, clock, callMs } = this.#options
    if (known.unended >= UNENDED_MAX) throw tooManyUnended()
    const call = new AbortController()
    const { promise: over, reject } = Promise.withResolvers<never>()
    const giveUp = (error: unknown): void => {
      reject(error)
      call.abort(error)
    }
    const onAbort = (): void => giveUp(signal.reason)
    const cancel = clock.after(callMs, () => giveUp(new PublisherLate(callMs)))
    signal.addEventListener('abort', onAbort, { once: true })
    let state: 'under way' | 'ended' | 'given up' = 'under way'
    const publish = async (): Promise<void> => {
      try {
        await publisher.publish(messages, { signal: call.signal, published })
      } finally {
        if (state === 'given up') known.unended -= 1
        state = 'ended'
      }
    }
    try {
      await Promise.race([publish(), over])
    } finally {
      cancel()
      signal.removeEventListener('abort', onAbort)
      if (state === 'under way') {
        state = 'given up'
        known.unended += 1
      }
    }
  }

  /** Whether others are taken, and this one is not. */
  async #isAlone(
    first: Mapped,
    left: readonly Mapped[],
    { isCareful, signal }: { readonly isCareful: boolean; readonly signal: AbortSignal },
  ): Promise<boolean> {
    const before = this.#suspects.get(first.message.id)
    const isKnown =
      before !== undefined && (this.#known.taken > before.taken || (before.isAlone && this.#known.away === before.away))
    const isAlone = isKnown || ((isCareful || before !== undefined) && (await this.#takesAnother(first, left, signal)))
    this.#suspect(first, isAlone)
    return isAlone
  }

  /** Tries the next of another stream: one that is not suspect, else the one that was tried alone before the others. */
  async #takesAnother(first: Mapped, left: readonly Mapped[], signal: AbortSignal): Promise<boolean> {
    const next = new Map<string, Mapped>()
    for (const each of left) if (!next.has(each.message.stream)) next.set(each.message.stream, each)
    next.delete(first.message.stream)
    const others = new Map([...next.values()].map((each) => [each.message.id, each]))
    const unsuspected = [...others.keys()].find((id) => !this.#suspects.has(id))
    const id = unsuspected ?? [...this.#suspects.keys()].find((suspect) => others.has(suspect))
    if (id === undefined) return false
    const other = others.get(id)!
    const { kind } = await this.#attempt([other], signal)
    if (kind === 'away' || kind === 'late') this.#suspect(other, false)
    if (kind === 'arrived') this.#note([other])
    // To be refused is an answer.
    return kind === 'arrived' || kind === 'refused'
  }

  #noteTaken(): void {
    this.#known.taken += 1
    this.#taken += 1
  }

  #suspect({ message: { id } }: Mapped, isAlone: boolean): void {
    if (!isAlone) this.#known.away += 1
    this.#suspects.delete(id)
    this.#suspects.set(id, { ...this.#known, isAlone })
    if (this.#suspects.size <= SUSPECTS_MAX) return
    const [oldest] = this.#suspects.keys()
    this.#suspects.delete(oldest!)
  }

  #left(mapped: readonly Mapped[]): readonly Mapped[] {
    return this.#arrived.size === 0 ? mapped : mapped.filter(({ message }) => !this.#arrived.has(message.id))
  }

  /** These are not given again. */
  #forget(done: readonly Mapped[]): void {
    for (const { message } of done) this.#arrived.delete(message.id)
    if (this.#suspects.size > 0) for (const { message } of done) this.#suspects.delete(message.id)
  }

  #note(arrived: readonly Mapped[]): void {
    for (const { message } of arrived) this.#add(message)
  }

  #add({ id }: OutboxMessage): void {
    this.#arrived.add(id)
    if (this.#arrived.size <= ARRIVED_MAX) return
    // Forgotten, it may be published twice, and never not at all.
    const [oldest] = this.#arrived
    this.#arrived.delete(oldest!)
  }
}

function tooManyUnended(): LeftAlone {
  const reason = `${UNENDED_MAX} of its calls have not come to an end, which is the limit; give what it does a time limit, and start this node anew`
  return new LeftAlone('its publisher', 0, reason)
}

function streamOf({ message }: Mapped): string {
  return message.stream
}
