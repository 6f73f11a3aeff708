/**
 * A Penhold in memory for processes: aggregates that decide by the runtime's own code, streams, and consumers that are run
 * one event at a time. It may die at any call of a consumer's, before or after the call had its effect; then it goes on
 * from the last checkpoint, which may be far behind.
 */
import { decide, DecisionContext, evolve, initialState, answer } from '../../src/actor/decide.ts'
import { DEFAULT_ACTOR_LIMITS } from '../../src/actor/limits.ts'
import type { Aggregate, EmittedEvent } from '../../src/aggregate/aggregate.ts'
import { PenholdError } from '../../src/aggregate/error.ts'
import { hashPlain } from '../../src/aggregate/plain.ts'
import { decode, encode } from '../../src/log/codec.ts'
import { deriveId, IdSource, parseId } from '../../src/log/identity.ts'
import { streamType } from '../../src/log/stream.ts'
import type { Consumer, Reaction } from '../../src/react/consumer.ts'
import type { Effects, SentCommand, SentOutcome } from '../../src/react/effects.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

/** The world has died in the middle of something. */
export class Died extends Error {
  override readonly name = 'Died'
}

export type Strike = 'none' | 'before' | 'after'

interface Remembered {
  readonly payloadHash: number
  readonly outcome: SentOutcome
}

export class ProcessWorld {
  readonly clock = new SimulatedClock()
  readonly events: FeedEvent[] = []
  /** By name of the consumer: how many events are done with, as it is recorded. */
  readonly checkpoints = new Map<string, number>()
  /** What consumers do passes through here: how mutants come in. */
  wrap: (effects: Effects) => Effects = (effects) => effects
  /** Called for each call of a consumer's, counted from 1 on. */
  strike: (call: number) => Strike = () => 'none'
  calls = 0
  /** A checkpoint is recorded before what it stands behind is done, as it must not be. */
  recordsFirst = false
  #aggregates: ReadonlyMap<string, Aggregate>
  readonly #ids: IdSource
  /** By stream and command id, with all commands that had events: the log remembers them. */
  readonly #known = new Map<string, Remembered>()
  readonly #versions = new Map<string, number>()
  readonly #states = new Map<string, { readonly state: unknown; readonly at: number }>()

  constructor(aggregates: readonly Aggregate[], seed = 1) {
    this.#aggregates = new Map(aggregates.map((aggregate) => [aggregate.type, aggregate]))
    this.#ids = new IdSource(this.clock, new SeededRandom(seed))
  }

  newId(): string {
    return this.#ids.next()
  }

  /** The same log, with other code. */
  deploy(aggregates: readonly Aggregate[]): void {
    this.#aggregates = new Map(aggregates.map((aggregate) => [aggregate.type, aggregate]))
    this.#states.clear()
  }

