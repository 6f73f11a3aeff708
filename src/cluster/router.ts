/**
 * The router: from a request to its reply, by way of the worker that owns its shard (routes.ts).
 *
 * It owns each request until it is answered. While a worker is away, or its shards move, its requests are kept, in order,
 * and sent to its successor with their ids, so that the caller sees a pause and no error; the owner knows from the log
 * what took effect (I5). It bounds what is under way to each worker, and what is kept.
 */
import type { Failure, Reply, SentIn } from '../actor/message.ts'
import { failed, shardUnavailable, toFailure } from '../actor/error.ts'
import { PenholdError } from '../aggregate/error.ts'
import { askedInWords } from '../aggregate/own-names.ts'
import type { Cancel, Clock } from '../log/clock.ts'
import { formatId } from '../log/identity.ts'
import { POSITION_MAX } from '../log/position.ts'
import type { Slice } from '../log/slice.ts'
import { aborted, handlerSuspected, nodeClosed, runsOtherCode, timeout, windowFull } from './error.ts'
import type { Link } from './link.ts'
import { Requests } from './requests.ts'
import { Routes, type Lane, type Parcel } from './routes.ts'
import { NO_EPOCH, readReplies, type NumberedReply, type OutgoingMessage, type Unsent } from './wire.ts'

export interface RouterOptions {
  readonly clock: Clock
  readonly shards: number
  /** Requests under way to one worker, and requests kept. */
  readonly underWayMax: number
  /** How long a request waits that names no time of its own. */
  readonly timeoutMs: number
  /** A worker said what no worker of this version says. */
  readonly onBadFrame: (owner: string, error: unknown) => void
  /** Whose worker an owner is, in words. Where it is left out there is one node alone. */
  readonly nodeOf?: (owner: string) => string
  /**
   * A worker does not own the shard that it was thought to. Where it is left out nobody else can: the caller is told.
   * Otherwise the shard's messages are kept until `assign` names its owner.
   */
  readonly onElsewhere?: (shard: number, owner: string) => void
}

/** What becomes of a request, told once. */
export interface Outcome {
  resolve(reply: Reply): void
  reject(error: PenholdError): void
}

export interface RequestOptions {
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
  /**
   * Of a command that may have been sent before, by whom does not matter and however long ago: the position of what causes
   * it, behind which its events stand then, also those that are there already.
   */
  readonly cause?: number | undefined
  /** Of what a consumer sends (`CommandMessage.sentIn`). */
  readonly sentIn?: SentIn | undefined
}

interface Pending extends Parcel {
  readonly outcome: Outcome
  /** On the monotonic clock. */
  readonly deadline: number
  readonly timeoutMs: number
  /** Whether a timer of its own watches it. */
  readonly isTimed: boolean
  /** How many workers whose thread ended had it. */
  threadsEnded: number
  stopWatching: Cancel
}

const SWEEP_MS = 100
/** What was held for so long, or for half of the time that was left to it, is sent to whoever holds its shard's lease. */
const PATIENCE_MS = 2_000
/** A question that was under way to so many workers when their threads ended is not sent to another. */
const THREADS_ENDED_MAX = 2

export class Router {
  readonly #options: RouterOptions
  readonly #routes: Routes
  readonly #pending = new Requests<Pending>()
  #sent = 0
  /** The greatest position in any reply, or of any event that was read: what is asked from here on may be its effect. */
  #positionSeen = 0
  #isSweeping = false
  #isClosed = false
  #onDrained: () => void = NEVER

