/**
 * Replies that are read from the log, beside the mailbox: a state of the past, a page of the stream, and the outcome of a
 * command that is known already. Each takes the look like every other reply.
 */
import type { Log } from '../log/log.ts'
import type { Actor, Envelope } from './actor.ts'
import { READ } from './append.ts'
import { unknownAggregate, failed } from './error.ts'
import type { Committer } from './committer.ts'
import { checkPlain } from './decide.ts'
import { outcomeFromLog, type Remembered } from './dedupe-window.ts'
import { find, readFindRequest } from './find.ts'
import type { QueryMessage, Reply, Sender, StateMessage } from './message.ts'
import { readPageRequest } from './page.ts'
import { readPage } from './page-reader.ts'
import { readPast } from './past-state.ts'
import type { Progress } from './progress.ts'
import { fold } from './recovery.ts'
import { StreamPlaces } from './stream-places.ts'
import { streamType } from '../log/stream.ts'

export interface LogRepliesOptions {
  readonly log: Log
  readonly committer: Committer
  readonly progress: Progress
  /** Nobody is answered any more. */
  readonly isEnded: () => boolean
}

export class LogReplies {
  readonly #options: LogRepliesOptions
  readonly #places = new StreamPlaces()

  constructor(options: LogRepliesOptions) {
    this.#options = options
  }

  /** The state now, or at a moment of the past. */
  state(actor: Actor, message: StateMessage, sender: Sender): void {
    const { log, progress } = this.#options
    void this.#replyWith(actor, { sender, message }, async () => {
      const { aggregate } = actor.kind
      if (aggregate === undefined) throw unknownAggregate(streamType(message.stream))
      const tail = await readPast(log, actor.stream, { aggregate, at: message.at })
      const enter = (): void => progress.enter(sender, message)
      enter()
      try {
        const { state } = fold(aggregate, actor.stream, tail, enter)
        checkPlain('its state cannot be sent: state', state)
        return { kind: 'answered', value: state }
      } finally {
        progress.leave()
      }
    })
  }

  /** Events of the stream, some of them; or a version of it. */
  read(actor: Actor, message: QueryMessage, sender: Sender): void {
    const { log } = this.#options
    const places = this.#places
    void this.#replyWith(actor, { sender, message }, async () => {
      const value =
        message.name === READ
          ? await readPage(log, actor.stream, readPageRequest(message), { places })
          : await find(log, actor.stream, { request: readFindRequest(message), places })
      return { kind: 'answered', value }
    })
  }

  /** What a command came to that stands in the log, once it is durable there. */
  outcome(actor: Actor, envelope: Envelope, remembered: Remembered): void {
    const { log, committer } = this.#options
    void this.#replyWith(actor, envelope, async () => {
      await committer.written(actor)
      return outcomeFromLog(log.back(actor.stream, remembered.last), remembered)
    })
  }

  async #replyWith(actor: Actor, { sender, message }: Envelope, read: () => Promise<Reply>): Promise<void> {
    const { committer, isEnded } = this.#options
    let reply: Reply
    try {
      reply = await read()
    } catch (error) {
      reply = failed(error)
    }
    if (isEnded()) return
    committer.hold({ actor, sender, request: message.request, reply })
    committer.kick()
  }
}
