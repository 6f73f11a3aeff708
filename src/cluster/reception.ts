/**
 * The reception: whoever has called this node. Messages go on to the workers, each over a link of the caller's own;
 * callers for control are told what the workers serve, at once and whenever it changes; those that read get an end of
 * their own (reading-end.ts).
 *
 * A caller that calls again for messages has given up the connection before, whatever of it is still under way here, and
 * sends again what it carried: so nothing of it reaches a worker from then on (docs/decisions/epochs-in-messages.md).
 */
import { PenholdError, reasonOf } from '../aggregate/error.ts'
import { ServingEnd } from './channels.ts'
import {
  decodeControl,
  encodeControl,
  type HandedShard,
  type NodeMeasure,
  type ServedShard,
  type TailQuestion,
} from './control.ts'
import type { Link } from './link.ts'
import { answered, type ProjectionCall } from './projection-call.ts'
import { ReadingEnd, type OpenReading, type ReadingCount } from './reading-end.ts'
import type { Clock } from '../log/clock.ts'
import type { Tail } from '../log/tail.ts'
import { isBeyondBounds, type Connection } from './network.ts'

/** A caller asks each worker of a node a few things at a time; more are not answered. */
const TAILS_ASKED_MAX = 4_096
/** So many of a caller's calls of projections are under way, at most. */
export const PROJECTION_CALLS_MAX = 16

export interface ReceptionOptions {
  readonly clock: Clock
  /** What is served here now. */
  readonly serving: () => readonly ServedShard[]
  /** Whether a node works on the very data that this one does, and not on a copy. Throws where that cannot be seen. */
  readonly shares: (member: string) => boolean
  /** A node has given up shards for workers of this one. */
  readonly onHanded: (shards: readonly HandedShard[]) => void
  /** An operator wants this node to give up its shards. */
  readonly onDrain: () => void
  /** How far the workers here are, measured now. */
  readonly measure: () => Promise<NodeMeasure>
  /** How far the journal of a worker here is; undefined where it is not there or cannot say. */
  readonly tail: (question: TailQuestion) => Promise<Tail | undefined>
  /** What a call of a projection comes to. */
  readonly callProjection: (call: ProjectionCall) => Promise<unknown>
  /** Reads for a caller. */
  readonly openReading: OpenReading
  readonly onWarning: (message: string) => void
}

/** What a worker gives each caller a link with. */
export interface Reachable {
  /** Once it is closed nothing of it is read that a later link could overtake. `protocol`: the version it speaks. */
  connect(protocol: number): Link
}

interface Served {
  readonly end: ServingEnd
  readonly protocol: number
}

export class Reception {
  readonly #options: ReceptionOptions
  readonly #workers = new Map<number, Reachable>()
  /** By caller. */
  readonly #ends = new Map<string, Served>()
  readonly #listeners = new Set<Connection>()
  readonly #readers = new Set<ReadingEnd>()
  /** What all of them have open. */
  readonly #readings: ReadingCount = { all: 0, stream: 0 }
  /** Callers whose question for a measure is under way. */
  readonly #asking = new Set<Connection>()
  /** By caller, its questions for tails that are under way. */
  readonly #tailsAsked = new WeakMap<Connection, number>()
  /** By caller, its calls of projections that are under way. */
  readonly #calls = new WeakMap<Connection, number>()
  #isClosed = false

  constructor(options: ReceptionOptions) {
    this.#options = options
  }