  constructor(options: RouterOptions) {
    this.#options = options
    this.#routes = new Routes(options.shards, options.clock, {
      onFrame: (lane, frame) => this.#receive(lane, frame),
      onReturn: ({ message }) => this.#renumber(message),
    })
  }

  get underWay(): number {
    return this.#pending.size
  }

  /** Sends a message to the owner of a shard. Never throws: all outcomes are told through `outcome`. */
  send(shard: number, message: Unsent, outcome: Outcome, options: RequestOptions = {}): void {
    const { clock, underWayMax } = this.#options
    const route = this.#routes.route(shard)
    if (this.#isClosed) return outcome.reject(nodeClosed('none'))
    if ((route.lane?.underWay ?? 0) >= underWayMax || this.#routes.held >= underWayMax) {
      return outcome.reject(windowFull(underWayMax))
    }
    if (options.signal?.aborted === true) {
      return outcome.reject(aborted(addressOf(message), 'none', options.signal.reason))
    }
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs
    const deadline = clock.monotonic() + timeoutMs
    if (message.kind === 'command') {
      message.deadline = deadline
      // Its sender may have seen more than the cause, such as what came of another command.
      message.after = Math.max(this.#positionSeen, options.cause ?? 0)
      message.since = options.cause ?? message.after
      message.sentIn = options.sentIn
      if (options.cause !== undefined) {
        message.isAgain = true
        // Whoever consumes events may be what it would wait for.
        message.waitsForReactors = false
      }
    }
    const isTimed = options.timeoutMs !== undefined
    this.#sent += 1
    const pending: Pending = {
      message,
      route,
      lane: undefined,
      heldSince: clock.monotonic(),
      generation: 0,
      order: this.#sent,
      isWritten: false,
      isSentAgain: false,
      outcome,
      deadline,
      timeoutMs,
      isTimed,
      threadsEnded: 0,
      stopWatching: NEVER,
    }
    message.request = this.#pending.add(pending)
    if (isTimed || options.signal !== undefined) this.#watch(pending, options)
    this.#sweepLater()
    this.#routes.add(pending)
  }

  /** What is asked from here on may be the effect of what has this position (I6). What is none is passed over. */
  observe(position: number): void {
    if (position <= POSITION_MAX) this.#positionSeen = Math.max(this.#positionSeen, position)
  }

  /** The owner of a shard, from here on, and its epoch; 0 where there is only one owner ever. */
  assign(shard: number, owner: string, epoch = 0): void {
    this.#routes.assign(shard, owner, epoch)
  }

  /**
   * The worker has the shard's lease and is not known to serve it. What waits for an owner for long is sent there: it may
   * be refused, with the reason; it is not taken up.
   */
  suggest(shard: number, owner: string): void {
    const { lane, epoch, held } = this.#routes.route(shard)
    const isOpen = lane?.link === undefined || epoch === NO_EPOCH
    if (isOpen && this.#isLate(held)) this.#routes.assign(shard, owner, NO_EPOCH)
  }

  /** The worker can be reached through this link from now on. What waits for it is sent, in order. */
  attach(owner: string, link: Link, protocol?: number): void {
    this.#routes.attach(owner, link, protocol)
  }

  /** The worker is away. What is under way to it is kept. */
  detach(owner: string): void {
    this.#routes.detach(owner, this.#pending)
  }

  /** Answers a request with an error, whatever its worker may still say, and whatever an earlier one may have done. */
  fail(request: number, error: PenholdError): void {
    const pending = this.#take(request)
    if (pending === undefined) return
    pending.outcome.reject(toldError(error, pending))
  }

  /**
   * A worker's thread has ended, and nobody knows by what. A command is sent again whatever comes, as it may have taken
   * effect; a question that saw several threads end may be what ends them, and is given up.
   */
  threadEnded(owner: string): void {
    for (const pending of this.#pending) {
      const { lane, message } = pending
      if (lane?.owner !== owner || message.kind === 'command') continue
      pending.threadsEnded += 1
      if (pending.threadsEnded < THREADS_ENDED_MAX) continue
      const name = message.kind === 'state' ? 'state' : message.name
      this.fail(message.request, handlerSuspected(message.stream, name, pending.threadsEnded))
    }
  }

  /** Answers everything that waits for the owner of a shard with an error. */
  failWaiting(shard: number, error: PenholdError): void {
    for (const { message } of this.#routes.route(shard).held) this.fail(message.request, error)
  }

  /** Answers everything that is under way to an aggregate with an error. */
  failStream(stream: string, error: PenholdError): void {
    for (const { message } of this.#pending) if (message.stream === stream) this.fail(message.request, error)
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
    for (const pending of this.#pending) this.fail(pending.message.request, nodeClosed(outcomeOf(pending)))
    for (const owner of this.#routes.attached) this.detach(owner)
  }

  #isLate(held: ReadonlySet<Parcel>): boolean {
    const now = this.#options.clock.monotonic()
    for (const { message, heldSince } of held) {
      const { deadline } = this.#pending.get(message.request)!
      if (now - heldSince >= Math.min(PATIENCE_MS, (deadline - heldSince) / 2)) return true
    }
    return false
  }

  /** Each copy that is sent has a number of its own: whatever is still said of an older one is nobody's answer. */
  #renumber(message: Unsent): void {
    message.request = this.#pending.add(this.#pending.take(message.request)!)
  }

  #receive(lane: Lane, frame: Uint8Array): void {
    let replies: NumberedReply[]
    try {
      replies = readReplies(frame)
    } catch (error) {
      this.#options.onBadFrame(lane.owner, error)
      return
    }
    for (const { request, reply } of replies) {
      if (reply.kind === 'accepted' && reply.position > this.#positionSeen) this.#positionSeen = reply.position
      // One that was given up in the meantime is nobody's any more.
      const pending = this.#pending.get(request)
      if (pending === undefined || pending.lane !== lane) continue
      if (this.#options.onElsewhere !== undefined && isMoved(reply)) {
        this.#routes.bounce(pending, reply.kind === 'failed')
        this.#options.onElsewhere(pending.route.shard, lane.owner)
        continue
      }
      this.#take(request)
      const told = isUnknown(reply) ? this.#otherCode(lane, pending.message, reply.failure) : reply
      pending.outcome.resolve(toldReply(told, pending))
    }
  }

  /** Nobody sends what is not known where it is sent: whoever does not know it runs other code. */
  #otherCode({ owner }: Lane, message: OutgoingMessage, { message: problem }: Failure): Reply {
    const node = this.#options.nodeOf?.(owner) ?? 'this node'
    return failed(runsOtherCode({ node, stream: message.stream }, message, problem))
  }

  #take(request: number): Pending | undefined {
    const pending = this.#pending.take(request)
    if (pending === undefined) return undefined
    this.#routes.remove(pending)
    pending.stopWatching()
    if (this.#pending.size === 0) this.#onDrained()
    return pending
  }

  #watch(pending: Pending, { signal }: RequestOptions): void {
    const stopTimer = pending.isTimed
      ? this.#options.clock.after(pending.timeoutMs, () => this.#expire(pending))
      : NEVER
    const onAbort = (): void => {
      this.fail(pending.message.request, aborted(addressOf(pending.message), outcomeOf(pending), signal?.reason))
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    pending.stopWatching = () => {
      stopTimer()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  #expire(pending: Pending): void {
    const { message, timeoutMs, route } = pending
    const { request } = message
    if (outcomeOf(pending) === 'none') {
      this.fail(request, shardUnavailable(route.shard, `nobody has served it for ${timeoutMs} ms`))
      return
    }
    const what = message.kind === 'state' ? 'a look at its state' : askedInWords(message.name)
    this.fail(request, timeout(addressOf(message), what, timeoutMs))
  }

  /** One timer for all requests without a time of their own. */
  #sweepLater(): void {
    if (this.#isSweeping) return
    this.#isSweeping = true
    // Somebody waits: the process must not end because nothing else happens in it.
    this.#options.clock.afterAlive(SWEEP_MS, () => {
      this.#isSweeping = false
      const now = this.#options.clock.monotonic()
      for (const pending of this.#pending) {
        if (!pending.isTimed && pending.deadline <= now) this.#expire(pending)
      }
      if (this.#pending.size > 0) this.#sweepLater()
    })
  }
}

const NEVER: Cancel = () => undefined

/** What a caller needs to ask again. */
function addressOf(message: OutgoingMessage): { readonly stream: string; readonly commandId?: string } {
  const { stream } = message
  return message.kind === 'command' ? { stream, commandId: formatId(message.commandId) } : { stream }
}

/** Whether a request that is given up now may have taken effect. */
function outcomeOf({ lane, isWritten, isSentAgain }: Pending): PenholdError['outcome'] {
  return (lane !== undefined && isWritten) || isSentAgain ? 'unknown' : 'none'
}

/** The worker has no business with the shard (any more), and the next owner knows what took effect. */
function isMoved(reply: Reply): boolean {
  return reply.kind === 'elsewhere' || (reply.kind === 'failed' && reply.failure.code === 'OwnershipLost')
}

function isUnknown(reply: Reply): reply is Reply & { readonly kind: 'failed' } {
  return reply.kind === 'failed' && reply.failure.code === 'UnknownCommand'
}

/** What the successor of a worker refuses, the worker itself may have done before it ended. */
function toldReply(reply: Reply, { message, isSentAgain }: Pending): Reply {
  const told: Reply =
    reply.kind === 'elsewhere'
      ? { kind: 'failed', failure: toFailure(shardUnavailable(reply.shard, 'its worker does not own it')) }
      : reply
  if (told.kind !== 'failed' || message.kind !== 'command') return told
  const { failure } = told
  if (!isSentAgain && failure.outcome === 'none') return told
  const details = withCommandId(failure.details, message.commandId)
  return { kind: 'failed', failure: { ...failure, outcome: 'unknown', details } }
}

function toldError(error: PenholdError, { message, isSentAgain }: Pending): PenholdError {
  if (message.kind !== 'command' || (!isSentAgain && error.outcome === 'none')) return error
  const { code, message: text, retryable, cause } = error
  const details = withCommandId(error.details, message.commandId)
  return new PenholdError(code, text, { outcome: 'unknown', retryable, details, cause })
}

/** Whoever is to ask again needs the id, and where it has given none knows it from nowhere else. */
function withCommandId(details: unknown, commandId: Slice): unknown {
  const isOpen = details === undefined || (typeof details === 'object' && details !== null && !Array.isArray(details))
  return isOpen ? { ...details, commandId: formatId(commandId) } : details
}
