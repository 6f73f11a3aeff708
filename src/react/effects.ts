/** The port by which consumers change something: the rest of Penhold, as the node that runs them reaches it. */
import type { PenholdError } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import { lastPositionAt } from '../log/position.ts'
import type { FeedEvent } from '../read/event-feed.ts'

export interface Effects {
  /**
   * Sends a command, to an aggregate of the config or to an internal one, and resolves to its outcome. One that was accepted
   * before is accepted, whatever is said against it now: by its schema, a limit, or a config that does not have its aggregate any more.
   * @throws PenholdError for one that has none: `outcome` says whether it can have taken effect, now or when it was sent
   *   before; sent again with its id it is safe
   */
  ask(command: SentCommand): Promise<SentOutcome>
  /**
   * What a command has come to, without sending it; undefined where it has had no effect, and no copy of it ever will that was sent
   * before.
   * @throws PenholdError where nobody can tell now
   */
  find(command: SentCommand): Promise<Effect | undefined>
  /**
   * Asks an aggregate a query, of the config or an internal one.
   * @throws PenholdError as `ask`
   */
  query(question: SentQuestion): Promise<unknown>
  /**
   * Appends events to an internal stream, which belongs to no aggregate; with the same command id once.
   * @throws PenholdError as `ask`
   */
  append(
    stream: string,
    events: readonly { readonly type: string; readonly data: unknown }[],
    cause: Cause & { readonly commandId: string },
  ): Promise<Pick<FeedEvent, 'version' | 'position'>>
  /** A stream's events from a version on, as `store.load` reads them, internal ones too. */
  load(stream: string, options?: LoadRange): AsyncGenerator<LoadedEvent, void>
  /** The name of an internal stream that falls on this shard, and so is owned where the shard is: always the same one. */
  inShard(shard: number, category: `$${string}`, id: string): string
  /** Whether the config of this node has aggregates, or processes, of this type, or it is an internal one. */
  knows(type: string): boolean
  /** So many bytes a command's payload may take, and so many its events (`limits.commandBytesMax` of this node). */
  readonly commandBytesMax: number
}

/** The same, by whose they are. Without a shard they are of somebody who asks once, and hears of a rejection what it was. */
export interface ShardEffects extends Effects {
  /**
   * Of the consumers of a shard, for as long as they run in this epoch of it: of what they send nothing has effect once a
   * newer one is claimed. What was rejected is decided anew whenever they send it again. Epoch 0: nobody else runs them, or
   * their records alone say who does.
   */
  from(shard: number, epoch: number): Effects
}

/** Of what is sent because of an event. What it comes to stands behind `after` (I6). */
export interface Cause {
  readonly correlationId: string
  readonly causationId: string
  /** The event's position. */
  readonly after: number
}

export interface SentCommand extends Cause {
  readonly stream: string
  readonly name: string
  readonly payload: unknown
  /** The same whenever the same command is sent. */
  readonly commandId: string
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** What an accepted command has come to. */
export interface Effect {
  readonly version: number
  readonly position: number
}

export interface SentQuestion {
  readonly stream: string
  readonly name: string
  readonly argument?: unknown
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export type SentOutcome =
  | ({ readonly kind: 'accepted' } & Effect)
  | { readonly kind: 'rejected'; readonly code: string; readonly details: unknown }

export interface LoadRange {
  readonly from?: number
  readonly limit?: number
  readonly signal?: AbortSignal
}

export interface LoadedEvent extends Pick<FeedEvent, 'version' | 'position' | 'type'> {
  readonly data: unknown
}

/**
 * What is said against a command as it is: it will meet that again. It may be said by somebody who has not looked whether it was
 * accepted before: by its sender, or by an owner that does not know its aggregate, or cannot read it.
 */
const REFUSALS = ['BadAddress', 'BadPayload', 'HandlerFailed', 'TooLarge', 'UnknownCommand']

export function isRefusal({ code }: PenholdError): boolean {
  return REFUSALS.includes(code)
}

/** Clocks are hardly further apart. */
const APART_MS = 10 * 60_000

/**
 * The `after` of a command whose id is new, and which has no cause in the log: it need not be looked for further back, which
 * may be years of records. Whatever clocks say, what it comes to stands behind that.
 */
export function afterForNew(clock: Clock): number {
  return Math.max(0, lastPositionAt(clock.now() - APART_MS))
}
