/** What consumers do to the rest of Penhold, over a node's router and its store. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { isPenholdError, PenholdError, reasonOf, Rejected } from '../aggregate/error.ts'
import { unknownAggregate } from '../actor/error.ts'
import type { SentIn } from '../actor/message.ts'
import { findCommand } from '../cluster/known-command.ts'
import { createRef, type RefHost } from '../cluster/ref.ts'
import { streamType } from '../log/stream.ts'
import { INTERNAL_AGGREGATES } from '../react/consumer-record.ts'
import {
  isRefusal,
  type Effect,
  type Effects,
  type LoadedEvent,
  type LoadRange,
  type SentCommand,
  type SentOutcome,
  type SentQuestion,
  type ShardEffects,
} from '../react/effects.ts'
import type { RunningNodeStore } from './node-store.ts'
import { ShardNames } from './shard-names.ts'

/** What a ref says by its types. */
interface AnyRef {
  ask(name: string, payload: unknown, options: object): Promise<{ readonly version: number; readonly position: number }>
  query(name: string, argument: unknown, options: object): Promise<unknown>
}

export interface NodeEffectsOptions {
  readonly host: RefHost
  readonly store: RunningNodeStore
  /** Those of the config. */
  readonly aggregates: readonly Aggregate[]
}

export class NodeEffects implements ShardEffects {
  readonly #options: NodeEffectsOptions
  readonly #aggregates: ReadonlyMap<string, Aggregate>
  readonly #names: ShardNames
  readonly #sentIn: SentIn | undefined

  constructor(options: NodeEffectsOptions, of?: { readonly sentIn: SentIn; readonly names: ShardNames }) {
    this.#options = options
    this.#sentIn = of?.sentIn
    this.#names = of?.names ?? new ShardNames((stream) => options.host.shardOf(stream))
    this.#aggregates = new Map(
      [...options.aggregates, ...INTERNAL_AGGREGATES].map((aggregate) => [aggregate.type, aggregate]),
    )
  }

  from(shard: number, epoch: number): Effects {
    return new NodeEffects(this.#options, { sentIn: { shard, epoch }, names: this.#names })
  }

  async ask(command: SentCommand): Promise<SentOutcome> {
    try {
      return await this.#send(command)
    } catch (error) {
      if (!isPenholdError(error) || !isRefusal(error)) throw error
      // It may have been sent before, by code that had nothing against it, and nobody has looked for it yet.
      const effect = await this.#findRefused(command, error)
      if (effect === undefined) throw withoutEffect(error)
      return { kind: 'accepted', ...effect }
    }
  }

  async #send(command: SentCommand): Promise<SentOutcome> {
    const { stream, name, payload, commandId, correlationId, causationId, after, timeoutMs, signal } = command
    const metadata = { correlationId, causationId }
    const ref = this.#ref(stream, after)
    try {
      const { version, position } = await ref.ask(name, payload, { commandId, metadata, timeoutMs, signal })
      return { kind: 'accepted', version, position }
    } catch (error) {
      if (!(error instanceof Rejected)) throw error
      return { kind: 'rejected', code: error.code, details: error.details }
    }
  }

  async find(command: SentCommand): Promise<Effect | undefined> {
    const { after: cause, signal } = command
    // In the time that is usual: what its sender gives it may be what is wrong with it, or be too short for this.
    return await findCommand(this.#options.host, command, { cause, signal, sentIn: this.#sentIn })
  }

  /** @throws PenholdError of outcome `unknown` where nobody can tell now */
  async #findRefused(command: SentCommand, refusal: PenholdError): Promise<Effect | undefined> {
    try {
      return await this.find(command)
    } catch (error) {
      if (isPenholdError(error, 'CommandIdReused')) throw error
      throw inDoubt(refusal, error)
    }
  }

  async query({ stream, name, argument, timeoutMs, signal }: SentQuestion): Promise<unknown> {
    return await this.#ref(stream, undefined).query(name, argument, { timeoutMs, signal })
  }

  append(...[stream, events, cause]: Parameters<Effects['append']>): ReturnType<Effects['append']> {
    return this.#options.store.appendInternal(stream, events, cause)
  }

  load(stream: string, options: LoadRange = {}): AsyncGenerator<LoadedEvent, void> {
    return this.#options.store.loadInternal(stream, options)
  }

  inShard(shard: number, category: `$${string}`, id: string): string {
    return this.#names.inShard(shard, `${category}/${id}`)
  }

  knows(type: string): boolean {
    return this.#aggregates.has(type)
  }

  get commandBytesMax(): number {
    return this.#options.host.commandBytesMax
  }

  /** With a cause: its commands may have been sent before, however long ago. */
  #ref(stream: string, cause: number | undefined): AnyRef {
    const { host } = this.#options
    const type = streamType(stream)
    const aggregate = this.#aggregates.get(type)
    if (aggregate === undefined) throw unknownAggregate(type)
    const caused: RefHost = {
      ids: host.ids,
      commandBytesMax: host.commandBytesMax,
      shardOf: (name) => host.shardOf(name),
      send: (to, message, outcome, options) =>
        host.send(to, message, outcome, { ...options, cause, sentIn: this.#sentIn }),
      observe: (position) => host.observe(position),
      onTellFailed: (...failure) => host.onTellFailed(...failure),
    }
    return createRef(caused, aggregate, stream.slice(type.length + 1)) as AnyRef
  }
}

/** It was looked for, and is not there: also where it was sent more than once. */
function withoutEffect(refusal: PenholdError): PenholdError {
  const { code, message, retryable, details, cause, outcome } = refusal
  return outcome === 'none' ? refusal : new PenholdError(code, message, { outcome: 'none', retryable, details, cause })
}

/** It is tried again as whatever keeps it from being looked for is. */
function inDoubt({ code, message, details }: PenholdError, cause: unknown): PenholdError {
  const retryable = cause instanceof PenholdError && cause.retryable
  const text = `${message} Whether it took effect when it was sent before cannot be told now: ${reasonOf(cause)}`
  return new PenholdError(code, text, { outcome: 'unknown', retryable, details, cause })
}
