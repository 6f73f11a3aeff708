/**
 * One end of a simulated connection. It keeps the order in which TCP delivers, and the windows by which a receiver that
 * is paused, stopped or cut off holds its sender back: so much is with the systems in between, what is more is backlog.
 */
import type { Agreed } from '../cluster/handshake.ts'
import {
  BACKLOG_BYTES_MAX,
  BACKLOG_HIGH_BYTES,
  BACKLOG_LOW_BYTES,
  ConnectionError,
  FRAME_BYTES_MAX,
  frameTooLarge,
  type Connection,
  type Greeting,
} from '../cluster/network.ts'
import type { SimulatedThread } from './simulated-thread.ts'

/** Brings something to the other host. */
export type Carrier = (what: string, arrive: () => void) => void

/** What the systems at both ends hold of what nobody has read yet. */
const WINDOW_BYTES = 256 * 1024
const LENGTH_BYTES = 4

/** A frame, or the end of all, on its way. One that is faster than its predecessors waits for them. */
interface Sent {
  readonly frame: Uint8Array<ArrayBuffer> | undefined
  hasArrived: boolean
}

export class SimulatedConnection implements Connection {
  readonly peer: Greeting
  readonly protocol: number
  readonly #thread: SimulatedThread
  readonly #carry: Carrier
  #other: SimulatedConnection | undefined
  /** From here to the other end: sent, and not yet read there. */
  readonly #underWay: Sent[] = []
  #underWayBytes = 0
  #wasHigh = false
  #receive: ((frame: Uint8Array<ArrayBuffer>) => void) | undefined
  #isPaused = false
  #isReading = false
  #onDrain: () => void = () => undefined
  #end: ConnectionError | undefined
  #onClose: ((reason: ConnectionError) => void) | undefined

  constructor(thread: SimulatedThread, { peer, protocol }: Agreed, carry: Carrier) {
    this.peer = peer
    this.protocol = protocol
    this.#thread = thread
    this.#carry = carry
  }

  join(other: SimulatedConnection): void {
    this.#other = other
  }

  get backlogBytes(): number {
    return Math.max(0, this.#underWayBytes - WINDOW_BYTES)
  }

  send(frame: Uint8Array): void {
    if (this.#end !== undefined) return
    if (frame.length > FRAME_BYTES_MAX) {
      this.#break(frameTooLarge(frame.length))
      return
    }
    this.#dispatch(Uint8Array.from(frame))
    if (this.backlogBytes > BACKLOG_HIGH_BYTES) this.#wasHigh = true
    if (this.backlogBytes <= BACKLOG_BYTES_MAX) return
    const reason = `the peer is too slow: more than ${BACKLOG_BYTES_MAX} bytes wait for it`
    this.#break(new ConnectionError('too-slow', reason))
  }

  onDrain(callback: () => void): void {
    this.#onDrain = callback
  }

  onFrame(receive: (frame: Uint8Array<ArrayBuffer>) => void): void {
    this.#receive = receive
    this.#readSoon()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#readSoon()
  }

  onClose(callback: (reason: ConnectionError) => void): void {
    this.#onClose = callback
    if (this.#end !== undefined) this.#tellEnd(this.#end)
  }

  close(): void {
    if (this.#end !== undefined) return
    this.#dispatch(undefined)
    this.end(new ConnectionError('closed', 'this end closed the connection'))
  }

  /** Ends here, at once, for whatever reason; the other end is not told by this. */
  end(reason: ConnectionError): void {
    if (this.#end !== undefined) return
    this.#end = reason
    if (this.#onClose !== undefined) this.#tellEnd(reason)
  }

  /** Ends at once; what is under way is dropped. */
  #break(reason: ConnectionError): void {
    this.#underWay.length = 0
    this.#underWayBytes = 0
    this.#dispatch(undefined)
    this.end(reason)
  }

  #dispatch(frame: Uint8Array<ArrayBuffer> | undefined): void {
    const sent: Sent = { frame, hasArrived: false }
    this.#underWay.push(sent)
    this.#underWayBytes += bytesOf(sent)
    const other = this.#other!
    this.#carry(frame === undefined ? 'end' : `frame ${frame.length}`, () => {
      sent.hasArrived = true
      other.#thread.run(() => other.#read())
    })
  }

  #readSoon(): void {
    this.#thread.clock.defer(() => this.#read())
  }

  /** Takes what has arrived, in order. */
  #read(): void {
    const receive = this.#receive
    const other = this.#other
    if (receive === undefined || other === undefined || this.#isReading) return
    const incoming = other.#underWay
    this.#isReading = true
    try {
      while (incoming[0]?.hasArrived === true && !this.#isPaused && this.#end === undefined) {
        const sent = incoming.shift()!
        other.#wasRead(bytesOf(sent))
        if (sent.frame !== undefined) receive(sent.frame)
        else this.end(new ConnectionError('closed', 'the peer closed the connection'))
      }
    } finally {
      this.#isReading = false
    }
  }

  #wasRead(bytes: number): void {
    this.#underWayBytes -= bytes
    if (!this.#wasHigh || this.backlogBytes >= BACKLOG_LOW_BYTES || this.#end !== undefined) return
    this.#wasHigh = false
    this.#thread.clock.defer(() => this.#onDrain())
  }

  #tellEnd(reason: ConnectionError): void {
    const tell = this.#onClose!
    this.#thread.clock.defer(() => tell(reason))
  }
}

function bytesOf({ frame }: Sent): number {
  return frame === undefined ? 0 : LENGTH_BYTES + frame.length
}
