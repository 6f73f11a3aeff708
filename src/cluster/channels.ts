/**
 * Channels: the links between a node's router and the workers of another, all over one connection. A frame on it:
 *
 *     0 kind u8: 1 data, 2 the worker can be reached, 3 it cannot   1 worker u16   3 the frame that the link carries
 *
 * The serving end says which of its workers can be reached, and when one no longer can; what was under way to it then is
 * the sender's to send again.
 */
import type { Connection } from './network.ts'
import { BACKLOG_HIGH_BYTES } from './network.ts'
import { BadFrame } from './frame.ts'
import type { Link } from './link.ts'

const Kind = { data: 1, here: 2, gone: 3 } as const
const HEADER_BYTES = 3
/**
 * Replies to what was asked already are kept here while the peer is behind: it may have asked for more than a
 * connection's backlog holds, and takes it steadily. One that does not is too slow.
 */
const HELD_BYTES_MAX = 256 * 1024 * 1024

/** The end that has the workers. */
export class ServingEnd {
  readonly #connection: Connection
  readonly #links = new Map<number, Link>()
  /** What the connection is to carry once it has drained, in order. */
  #held: Uint8Array[] = []
  #heldBytes = 0

  /** `onBadFrame` is told of what no peer says; the connection is closed then. */
  constructor(connection: Connection, onBadFrame: (error: unknown) => void) {
    this.#connection = connection
    connection.onFrame((frame) => {
      try {
        const { kind, worker, content } = read(frame)
        if (kind !== Kind.data) throw new BadFrame('only workers come and go')
        // One that has just gone: the peer is told already.
        const link = this.#links.get(worker)
        link?.send(content)
        // What a worker has not taken is memory here.
        if (link?.isFull === true) connection.pause()
      } catch (error) {
        onBadFrame(error)
        connection.close()
      }
    })
    connection.onDrain(() => this.#sendHeld())
  }

  /** The worker can be reached, through a link of this connection's own. */
  attach(worker: number, link: Link): void {
    this.#links.set(worker, link)
    link.onDrain(() => this.#maybeResume())
    link.onFrame((frame) => {
      if (this.#links.get(worker) !== link) return
      this.#send(write(Kind.data, worker, frame))
    })
    this.#send(write(Kind.here, worker))
  }

  detach(worker: number): void {
    const link = this.#links.get(worker)
    if (link === undefined) return
    this.#links.delete(worker)
    link.close()
    this.#send(write(Kind.gone, worker))
    this.#maybeResume()
  }

  close(): void {
    for (const link of this.#links.values()) link.close()
    this.#links.clear()
    this.#held = []
    this.#connection.close()
  }

  #send(frame: Uint8Array): void {
    const connection = this.#connection
    if (connection.backlogBytes <= BACKLOG_HIGH_BYTES && this.#held.length === 0) {
      connection.send(frame)
      // Whoever does not take its replies may not ask for more.
      if (connection.backlogBytes > BACKLOG_HIGH_BYTES) connection.pause()
      return
    }
    this.#held.push(frame)
    this.#heldBytes += frame.length
    // The connection ends by it, and says why.
    if (this.#heldBytes > HELD_BYTES_MAX) for (const held of this.#held.splice(0)) connection.send(held)
  }

  #sendHeld(): void {
    const connection = this.#connection
    let sent = 0
    while (sent < this.#held.length && connection.backlogBytes <= BACKLOG_HIGH_BYTES) {
      const frame = this.#held[sent]!
      this.#heldBytes -= frame.length
      connection.send(frame)
      sent += 1
    }
    this.#held.splice(0, sent)
    this.#maybeResume()
  }

  #maybeResume(): void {
    const isBehind = this.#held.length > 0 || this.#connection.backlogBytes > BACKLOG_HIGH_BYTES
    if (!isBehind && ![...this.#links.values()].some(({ isFull }) => isFull)) this.#connection.resume()
  }
}

export interface AskingEvents {
  readonly onHere: (worker: number, link: Link) => void
  readonly onGone: (worker: number) => void
  readonly onBadFrame: (error: unknown) => void
}

/** What shows whether a connection carries anything. */
export interface Traffic {
  /** How many frames have come. */
  readonly heard: number
  /** Something was asked since the last came; all that is asked is answered. */
  readonly isOwed: boolean
  /** What the system has not taken yet. */
  readonly backlogBytes: number
}

/** The end that asks. */
export class AskingEnd {
  readonly #connection: Connection
  readonly #events: AskingEvents
  readonly #links = new Map<number, ChannelLink>()
  #drains = 0
  #heard = 0
  #isOwed = false

  constructor(connection: Connection, events: AskingEvents) {
    const { onHere, onGone, onBadFrame } = events
    this.#connection = connection
    this.#events = events
    connection.onDrain(() => this.#drained())
    connection.onFrame((frame) => {
      this.#heard += 1
      this.#isOwed = false
      try {
        const { kind, worker, content } = read(frame)
        if (kind === Kind.data) {
          this.#links.get(worker)?.deliver(content)
          return
        }
        if (this.#links.delete(worker)) onGone(worker)
        if (kind === Kind.gone) return
        const link = new ChannelLink(connection, worker, () => (this.#isOwed = true))
        this.#links.set(worker, link)
        onHere(worker, link)
      } catch (error) {
        onBadFrame(error)
        connection.close()
      }
    })
  }

  get traffic(): Traffic {
    return { heard: this.#heard, isOwed: this.#isOwed, backlogBytes: this.#connection.backlogBytes }
  }

  /** The connection has ended, and all workers with it. */
  ended(): void {
    const workers = [...this.#links.keys()]
    this.#links.clear()
    for (const worker of workers) this.#events.onGone(worker)
  }

  /** Another link is the first each time: one that has much to say fills the connection again. */
  #drained(): void {
    const links = [...this.#links.values()]
    this.#drains += 1
    for (const i of links.keys()) links[(i + this.#drains) % links.length]!.drained()
  }
}

class ChannelLink implements Link {
  readonly #connection: Connection
  readonly #worker: number
  readonly #onSend: () => void
  #receive: ((frame: Uint8Array) => void) | undefined
  #onDrain: () => void = () => undefined
  #isClosed = false

  constructor(connection: Connection, worker: number, onSend: () => void) {
    this.#connection = connection
    this.#worker = worker
    this.#onSend = onSend
  }

  /** The connection is, which all links over it share. */
  get isFull(): boolean {
    return this.#connection.backlogBytes > BACKLOG_HIGH_BYTES
  }

  onDrain(callback: () => void): void {
    this.#onDrain = callback
  }

  drained(): void {
    if (!this.#isClosed) this.#onDrain()
  }

  send(frame: Uint8Array<ArrayBuffer>): void {
    if (this.#isClosed) return
    this.#onSend()
    this.#connection.send(write(Kind.data, this.#worker, frame))
  }

  onFrame(receive: (frame: Uint8Array) => void): void {
    this.#receive = receive
  }

  deliver(frame: Uint8Array): void {
    if (!this.#isClosed) this.#receive?.(frame)
  }

  close(): void {
    this.#isClosed = true
  }
}

function write(kind: number, worker: number, content?: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + (content?.length ?? 0))
  frame[0] = kind
  frame[1] = worker
  frame[2] = worker >>> 8
  if (content !== undefined) frame.set(content, HEADER_BYTES)
  return frame
}

function read(frame: Uint8Array<ArrayBuffer>): { kind: number; worker: number; content: Uint8Array<ArrayBuffer> } {
  const [kind = 0, low = 0, high = 0] = frame
  const isFrame = frame.length >= HEADER_BYTES && kind >= Kind.data && kind <= Kind.gone
  if (!isFrame) throw new BadFrame(`a channel's frame of ${frame.length} bytes has the kind ${kind}`)
  return { kind, worker: low | (high << 8), content: frame.subarray(HEADER_BYTES) }
}
