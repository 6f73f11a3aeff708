/**
 * What is done by hand with a consumer, from whatever node: it is said to the records of its shards, and the lanes do what
 * these say, wherever they run.
 */
import type { Clock } from '../log/clock.ts'
import type { IdSource } from '../log/identity.ts'
import { behind } from '../read/place.ts'
import type { FeedEvent, Feeds } from '../read/event-feed.ts'
import type { Consumer } from './consumer.ts'
import { CONSUMER, keyOf, PAUSED, type ConsumerState, type ParkedStream } from './consumer-record.ts'
import { reactorState, retryPaused, retryTimedOut } from './error.ts'
import { afterForNew, type Effects, type SentOutcome } from './effects.ts'
import { settled } from './settled.ts'

/** A stream whose events wait, with the first of them. */
export interface ParkedEvent {
  readonly stream: string
  readonly version: number
  readonly type: string
  /** Its place in the order of all events. */
  readonly position: number
  /** What its handler threw; undefined where it waits behind one that was skipped. */
  readonly reason: string | undefined
  readonly parkedAt: Date
  /** So often it was parked, or has failed again when it was retried. */
  readonly failures: number
}

/** One of a stream's events that wait. */
export interface WaitingEvent {
  readonly id: string
  readonly type: string
  readonly version: number
  readonly position: number
  readonly time: Date
}

/** What has become of a stream's parked events. */
export interface RetriedStream {
  /** The one that has failed again; it and what stands behind it stay parked. Undefined where all took effect. */
  readonly failed: { readonly version: number; readonly type: string; readonly reason: string } | undefined
}

export interface ConsumerOperationsOptions {
  readonly consumer: Consumer
  readonly shards: number
  readonly shardOf: (stream: string) => number
  readonly feeds: Feeds
  readonly effects: Effects
  readonly ids: IdSource
  readonly clock: Clock
}

/** So many records, or streams, are asked at once. */
const ASKED_TOGETHER = 32
const RETRY_MS = 60_000
export const LISTED_MAX = 1_000

export class ConsumerOperations {
  readonly #options: ConsumerOperationsOptions
  readonly #records: readonly string[]

  constructor(options: ConsumerOperationsOptions) {
    const { consumer, shards, effects } = options
    this.#options = options
    this.#records = Array.from({ length: shards }, (_, shard) => effects.inShard(shard, CONSUMER, keyOf(consumer)))
  }

