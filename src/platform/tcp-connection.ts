/**
 * A connection over a socket whose handshake is done. It owns the bytes from there on: frames are cut out of what comes
 * (frame-splitter.ts) and put together for what goes (frame-queue.ts), a bounded piece of it handed to the socket at a
 * time, so that the backlog is here, where it is counted.
 *
 * It is open, or it has ended with a reason, which is told once. Behind the end of an orderly close the socket goes on
 * for a while: it sends what is left, and drops what comes, since a socket closed over unread bytes resets the
 * connection and may take with it what the peer has not read yet.
 */
import type { Socket } from 'node:net'
import type { Agreed } from '../cluster/handshake.ts'
import { FrameQueue } from '../cluster/frame-queue.ts'
import { FrameSplitter } from '../cluster/frame-splitter.ts'
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

/** Handed to the socket at once: enough to keep it busy. TLS makes a copy of it. */
const WRITE_BYTES = 512 * 1024
/** The same as waiting for the turn's end, where so much is there that nothing is gained by more. */
const WRITE_NOW_BYTES = 64 * 1024
/** What is left at a close is sent for so long. */
const LINGER_MS = 5000

export class TcpConnection implements Connection {
  readonly peer: Greeting
  readonly protocol: number
  readonly #socket: Socket
  readonly #queue = new FrameQueue()
  readonly #splitter = new FrameSplitter()
  #receive: ((frame: Uint8Array<ArrayBuffer>) => void) | undefined
  #isPaused = false
  /** Bytes that the socket has and the system has not taken yet. */
  #handedBytes = 0
  #isFlushDue = false
  #wasHigh = false
  #onDrain: () => void = () => undefined
  #end: ConnectionError | undefined
  #onClose: ((reason: ConnectionError) => void) | undefined

  /** The socket is paused, and `rest` is what was read behind its handshake. */
  constructor(socket: Socket, { peer, protocol }: Agreed, rest: Uint8Array) {
    this.peer = peer
    this.protocol = protocol
    this.#socket = socket
    if (rest.length > 0) socket.unshift(rest)
    socket.on('error', (error) => this.#fail(brokenBy(error)))
    socket.on('end', () => this.#fail(this.#endedByPeer()))
    socket.on('close', () => this.#fail(new ConnectionError('broken', 'the connection broke')))
  }

  get backlogBytes(): number {
    return this.#queue.bytes + this.#handedBytes
  }

  send(frame: Uint8Array): void {
    if (this.#end !== undefined) return
    if (frame.length > FRAME_BYTES_MAX) {
      this.#fail(frameTooLarge(frame.length))
      return
    }
    this.#queue.add(frame)
    const backlogBytes = this.backlogBytes
    if (backlogBytes > BACKLOG_BYTES_MAX) {
      this.#fail(tooSlow())
      return
    }
    if (backlogBytes > BACKLOG_HIGH_BYTES) this.#wasHigh = true
    if (this.#queue.bytes >= WRITE_NOW_BYTES) this.#write()
    else if (!this.#isFlushDue && this.#handedBytes === 0) {
      this.#isFlushDue = true
      setImmediate(() => {
        this.#isFlushDue = false
        this.#write()
      })
    }
  }

  onDrain(callback: () => void): void {
    this.#onDrain = callback
  }

  onFrame(receive: (frame: Uint8Array<ArrayBuffer>) => void): void {
    this.#receive = receive
    this.#socket.on('data', (bytes: Buffer) => this.#read(bytes))
    if (!this.#isPaused && this.#end === undefined) this.#socket.resume()
  }

  pause(): void {
    this.#isPaused = true
    if (this.#end === undefined) this.#socket.pause()
  }

  resume(): void {
    this.#isPaused = false
    if (this.#receive !== undefined && this.#end === undefined) this.#socket.resume()
  }

  onClose(callback: (reason: ConnectionError) => void): void {
    this.#onClose = callback
    if (this.#end !== undefined) this.#tellEnd(this.#end)
  }

  close(): void {
    if (this.#end !== undefined) return
    this.#finish(new ConnectionError('closed', 'this end closed the connection'))
    const socket = this.#socket
    for (const piece of this.#queue.take(Number.POSITIVE_INFINITY)) socket.write(piece)
    socket.end()
    socket.resume()
    if (this.#receive === undefined) socket.on('data', () => undefined)
    const timer = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.on('close', () => clearTimeout(timer))
  }

  #read(bytes: Buffer): void {
    if (this.#end !== undefined) return
    try {
      const taken = this.#splitter.split(bytes, (frame) => {
        this.#receive!(frame)
        return !this.#isPaused && this.#end === undefined
      })
      if (taken < bytes.length && this.#end === undefined) this.#socket.unshift(bytes.subarray(taken))
    } catch (error) {
      this.#fail(
        new ConnectionError('too-large', `the peer sent what no peer sends: ${(error as Error).message}`, error),
      )
    }
  }

  /** One write at a time is under way; what was sent meanwhile follows when the system has taken it. */
  #write(): void {
    if (this.#end !== undefined || this.#handedBytes > 0) return
    const before = this.#queue.bytes
    const pieces = this.#queue.take(WRITE_BYTES)
    this.#handedBytes = before - this.#queue.bytes
    if (pieces.length === 0) return
    this.#socket.cork()
    for (const piece of pieces.slice(0, -1)) this.#socket.write(piece)
    this.#socket.write(pieces.at(-1)!, () => this.#onWritten())
    this.#socket.uncork()
  }

  #onWritten(): void {
    this.#handedBytes = 0
    if (this.#end !== undefined) return
    this.#write()
    if (!this.#wasHigh || this.backlogBytes >= BACKLOG_LOW_BYTES) return
    this.#wasHigh = false
    this.#onDrain()
  }

  #endedByPeer(): ConnectionError {
    return this.#splitter.isBetweenFrames
      ? new ConnectionError('closed', 'the peer closed the connection')
      : new ConnectionError('broken', "the peer's connection ended within a frame")
  }

  #fail(reason: ConnectionError): void {
    if (this.#end !== undefined) return
    this.#finish(reason)
    this.#queue.clear()
    this.#socket.destroy()
  }

  #finish(reason: ConnectionError): void {
    this.#end = reason
    if (this.#onClose !== undefined) this.#tellEnd(reason)
  }

  /** Never within the call that ended it. */
  #tellEnd(reason: ConnectionError): void {
    const tell = this.#onClose!
    setImmediate(() => tell(reason))
  }
}

function brokenBy(error: Error): ConnectionError {
  return new ConnectionError('broken', `the connection broke: ${error.message}`, error)
}

function tooSlow(): ConnectionError {
  return new ConnectionError(
    'too-slow',
    `the peer is too slow: more than ${BACKLOG_BYTES_MAX} bytes wait for it. The connection was closed, and they were dropped.`,
  )
}
