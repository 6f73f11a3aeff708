/**
 * An actor: the one live copy of an aggregate. Its phases:
 *
 *     recovering → running → (recovering again, where its dedupe window is needed) → passivated
 *
 * While it recovers, messages wait in its mailbox; while it runs, each is decided as it comes. `state` is the pending
 * state: all earlier commands applied, durable or not. What the actor wrote last is durable once `group` is.
 */
import { NOWHERE, type Address } from '../log/record.ts'
import type { Stream } from '../log/stream.ts'
import type { Group } from './committer.ts'
import type { DedupeWindow } from './dedupe-window.ts'
import type { Kind } from './kind.ts'
import type { Message, Sender } from './message.ts'

export interface Envelope {
  readonly message: Message
  readonly sender: Sender
}

export class Actor {
  readonly stream: Stream
  readonly kind: Kind
  /** The epoch of its shard that it lives in: in another one its replies count no more. */
  readonly epoch: number
  phase: 'recovering' | 'running' = 'recovering'
  state: unknown
  version = 0
  /** The stream's newest record, to which the next one is chained. */
  newest: Address = NOWHERE
  window: DedupeWindow | undefined
  /** Messages that wait until the actor runs. Bounded together with those under way by `mailboxMax`. */
  mailbox: Envelope[] = []
  /** Messages taken in and not yet replied to. */
  underWay = 0
  /** The group commit that the actor wrote in last. */
  group: Group | undefined
  lastUsed = 0
  /** Neighbours in the order of use (active-actors.ts). */
  newer: Actor | undefined
  older: Actor | undefined

  constructor(stream: Stream, kind: Kind, epoch: number) {
    this.stream = stream
    this.kind = kind
    this.epoch = epoch
  }

  /** Whether it can leave memory: nobody waits for it, and the log has all of it. */
  get isQuiet(): boolean {
    return this.underWay === 0 && this.phase === 'running' && this.group?.state !== 'open'
  }
}
