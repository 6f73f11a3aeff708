/**
 * What is done by hand with an inbox, from whatever node: it is said to its record, and the inbox does what that says, wherever
 * it runs.
 */
import type { Clock } from '../log/clock.ts'
import type { IdSource } from '../log/identity.ts'
import { streamName } from '../log/stream.ts'
import { afterForNew, type Effects } from './effects.ts'
import { inboxRetryTimedOut, messageNotParked } from './inbox-error.ts'
import {
  INBOX,
  isDue,
  keptFields,
  type InboxOutline,
  type KeptMessage,
  type ParkedMessage,
  type ParkedOutline,
} from './inbox-record.ts'
import { settled } from './settled.ts'

/** What has become of an aggregate's parked messages. */
export interface RetriedMessages {
  /** The one that has failed again; it and what waits behind it stay parked. Undefined where all took effect. */
  readonly failed: { readonly id: string; readonly reason: string } | undefined
}

export interface InboxOperationsOptions {
  readonly effects: Effects
  readonly ids: IdSource
  readonly clock: Clock
}

const ANSWER_MS = 5_000
const RETRY_MS = 60_000

export class InboxOperations {
  readonly #inbox: string
  readonly #options: InboxOperationsOptions

  constructor(inbox: string, options: InboxOperationsOptions) {
    this.#inbox = inbox
    this.#options = options
  }

  /** All that the record has, but for what the parked messages say. */
  outline(): Promise<InboxOutline> {
    return this.#query<InboxOutline>('outline')
  }

  /** In the order in which they came. */
  async parked(): Promise<readonly ParkedMessage[]> {
    return (await this.#query<readonly KeptMessage[]>('parked')).map((message) => withFields(message))
  }

  /** @throws PenholdError `MessageNotParked` */
  async message(id: string): Promise<ParkedMessage> {
    const message = await this.#query<KeptMessage | undefined>('message', id)
    if (message === undefined) throw messageNotParked(this.#inbox, id)
    return withFields(message)
  }

  /**
   * Has what is parked of a message's aggregate tried again, in order, the first first, until none is left or one fails again;
   * resolves then.
   * @throws PenholdError `MessageNotParked`; `Timeout` where it takes longer than a minute
   */
  async retry(id: string): Promise<RetriedMessages> {
    const { parked } = await this.outline()
    const known = parked.find((message) => message.id === id)
    if (known === undefined) throw messageNotParked(this.#inbox, id)
    const asked = known.stream === undefined ? known : parked.find(({ stream }) => stream === known.stream)!
    await this.#tell('retry', { id: asked.id })
    const after = await settled(this.#options.clock, RETRY_MS, async () => {
      const first = (await this.outline()).parked.find((message) => isWaitingWith(message, asked))
      return first !== undefined && isDue(first) ? undefined : { first }
    })
    if (after === undefined) throw inboxRetryTimedOut(this.#inbox, asked.id, RETRY_MS)
    return { failed: after.first && { id: after.first.id, reason: after.first.reason } }
  }

  /** @throws PenholdError `MessageNotParked` */
  async skip(message: { readonly id: string; readonly reason: string }): Promise<void> {
    await this.#tell('skip', message)
  }

  async #query<Answer>(name: string, argument?: string): Promise<Answer> {
    const stream = streamName(INBOX, this.#inbox)
    return (await this.#options.effects.query({ stream, name, argument, timeoutMs: ANSWER_MS })) as Answer
  }

  async #tell(name: string, payload: { readonly id: string }): Promise<void> {
    const { effects, ids, clock } = this.#options
    const stream = streamName(INBOX, this.#inbox)
    const commandId = ids.next()
    const cause = { correlationId: commandId, causationId: commandId, after: afterForNew(clock) }
    const { kind } = await effects.ask({ stream, name, payload, commandId, timeoutMs: ANSWER_MS, ...cause })
    if (kind === 'rejected') throw messageNotParked(this.#inbox, payload.id)
  }
}

/** Whether it is that one, whomever that is for by now, or waits behind it. */
function isWaitingWith({ id, stream }: ParkedOutline, first: ParkedOutline): boolean {
  return id === first.id || (stream !== undefined && stream === first.stream)
}

function withFields({ after: _own, ...message }: KeptMessage): ParkedMessage {
  return { ...message, fields: keptFields(message) }
}
