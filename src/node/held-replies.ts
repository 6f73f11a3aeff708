/**
 * Replies that a node holds until its synchronous reactors have tried what they are to do because of them: replies of its own workers,
 * for whoever has asked, here or elsewhere. Their events are durable, so that nothing that happens meanwhile changes the outcome; a reply
 * that is held holds nobody but its caller, and not for longer than the caller waits.
 */
import { failed } from '../actor/error.ts'
import type { Reply, Sender, Unsettled } from '../actor/message.ts'
import { reasonOf } from '../aggregate/error.ts'
import { replyLost } from '../cluster/error.ts'
import { BadFrame } from '../cluster/frame.ts'
import type { Link } from '../cluster/link.ts'
import type { Clock } from '../log/clock.ts'
import type { SynchronousReactors, Wanted } from '../react/synchronous-reactors.ts'
import { isHeldFrame, readHeldReplies, type HeldReply } from './held-frame.ts'
import { createLinkSender } from './link-sender.ts'
import type { WorkerHandle } from './worker-handle.ts'

export interface HeldRepliesOptions {
  readonly clock: Clock
  readonly reactors: SynchronousReactors
  /** What is to be told of events that a reactor wants, as soon as it has tried them, or after `ms`. */
  readonly unsettled: (wanted: Wanted, ms: number) => Promise<readonly Unsettled[]>
  /** So many bytes of events are held at once, at most. Default 256 MiB. */
  readonly bytesMax?: number
}

type Accepted = Reply & { readonly kind: 'accepted' }

/** More are not held at once. */
export const HELD_MAX = 10_000
export const HELD_BYTES_MAX: number = 256 * 1024 * 1024
/** So long a reply has to get to its caller, at least, and such a part of what the caller waits. */
const MARGIN_MS = 100
const MARGIN = 0.1

export class HeldReplies {
  readonly #options: HeldRepliesOptions
  #held = 0
  #heldBytes = 0
  /** By shard, what lets those go that are held. */
  readonly #heldOf = new Map<number, Set<() => void>>()
  /** Shards that their worker gives up: until one takes them over, nobody waits for anything there. */
  readonly #leaving = new Set<number>()

  constructor(options: HeldRepliesOptions) {
    this.#options = options
  }

  /** The same worker, some of whose replies come later. */
  of(worker: WorkerHandle): WorkerHandle {
    return {
      ...worker,
      link: this.#over(worker.link),
      connect: (protocol) => this.#over(worker.connect(protocol)),
      takeOver: (shards) => {
        for (const shard of shards) this.#leaving.delete(shard)
        return worker.takeOver(shards)
      },
      release: (shards, ms) => {
        for (const shard of shards) this.#leave(shard)
        return worker.release(shards, ms)
      },
    }
  }

  /** Whoever asks for the shard from here on waits until all that was asked before is answered. */
  #leave(shard: number): void {
    this.#leaving.add(shard)
    for (const letGo of this.#heldOf.get(shard) ?? []) letGo()
  }

  #over(link: Link): Link {
    let isClosed = false
    return {
      send: (frame) => link.send(frame),
      get isFull() {
        return link.isFull
      },
      onDrain: (callback) => link.onDrain(callback),
      onFrame: (receive) => {
        const released = this.#releasing((frame) => {
          if (!isClosed) receive(frame)
        })
        link.onFrame((frame) => {
          // A frame that is none is so for who receives it as well, who knows what to do with whom it came from.
          const held = isHeldFrame(frame) ? heldIn(frame) : undefined
          if (held === undefined) return receive(frame)
          for (const each of held) void this.#hold(each, released)
        })
      },
      close() {
        isClosed = true
        link.close()
      },
    }
  }

  /** What is released in a turn goes on together. */
  #releasing(receive: (frame: Uint8Array<ArrayBuffer>) => void): Sender {
    const sender = createLinkSender({ send: receive }, () => undefined)
    let isFlushing = false
    return {
      reply: (request, reply) => sender.reply(request, reply),
      flush: () => {
        if (isFlushing) return
        isFlushing = true
        this.#options.clock.defer(() => {
          isFlushing = false
          sender.flush()
        })
      },
    }
  }

  async #hold({ request, reply, msLeft }: HeldReply, released: Sender): Promise<void> {
    released.reply(request, reply.kind === 'accepted' ? await this.#settledOrLost(reply, msLeft) : reply)
    released.flush()
  }

  /** Whatever cannot be known of a reply is its caller's loss alone: asked again, the command tells what has become of it. */
  async #settledOrLost(reply: Accepted, msLeft: number): Promise<Reply> {
    try {
      return await this.#settled(reply, msLeft)
    } catch (error) {
      return failed(replyLost(reasonOf(error)))
    }
  }

  /** The reply as its caller will see it. */
  async #settled(reply: Accepted, msLeft: number): Promise<Accepted> {
    const unsettled = await this.#unsettled(reply, msLeft)
    return unsettled.length === 0 ? reply : { ...reply, unsettled }
  }

  async #unsettled({ records }: Accepted, msLeft: number): Promise<readonly Unsettled[]> {
    const wanted = this.#options.reactors.wanted(records)
    const bytes = records.end - records.start
    const { bytesMax = HELD_BYTES_MAX } = this.#options
    if (this.#held >= HELD_MAX || this.#heldBytes + bytes > bytesMax) {
      return pending(wanted, 'too many replies wait at its node')
    }
    this.#held += 1
    this.#heldBytes += bytes
    try {
      return await this.#attempted(wanted, Math.max(0, Math.min(msLeft - MARGIN_MS, msLeft * (1 - MARGIN))))
    } finally {
      this.#held -= 1
      this.#heldBytes -= bytes
    }
  }

  async #attempted(wanted: readonly Wanted[], ms: number): Promise<readonly Unsettled[]> {
    const { unsettled } = this.#options
    // All are events of one stream.
    const shard = wanted[0]?.event.shard ?? 0
    const all = wanted.map((each) => unsettled(each, this.#leaving.has(shard) ? 0 : ms))
    const { promise: leaves, resolve: letGo } = Promise.withResolvers<void>()
    const others = this.#heldOf.get(shard) ?? new Set()
    this.#heldOf.set(shard, others.add(letGo))
    const left = leaves.then(() => pending(wanted, 'its shard leaves this node'))
    try {
      return await Promise.race([Promise.all(all).then((told) => told.flat()), left])
    } finally {
      others.delete(letGo)
      if (others.size === 0 && this.#heldOf.get(shard) === others) this.#heldOf.delete(shard)
    }
  }
}

function heldIn(frame: Uint8Array): readonly HeldReply[] | undefined {
  try {
    return readHeldReplies(frame)
  } catch (error) {
    if (error instanceof BadFrame) return undefined
    throw error
  }
}

function pending(wanted: readonly Wanted[], reason: string): readonly Unsettled[] {
  return wanted.map(({ reactor }) => ({ reactor, state: 'pending', reason }))
}