  /** A command of somebody outside. */
  ask(stream: string, name: string, payload?: unknown): SentOutcome {
    const commandId = this.#ids.next()
    return this.#command({
      stream,
      name,
      payload,
      commandId,
      correlationId: commandId,
      causationId: commandId,
      after: 0,
    })
  }

  /** A command of somebody who may send it again. @throws PenholdError */
  send(command: SentCommand): SentOutcome {
    return this.#command(command)
  }

  /** The fold of a stream's events, as far as they were folded before. */
  state(stream: string): unknown {
    const aggregate = this.#aggregateOf(stream)
    const known = this.#states.get(stream) ?? { state: initialState(aggregate), at: 0 }
    const rest = this.events.slice(known.at).filter((event) => event.stream === stream)
    const state = rest.reduce<unknown>(
      (before, { type, data }) => evolve(aggregate, before, { type, data: copy(data) }),
      known.state,
    )
    this.#states.set(stream, { state, at: this.events.length })
    return state
  }

  /** As if nothing had ever been in a stream. */
  forget(stream: string): void {
    const others = this.events.filter((event) => event.stream !== stream)
    this.events.splice(0, this.events.length, ...others)
    this.#states.clear()
  }

  of(stream: string): readonly FeedEvent[] {
    return this.events.filter((event) => event.stream === stream)
  }

  /** Runs consumers until there is nothing more for any; `checkpoints` says which of their steps are recorded. */
  async run(consumers: readonly Consumer[], checkpoints: (step: number) => boolean = () => true): Promise<void> {
    const places = new Map(consumers.map(({ name }) => [name, this.checkpoints.get(name) ?? 0]))
    for (let step = 1, isIdle = false; !isIdle;) {
      isIdle = true
      for (const consumer of consumers) {
        const place = places.get(consumer.name)!
        const event = this.events[place]
        if (event === undefined) continue
        isIdle = false
        const isRecorded = checkpoints((step += 1))
        if (isRecorded && this.recordsFirst) this.checkpoints.set(consumer.name, place + 1)
        if (consumer.isWanted(event)) await this.#handle(consumer, event)
        places.set(consumer.name, place + 1)
        if (isRecorded) this.checkpoints.set(consumer.name, place + 1)
      }
    }
  }

  /** Tells a consumer of an event again. */
  async tellAgain(consumer: Consumer, event: FeedEvent): Promise<void> {
    await this.#handle(consumer, event)
  }

  /** Tells a consumer that an event of its was skipped. */
  async giveUp({ givesUp }: Consumer, event: FeedEvent): Promise<void> {
    const effects = this.wrap(this.#effects())
    const signal = new AbortController().signal
    const tries = { attempt: 1, isOutOfRetries: true, isBehindParked: false }
    await givesUp!(event, { ...tries, shard: 0, signal, idempotencyKey: '', effects })
  }

  /** Fires the timers of a process that are due, as they stand in its stream. */
  fire(stream: string, { id, token }: { readonly id: string; readonly token: string }): void {
    this.#command({
      stream,
      name: '$fire',
      payload: { id, token },
      commandId: deriveId('fire', stream, id, token),
      correlationId: 'timer',
      causationId: 'timer',
      after: 0,
    })
  }

  async #handle({ does, name, retries }: Consumer, event: FeedEvent): Promise<void> {
    if (!('one' in does)) throw new Error('not for those')
    const effects = this.wrap(this.#effects())
    for (let attempt = 1; ; attempt += 1) {
      const reaction: Reaction = {
        attempt,
        isOutOfRetries: attempt > retries,
        isBehindParked: false,
        shard: 0,
        signal: new AbortController().signal,
        idempotencyKey: deriveId('reaction', name, event.id),
        effects,
      }
      try {
        await does.one(event, reaction)
        return
      } catch (error) {
        if (error instanceof Died || attempt > retries) throw error
      }
    }
  }

  #effects(): Effects {
    const call = async <Answer>(work: () => Answer): Promise<Answer> => {
      this.calls += 1
      const strike = this.strike(this.calls)
      if (strike === 'before') throw new Died()
      await Promise.resolve()
      try {
        return work()
      } finally {
        // oxlint-disable-next-line no-unsafe-finally -- whatever it came to, nobody hears of it
        if (strike === 'after') throw new Died()
      }
    }
    const none = (): never => {
      throw new Error('no process asks for this')
    }
    return {
      ask: (command) => call(() => this.#command(command)),
      find: ({ stream, commandId }) =>
        call(() => {
          const outcome = this.#known.get(`${stream} ${commandId}`)?.outcome
          return outcome?.kind === 'accepted' ? outcome : undefined
        }),
      query: ({ stream, name, argument }) =>
        call(() =>
          answer(this.#aggregateOf(stream), this.state(stream), {
            kind: 'query',
            request: 0,
            epoch: 0,
            stream,
            name,
            payload: argument,
          }),
        ),
      append: none,
      load: none,
      inShard: none,
      knows: () => true,
      commandBytesMax: DEFAULT_ACTOR_LIMITS.commandBytesMax,
    }
  }

  #command({ stream, name, payload, commandId, correlationId, causationId, after }: SentCommand): SentOutcome {
    const aggregate = this.#aggregateOf(stream)
    const payloadHash = hashPlain(payload, hashPlain(name, 0))
    const known = this.#known.get(`${stream} ${commandId}`)
    if (known !== undefined) {
      if (known.payloadHash === payloadHash) return known.outcome
      const details = { hasTakenEffect: known.outcome.kind === 'accepted' }
      throw new PenholdError('CommandIdReused', 'its id is known', { outcome: 'none', retryable: false, details })
    }
    const context = new DecisionContext(aggregate, this.#ids)
    const message = {
      kind: 'command' as const,
      request: 0,
      epoch: 0,
      stream,
      name,
      payload: copy(payload),
      commandId: parseId(commandId),
      payloadHash,
      isFresh: false,
      isAgain: true,
      expectedVersion: -1,
      after,
      since: after,
      sentIn: undefined,
      waitsForReactors: false,
      metadata: undefined,
      deadline: Number.POSITIVE_INFINITY,
    }
    context.enter(message, this.clock.now())
    const decided = decide(aggregate, this.state(stream), { message, context, limits: DEFAULT_ACTOR_LIMITS })
    if (decided.kind === 'rejected') {
      return { kind: 'rejected', code: decided.rejection.code, details: decided.rejection.details }
    }
    const metadata = { commandId, correlationId, causationId }
    for (const event of decided.events) this.#record(stream, event, { after, metadata })
    const version = this.#versions.get(stream) ?? 0
    const position = decided.events.length === 0 ? 0 : this.events.at(-1)!.position
    const outcome = { kind: 'accepted', version, position } as const
    if (decided.events.length > 0) this.#known.set(`${stream} ${commandId}`, { payloadHash, outcome })
    return outcome
  }

  #record(
    stream: string,
    { type, data }: EmittedEvent,
    { after, metadata }: Pick<FeedEvent, 'metadata'> & { readonly after: number },
  ): void {
    const position = Math.max(this.events.at(-1)?.position ?? 0, after) + 1
    const version = (this.#versions.get(stream) ?? 0) + 1
    this.#versions.set(stream, version)
    this.clock.advance(1)
    this.events.push({
      id: this.#ids.next(),
      type,
      data: copy(data),
      stream,
      version,
      position,
      time: new Date(this.clock.now()),
      metadata,
      shard: 0,
      seq: this.events.length + 1,
    })
  }

  #aggregateOf(stream: string): Aggregate {
    const aggregate = this.#aggregates.get(streamType(stream))
    if (aggregate !== undefined) return aggregate
    throw new PenholdError('UnknownCommand', `no aggregate ${stream}`, { outcome: 'none', retryable: false })
  }
}

function copy<Value>(value: Value): Value {
  return value === undefined ? value : (decode(encode(value)) as Value)
}
