/**
 * The router: from a shard to the worker that owns it, and from a request to its reply.
 *
 * It owns each request until it is answered. While a worker is away its requests are kept, in order, and sent again to
 * its successor with their ids, so that the caller sees a pause and no error; the owner knows from the log what took
 * effect (I5). It bounds what is under way to each worker.
 */
import type { Reply } from '../actor/message.ts'
import type { PenholdError } from '../aggregate/error.ts'
import type { Cancel, Clock } from '../log/clock.ts'
import { formatId } from '../log/identity.ts'
import { aborted, handlerSuspected, nodeClosed, timeout, windowFull } from './error.ts'
import { FrameWriter } from './frame.ts'
import type { Link } from './link.ts'
import { readReplies, writeMessage, type NumberedReply, type OutgoingMessage } from './wire.ts'

export interface RouterOptions {
  readonly clock: Clock
  /** Requests under way to one worker. */
  readonly underWayMax: number
  /** How long a request waits that names no time of its own. */
  readonly timeoutMs: number
  /** A worker said what no worker of this version says. */
  readonly onBadFrame: (worker: number, error: unknown) => void
}

/** What becomes of a request, told once. */
export interface Outcome {
  resolve(reply: Reply): void
  reject(error: PenholdError): void
}

export interface RequestOptions {
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** A message whose number, and for a command its deadline, the router will set. */
export type Unsent<M extends OutgoingMessage = OutgoingMessage> = M extends OutgoingMessage
  ? { -readonly [K in keyof M]: M[K] }
  : never

interface Pending {
  message: OutgoingMessage
  readonly lane: Lane
  readonly outcome: Outcome
  /** On the monotonic clock. */
  readonly deadline: number
  readonly timeoutMs: number
  /** Whether a timer of its own watches it. */
  readonly isTimed: boolean
  isSent: boolean
  /** An earlier worker had it too, and may have let it take effect. */
  isSentAgain: boolean
  /** How many workers whose thread ended had it. */
  threadsEnded: number
  stopWatching: Cancel
}

/** One worker's side of the router. */
interface Lane {
  readonly worker: number
  link: Link | undefined
  outgoing: OutgoingMessage[]
  underWay: number
  isFlushing: boolean
}

const REQUEST_MAX = 2 ** 32 - 1
const SWEEP_MS = 100
const MESSAGES_PER_FRAME = 1024
/** A question that was under way to so many workers when their threads ended is not sent to another. */
const THREADS_ENDED_MAX = 2

export class Router {
  readonly #options: RouterOptions
  readonly #lanes: readonly Lane[]
  /** In the order in which they were made. */
  readonly #pending = new Map<number, Pending>()
  readonly #frame = new FrameWriter()
  #lastRequest = 0
  /** The greatest position in any reply: what is asked from here on may be its effect. */
  #positionSeen = 0
  #isSweeping = false
  #isClosed = false
  #onDrained: () => void = NEVER

  constructor(workers: number, options: RouterOptions) {
    this.#options = options
    this.#lanes = Array.from({ length: workers }, (_, worker) => createLane(worker))
  }

  get underWay(): number {
    return this.#pending.size
  }

