/**
 * The port between a router and a worker: frames, in order, each delivered once while both ends live.
 * Over threads it is platform/port-link.ts; within one thread, the pair below.
 */
import type { Clock } from '../log/clock.ts'

/** A frame with so many bytes is sent, and another one begun. */
export const FRAME_FULL_BYTES: number = 1024 * 1024
/**
 * The most that one message or reply takes. It is the last in its frame then, which with what stands before it, and with
 * what a connection adds, is no longer than connections carry.
 */
export const ENTRY_BYTES_MAX: number = 14 * 1024 * 1024

export interface Link {
  /** The frame's memory goes with it and must not be touched afterwards. */
  send(frame: Uint8Array<ArrayBuffer>): void
  /** Takes every frame from now on. Called once. */
  onFrame(receive: (frame: Uint8Array) => void): void
  /** The other end is behind: who can wait sends no more until it is told. What is sent all the same is sent. */
  readonly isFull: boolean
  /** Calls back each time the other end has caught up after the link was full. Set once. */
  onDrain(callback: () => void): void
  /** Nothing more is sent or taken, and what the other end has not taken yet, it need not take any more. */
  close(): void
}

/** Two ends of a link within one thread. Frames arrive at the end of the turn in which they were sent. */
export function createLinkPair(clock: Clock): [Link, Link] {
  const a = new LocalLink(clock)
  const b = new LocalLink(clock)
  a.connect(b)
  b.connect(a)
  return [a, b]
}

class LocalLink implements Link {
  /** Who takes at the end of each turn is never behind. */
  readonly isFull = false
  readonly #clock: Clock
  #other: LocalLink | undefined
  #receive: ((frame: Uint8Array) => void) | undefined
  #isClosed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  connect(other: LocalLink): void {
    this.#other = other
  }

  send(frame: Uint8Array<ArrayBuffer>): void {
    this.#clock.defer(() => this.#other?.deliver(frame))
  }

  onFrame(receive: (frame: Uint8Array) => void): void {
    this.#receive = receive
  }

  onDrain(): void {
    // It is never full.
  }

  close(): void {
    this.#isClosed = true
    if (this.#other !== undefined) this.#other.#isClosed = true
  }

  deliver(frame: Uint8Array): void {
    if (!this.#isClosed) this.#receive?.(frame)
  }
}
