/**
 * The other end of a link as the worker sees it, where the config has synchronous reactors: replies that these have to do with go to
 * the node in frames of their own, with the time that their sender waits yet. All others go as they do elsewhere.
 */
import type { Message, Reply, Sender } from '../actor/message.ts'
import { FrameWriter } from '../cluster/frame.ts'
import { FRAME_FULL_BYTES, type Link } from '../cluster/link.ts'
import type { Clock } from '../log/clock.ts'
import type { SynchronousReactors } from '../react/synchronous-reactors.ts'
import { writeHeldReply } from './held-frame.ts'

export interface HoldingSenderOptions {
  readonly link: Link
  /** Takes the replies that wait for nobody. */
  readonly others: Sender
  readonly reactors: SynchronousReactors
  readonly clock: Clock
}

export class HoldingSender implements Sender {
  readonly #options: HoldingSenderOptions
  /** By request that waits for reactors, until when. */
  readonly #deadlines = new Map<number, number>()
  readonly #frame = new FrameWriter()

  constructor(options: HoldingSenderOptions) {
    this.#options = options
  }

  /** These were sent over the link, and will be replied to. */
  take(messages: readonly Message[]): void {
    const { reactors } = this.#options
    for (const message of messages) {
      const waits = message.kind === 'command' && message.waitsForReactors && reactors.isSource(message.stream)
      if (waits) this.#deadlines.set(message.request, message.deadline)
    }
  }

  reply(request: number, reply: Reply): void {
    const { others, clock, link } = this.#options
    const deadline = this.#deadlines.get(request)
    if (deadline === undefined) return others.reply(request, reply)
    this.#deadlines.delete(request)
    if (!this.#isWanted(reply)) return others.reply(request, reply)
    writeHeldReply(this.#frame, { msLeft: deadline - clock.monotonic(), request, reply })
    if (this.#frame.length >= FRAME_FULL_BYTES) link.send(this.#frame.take())
  }

  flush(): void {
    const { others, link } = this.#options
    others.flush()
    if (this.#frame.length > 0) link.send(this.#frame.take())
  }

  #isWanted(reply: Reply): boolean {
    if (reply.kind !== 'accepted' || reply.position === 0) return false
    return this.#options.reactors.wanted(reply.records).length > 0
  }
}