  /**
   * Where it starts at `now`, this is decided for all shards at once, whoever serves them: for those alone that were never
   * begun.
   */
  async begin(): Promise<void> {
    const { feeds } = this.#options
    const heads = await feeds.heads()
    await this.#each(async (record, shard) => {
      const place = behind(heads.get(String(shard))!)
      await this.#tell(record, 'begin', { place }, place.position)
    })
  }

  async pause(): Promise<void> {
    await this.#each((record) => this.#tell(record, 'pause'))
  }

  async resume(): Promise<void> {
    await this.#each((record) => this.#tell(record, 'resume'))
  }

  /** What is parked, the oldest first, from a position on. */
  async parked(limit: number, from = 0): Promise<readonly ParkedEvent[]> {
    const found: ParkedEvent[] = []
    await this.#each(async (record) => {
      const { parked } = await this.#state(record)
      for (const [stream, event] of Object.entries(parked)) found.push(toParked(stream, event))
    })
    const known = found.filter(({ position }) => position >= from).toSorted((a, b) => a.position - b.position)
    const listed: ParkedEvent[] = []
    // Fewer than asked for are all that there are, though nothing may wait behind some that were skipped.
    for (let next = 0; next < known.length && listed.length < limit;) {
      const some = known.slice(next, next + limit - listed.length)
      next += some.length
      const waiting = await together(some, async (event) => (event.reason === undefined ? this.#found(event) : event))
      listed.push(...waiting.filter((event) => event !== undefined))
    }
    return listed
  }

  /** A stream's events that wait, in order. @throws PenholdError `ReactorState` where none does */
  async waiting(stream: string, limit: number): Promise<readonly WaitingEvent[]> {
    const { feeds, consumer } = this.#options
    const known = await this.#parkedStream(stream)
    if (known === undefined) throw this.#notParked(stream)
    const events: WaitingEvent[] = []
    for await (const page of feeds.stream(stream, known.version)) {
      for (const event of page) {
        const { id, type, version, position, time } = event
        if (consumer.isWanted(event)) events.push({ id, type, version, position, time })
        if (events.length === limit) return events
      }
    }
    return events
  }

  /**
   * Has a stream's parked events tried again, in order, until none is left or one fails again; resolves then.
   * @throws PenholdError `ReactorState` where nothing of it is parked, or the consumer is paused; `Timeout` where it takes longer
   * than a minute
   * @param onAsked it is asked for: its lane finds that by itself, which takes a while where it does not read
   */
  async retry(stream: string, onAsked: () => void = () => undefined): Promise<RetriedStream> {
    const { clock, consumer } = this.#options
    const outcome = await this.#tell(this.#recordOf(stream), 'retry', { stream })
    if (outcome.kind === 'rejected') throw outcome.code === PAUSED ? retryPaused(consumer) : this.#notParked(stream)
    onAsked()
    const after = await settled(clock, RETRY_MS, async () => {
      const known = await this.#parkedStream(stream)
      return known?.isAsked === true ? undefined : { known }
    })
    if (after === undefined) throw retryTimedOut(consumer.name, stream, RETRY_MS)
    const { known } = after
    return { failed: known && { version: known.version, type: known.type, reason: known.reason } }
  }

  /** @throws PenholdError `ReactorState` where it is not the first of its stream that waits */
  async skip(event: { readonly stream: string; readonly version: number; readonly reason: string }): Promise<void> {
    const { stream, version, reason } = event
    if (reason.trim() === '') throw reactorState(`say why version ${version} of ${stream} is skipped`)
    const first = await this.#parkedStream(stream)
    // Behind one that was skipped there may be none yet: given up now, it would never be handled.
    const waits = first?.reason === '' ? await this.#firstWanted(stream, first.version) : first
    if (first !== undefined && waits === undefined)
      throw reactorState(`nothing of ${stream} waits at the moment; there is nothing to skip`)
    if (waits !== undefined && waits.version !== version) throw this.#notFirst(stream, version, waits)
    const from = first?.version ?? version
    const outcome = await this.#tell(this.#recordOf(stream), 'skip', { stream, version, reason, from })
    if (outcome.kind === 'accepted') return
    const known = await this.#parkedStream(stream)
    throw known === undefined ? this.#notParked(stream) : this.#notFirst(stream, version, known)
  }

  /** One behind an event that was skipped, as the log has it: the record has what was skipped. Undefined where there is none yet. */
  async #found(event: ParkedEvent): Promise<ParkedEvent | undefined> {
    const first = await this.#firstWanted(event.stream, event.version)
    return first && { ...event, version: first.version, type: first.type, position: first.position }
  }

  async #firstWanted(stream: string, from: number): Promise<FeedEvent | undefined> {
    const { feeds, consumer } = this.#options
    for await (const page of feeds.stream(stream, from)) {
      const first = page.find((event) => consumer.isWanted(event))
      if (first !== undefined) return first
    }
    return undefined
  }

  #notFirst(stream: string, version: number, { version: first }: { readonly version: number }): Error {
    return reactorState(
      `version ${version} of ${stream} is not the first that waits, which is version ${first}; begin with that one`,
    )
  }

  #notParked(stream: string): Error {
    const { name } = this.#options.consumer
    return reactorState(
      `nothing of ${stream} is parked by ${name}; penhold parked list '${name}', or parked() of its ref, lists what is`,
    )
  }

  #recordOf(stream: string): string {
    return this.#records[this.#options.shardOf(stream)]!
  }

  async #parkedStream(stream: string): Promise<ParkedStream | undefined> {
    const question = { stream: this.#recordOf(stream), name: 'parked', argument: stream }
    return (await this.#options.effects.query(question)) as ParkedStream | undefined
  }

  async #state(record: string): Promise<ConsumerState> {
    return (await this.#options.effects.query({ stream: record, name: 'state' })) as ConsumerState
  }

  async #tell(record: string, name: string, payload?: unknown, after?: number): Promise<SentOutcome> {
    const { ids, clock, effects } = this.#options
    const commandId = ids.next()
    const cause = { correlationId: commandId, causationId: commandId, after: after ?? afterForNew(clock) }
    return await effects.ask({ stream: record, name, payload, commandId, ...cause })
  }

  async #each(work: (record: string, shard: number) => Promise<unknown>): Promise<void> {
    await together(this.#records, work)
  }
}

/** Works on so many at once, and resolves to what came of each, in order. */
async function together<T, Result>(
  all: readonly T[],
  work: (each: T, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  for (let first = 0; first < all.length; first += ASKED_TOGETHER) {
    const some = all.slice(first, first + ASKED_TOGETHER)
    results.push(...(await Promise.all(some.map((each, i) => work(each, first + i)))))
  }
  return results
}

function toParked(stream: string, { version, type, position, reason, at, failures }: ParkedStream): ParkedEvent {
  const parkedAt = new Date(at)
  return { stream, version, type, position, reason: reason === '' ? undefined : reason, parkedAt, failures }
}