  /** Sends a message to a worker. Never throws: all outcomes are told through `outcome`. */
  send(worker: number, message: Unsent, outcome: Outcome, options: RequestOptions = {}): void {
    const lane = this.#lanes[worker]!
    if (this.#isClosed) return outcome.reject(nodeClosed('none'))
    if (lane.underWay >= this.#options.underWayMax) return outcome.reject(windowFull(this.#options.underWayMax))
    if (options.signal?.aborted === true) {
      return outcome.reject(aborted(addressOf(message), 'none', options.signal.reason))
    }
    const request = this.#nextRequest()
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs
    const deadline = this.#options.clock.monotonic() + timeoutMs
    message.request = request
    if (message.kind === 'command') {
      message.deadline = deadline
      message.after = this.#positionSeen
    }
    const isTimed = options.timeoutMs !== undefined
    const pending: Pending = {
      message,
      lane,
      outcome,
      deadline,
      timeoutMs,
      isTimed,
      isSent: false,
      isSentAgain: false,
      threadsEnded: 0,
      stopWatching: NEVER,
    }
    this.#pending.set(request, pending)
    lane.underWay += 1
    if (isTimed || options.signal !== undefined) this.#watch(request, pending, options)
    this.#sweepLater()
    if (lane.link !== undefined) this.#enqueue(lane, pending)
  }

  /** What is asked from here on may be the effect of what has this position (I6). */
  observe(position: number): void {
    this.#positionSeen = Math.max(this.#positionSeen, position)
  }

  /** The worker can be reached through this link from now on. What waits for it is sent, in order. */
  attach(worker: number, link: Link): void {
    const lane = this.#lanes[worker]!
    lane.link = link
    lane.outgoing = []
    link.onFrame((frame) => {
      if (lane.link === link) this.#receive(worker, frame)
    })
    for (const pending of this.#pending.values()) {
      if (pending.lane !== lane) continue
      if (pending.isSent) {
        pending.message = again(pending.message)
        pending.isSentAgain = true
      }
      this.#enqueue(lane, pending)
    }
  }

  /** The worker is away. What is under way to it is kept. */
  detach(worker: number): void {
    const lane = this.#lanes[worker]!
    lane.link?.close()
    lane.link = undefined
    lane.outgoing = []
  }

  /** The message of a request that is under way. */
  message(request: number): OutgoingMessage | undefined {
    return this.#pending.get(request)?.message
  }

  /** Answers a request with an error, whatever its worker may still say. */
  fail(request: number, error: PenholdError): void {
    const pending = this.#take(request)
    pending?.outcome.reject(error)
  }

  /**
   * A worker's thread has ended, and nobody knows by what. A command is sent again whatever comes, as it may have taken
   * effect; a question that saw several threads end may be what ends them, and is given up.
   */
  threadEnded(worker: number): void {
    for (const [request, pending] of this.#pending) {
      const { lane, message } = pending
      if (lane.worker !== worker || !pending.isSent || message.kind === 'command') continue
      pending.threadsEnded += 1
      if (pending.threadsEnded < THREADS_ENDED_MAX) continue
      const name = message.kind === 'state' ? 'state' : message.name
      this.fail(request, handlerSuspected(message.stream, name, pending.threadsEnded))
    }
  }

  /** Answers everything that is under way to an aggregate with an error. */
  failStream(stream: string, error: PenholdError): void {
    for (const [request, { message }] of this.#pending) if (message.stream === stream) this.fail(request, error)
  }

  /** Takes no more requests; resolves when those under way are answered, or after `ms`. */
  async drain(ms: number): Promise<void> {
    this.#isClosed = true
    if (this.#pending.size === 0) return
    let cancel: Cancel = NEVER
    await new Promise<void>((resolve) => {
      this.#onDrained = resolve
      cancel = this.#options.clock.after(ms, resolve)
    })
    cancel()
  }

  /** Fails everything that is under way. */
  close(): void {
    this.#isClosed = true
    for (const [request, { isSent }] of this.#pending) this.fail(request, nodeClosed(isSent ? 'unknown' : 'none'))
    for (const { worker } of this.#lanes) this.detach(worker)
  }

  /** Numbers are 32 bits on the wire; one that is still waited for is passed over when they begin anew. */
  #nextRequest(): number {
    do this.#lastRequest = this.#lastRequest === REQUEST_MAX ? 1 : this.#lastRequest + 1
    while (this.#pending.has(this.#lastRequest))
    return this.#lastRequest
  }

  #enqueue(lane: Lane, pending: Pending): void {
    lane.outgoing.push(pending.message)
    pending.isSent = true
    if (lane.isFlushing) return
    lane.isFlushing = true
    this.#options.clock.defer(() => this.#flush(lane))
  }

  #flush(lane: Lane): void {
    lane.isFlushing = false
    const { outgoing, link } = lane
    lane.outgoing = []
    if (link === undefined) return
    for (const [i, message] of outgoing.entries()) {
      writeMessage(this.#frame, message)
      if ((i + 1) % MESSAGES_PER_FRAME === 0 || i === outgoing.length - 1) link.send(this.#frame.take())
    }
  }

  #receive(worker: number, frame: Uint8Array): void {
    let replies: NumberedReply[]
    try {
      replies = readReplies(frame)
    } catch (error) {
      this.#options.onBadFrame(worker, error)
      return
    }
    for (const { request, reply } of replies) {
      if (reply.kind === 'accepted' && reply.position > this.#positionSeen) this.#positionSeen = reply.position
      // One that was given up in the meantime is nobody's any more.
      const pending = this.#take(request)
      pending?.outcome.resolve(pending.isSentAgain ? withDoubt(reply) : reply)
    }
  }

  #take(request: number): Pending | undefined {
    const pending = this.#pending.get(request)
    if (pending === undefined) return undefined
    this.#pending.delete(request)
    pending.lane.underWay -= 1
    pending.stopWatching()
    if (this.#pending.size === 0) this.#onDrained()
    return pending
  }

  #watch(request: number, pending: Pending, { signal }: RequestOptions): void {
    const stopTimer = pending.isTimed
      ? this.#options.clock.after(pending.timeoutMs, () => this.#expire(request, pending))
      : NEVER
    const onAbort = (): void => {
      this.fail(request, aborted(addressOf(pending.message), pending.isSent ? 'unknown' : 'none', signal?.reason))
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    pending.stopWatching = () => {
      stopTimer()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  #expire(request: number, { message, timeoutMs }: Pending): void {
    const what = message.kind === 'state' ? 'a look at its state' : `'${message.name}'`
    this.fail(request, timeout(addressOf(message), what, timeoutMs))
  }

  /**
   * Requests without a time of their own all wait equally long, so that the oldest is the first to expire: one timer
   * that looks at the front serves them all.
   */
  #sweepLater(): void {
    if (this.#isSweeping) return
    this.#isSweeping = true
    // Somebody waits: the process must not end because nothing else happens in it.
    this.#options.clock.afterAlive(SWEEP_MS, () => {
      this.#isSweeping = false
      const now = this.#options.clock.monotonic()
      for (const [request, pending] of this.#pending) {
        if (pending.isTimed) continue
        if (pending.deadline > now) break
        this.#expire(request, pending)
      }
      if (this.#pending.size > 0) this.#sweepLater()
    })
  }
}

const NEVER: Cancel = () => undefined

function createLane(worker: number): Lane {
  return { worker, link: undefined, outgoing: [], underWay: 0, isFlushing: false }
}

/** What a caller needs to ask again. */
function addressOf(message: OutgoingMessage): { readonly stream: string; readonly commandId?: string } {
  const { stream } = message
  return message.kind === 'command' ? { stream, commandId: formatId(message.commandId) } : { stream }
}

/** The same message for another try: its id may have been seen. */
function again(message: OutgoingMessage): OutgoingMessage {
  return message.kind === 'command' ? { ...message, isFresh: false, isAgain: true } : message
}

/** What the successor of a worker refuses, the worker itself may have done before it ended. */
function withDoubt(reply: Reply): Reply {
  if (reply.kind !== 'failed') return reply
  return { kind: 'failed', failure: { ...reply.failure, outcome: 'unknown' } }
}
