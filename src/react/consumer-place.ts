/**
 * A lane's side of its record (consumer-record.ts): what stands there, and each step that the lane takes. A step whose answer
 * is lost is said again, with its id, until there is one.
 */
import { backOffMs } from '../read/back-off.ts'
import type { Bell } from '../read/bell.ts'
import type { Clock } from '../log/clock.ts'
import type { IdSource } from '../log/identity.ts'
import { BEGINNING, type AllPlace } from '../read/all.ts'
import type { EventFeed } from '../read/event-feed.ts'
import { behind } from '../read/place.ts'
import { isAway } from './attempt.ts'
import type { Consumer } from './consumer.ts'
import {
  CONSUMER,
  MORE_SKIPPED,
  type ConsumerState,
  type NewlyParked,
  type ParkedStream,
  type Unparked,
} from './consumer-record.ts'
import type { Effects, SentOutcome } from './effects.ts'

export interface ConsumerPlaceOptions {
  /** Of the consumer. */
  readonly key: string
  readonly shard: number
  readonly effects: Effects
  readonly ids: IdSource
  readonly clock: Clock
  /** Rung where waiting is to end. */
  readonly bell: Bell
  readonly isClosed: () => boolean
  readonly onTrouble: (error: unknown, attempts: number) => void
}

/** Where a consumer starts in a shard where it was never begun. */
export async function startOf({ startAt }: Consumer, feed: EventFeed): Promise<AllPlace> {
  if (startAt === 'beginning') return BEGINNING
  const head = await feed.head()
  // What stands in a record is behind what its shard has, or the log would go on from a position that never was.
  return behind(startAt === 'now' ? head : Math.min(startAt, head))
}

/** Somebody else runs the lane: the record stands elsewhere. */
export const STALE: unique symbol = Symbol('stale')

const ANSWER_MS = 5_000

export class ConsumerPlace {
  readonly stream: string
  readonly #options: ConsumerPlaceOptions
  /** As the record has it, where nobody else runs the lane. */
  #turn = 0

  constructor(options: ConsumerPlaceOptions) {
    this.#options = options
    this.stream = options.effects.inShard(options.shard, CONSUMER, options.key)
  }

  /** What stands there now. @throws PenholdError where that is not known within a while */
  async state(): Promise<ConsumerState> {
    const question = { stream: this.stream, name: 'state', timeoutMs: ANSWER_MS }
    return (await this.#options.effects.query(question)) as ConsumerState
  }

  /** What is parked of a stream now. @throws PenholdError as `state` */
  async parked(stream: string): Promise<ParkedStream | undefined> {
    const question = { stream: this.stream, name: 'parked', argument: stream, timeoutMs: ANSWER_MS }
    return (await this.#options.effects.query(question)) as ParkedStream | undefined
  }

  async begin(place: AllPlace): Promise<void> {
    await this.#step('begin', { place }, place)
  }

  /** From here on steps go on from this state. */
  goOnFrom({ turn }: ConsumerState): void {
    this.#turn = turn
  }

  async advance(from: AllPlace, to: AllPlace): Promise<void> {
    await this.#step('advance', { from, turn: this.#turn, to }, to)
  }

  async park(from: AllPlace, event: NewlyParked): Promise<void> {
    await this.#step('park', { from, turn: this.#turn, event }, from)
    this.#turn += 1
  }

  /** Of the stream all is done up to a place that may be further than its own. Resolves to whether it is unparked: not where more was skipped. */
  async unpark(from: AllPlace, unparked: Unparked): Promise<boolean> {
    const { kind } = await this.#step('unpark', { from, turn: this.#turn, ...unparked }, from)
    if (kind === 'rejected') return false
    this.#turn += 1
    return true
  }

  /** @throws STALE where it stands elsewhere, or the lane is closed before there was an answer */
  async #step(name: string, payload: unknown, { position }: AllPlace): Promise<SentOutcome> {
    const { effects, ids, clock, bell, isClosed, onTrouble } = this.#options
    const commandId = ids.next()
    const cause = { correlationId: commandId, causationId: commandId, after: position }
    for (let attempts = 1; ; attempts += 1) {
      try {
        const command = { stream: this.stream, name, payload, commandId, timeoutMs: ANSWER_MS, ...cause }
        const outcome = await effects.ask(command)
        if (outcome.kind === 'rejected' && outcome.code !== MORE_SKIPPED) throw STALE
        return outcome
      } catch (error) {
        if (error === STALE || !isAway(error) || isClosed()) throw error
        onTrouble(error, attempts)
        await bell.rungWithin(clock, backOffMs(attempts))
        if (isClosed()) throw STALE
      }
    }
  }
}