  accept(connection: Connection): void {
    if (this.#isClosed) connection.close()
    else if (connection.peer.purpose === 'control') this.#listen(connection)
    else if (connection.peer.purpose === 'reading') this.#letRead(connection)
    else this.#serve(connection)
  }

  /** The worker can be reached; undefined where it no longer can. */
  set(worker: number, reachable: Reachable | undefined): void {
    for (const { end } of this.#ends.values()) end.detach(worker)
    this.#workers.delete(worker)
    if (reachable === undefined) return
    this.#workers.set(worker, reachable)
    for (const { end, protocol } of this.#ends.values()) end.attach(worker, reachable.connect(protocol))
  }

  /** Tells everyone what is served now. */
  announce(shards: readonly ServedShard[]): void {
    if (shards.length === 0) return
    const frame = encodeControl({ kind: 'serving', shards })
    for (const listener of this.#listeners) listener.send(frame)
  }

  close(): void {
    this.#isClosed = true
    for (const { end } of this.#ends.values()) end.close()
    for (const listener of this.#listeners) listener.close()
    for (const reader of this.#readers) reader.close()
  }

  #serve(connection: Connection): void {
    const { peer, protocol } = connection
    this.#ends.get(peer.member)?.end.close()
    const end = new ServingEnd(connection, (error) => this.#warn(error))
    this.#ends.set(peer.member, { end, protocol })
    connection.onClose((reason) => {
      if (isBeyondBounds(reason)) this.#options.onWarning(`a ${peer.role} that asks was cut off: ${reason.message}`)
      if (this.#ends.get(peer.member)?.end === end) this.#ends.delete(peer.member)
      end.close()
    })
    for (const [worker, reachable] of this.#workers) end.attach(worker, reachable.connect(protocol))
  }

  #letRead(connection: Connection): void {
    const { clock, openReading, onWarning } = this.#options
    const onEnd = (): void => void this.#readers.delete(end)
    const end = new ReadingEnd(connection, { clock, open: openReading, count: this.#readings, onWarning, onEnd })
    this.#readers.add(end)
  }

  #listen(connection: Connection): void {
    this.#listeners.add(connection)
    connection.onClose(() => this.#listeners.delete(connection))
    connection.onFrame((frame) => {
      try {
        const message = decodeControl(frame)
        if (message.kind === 'ping') connection.send(encodeControl({ kind: 'pong' }))
        if (message.kind === 'drain') this.#options.onDrain()
        if (message.kind === 'measure') void this.#measure(connection)
        if (message.kind === 'projection') void this.#answerCall(connection, message)
        if (message.kind === 'tail' && connection.peer.role === 'node') void this.#tellTail(connection, message)
        if (message.kind === 'handed' && connection.peer.role === 'node') this.#options.onHanded(message.shards)
      } catch (error) {
        this.#warn(error)
        connection.close()
      }
    })
    this.#tellOfCopy(connection)
    connection.send(encodeControl({ kind: 'serving', shards: this.#options.serving() }))
  }

  /** Before anything else, so that a node that is about to join hears of it in time. */
  #tellOfCopy(connection: Connection): void {
    const { peer } = connection
    if (peer.role !== 'node' || !this.#isOnCopy(peer.member)) return
    this.#options.onWarning(
      `the node ${peer.member} works on a copy of this data: what either writes the other does not see. Give all nodes one data directory.`,
    )
    connection.send(encodeControl({ kind: 'other-data' }))
  }

  /** Not so where it cannot be seen: what is the matter with the directory, the workers tell. */
  #isOnCopy(member: string): boolean {
    try {
      return !this.#options.shares(member)
    } catch (error) {
      this.#options.onWarning(`whether the node ${member} works on the same data cannot be seen: ${reasonOf(error)}`)
      return false
    }
  }

  async #tellTail(connection: Connection, question: TailQuestion): Promise<void> {
    const { request } = question
    const asked = (this.#tailsAsked.get(connection) ?? 0) + 1
    this.#tailsAsked.set(connection, asked)
    const isTooMuch = asked > TAILS_ASKED_MAX
    const tail = isTooMuch ? undefined : await this.#options.tail(question).catch(() => undefined)
    this.#tailsAsked.set(connection, this.#tailsAsked.get(connection)! - 1)
    if (this.#listeners.has(connection)) connection.send(encodeControl({ kind: 'tailed', request, tail }))
  }

  async #answerCall(connection: Connection, call: ProjectionCall): Promise<void> {
    const underWay = (this.#calls.get(connection) ?? 0) + 1
    this.#calls.set(connection, underWay)
    const isTooMuch = underWay > PROJECTION_CALLS_MAX
    const answer = await answered(
      call.request,
      isTooMuch ? Promise.reject(tooManyCalls()) : this.#options.callProjection(call),
    )
    this.#calls.set(connection, this.#calls.get(connection)! - 1)
    if (this.#listeners.has(connection)) connection.send(encodeControl({ kind: 'projection-answer', ...answer }))
  }

  /** One answer a caller at a time: what it asks meanwhile is answered by that. */
  async #measure(connection: Connection): Promise<void> {
    if (this.#asking.has(connection)) return
    this.#asking.add(connection)
    try {
      connection.send(encodeControl({ kind: 'measured', ...(await this.#options.measure()) }))
    } catch (error) {
      // Whoever asked learns that there is no answer.
      this.#options.onWarning(`it could not be told how far the workers are: ${reasonOf(error)}`)
      connection.close()
    } finally {
      this.#asking.delete(connection)
    }
  }

  #warn(error: unknown): void {
    this.#options.onWarning(
      `somebody connected and sent what no node says (${reasonOf(error)}); the connection was closed`,
    )
  }
}

function tooManyCalls(): PenholdError {
  const message = `${PROJECTION_CALLS_MAX} calls of projections are under way over this connection, which is its limit. Call again later.`
  return new PenholdError('MailboxFull', message, { outcome: 'none', retryable: true })
}
