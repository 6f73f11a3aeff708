/**
 * The network of the simulator: connections between threads, on which frames arrive in order, after a while, or, once
 * the connection is cut, not at all. A cut may be of one direction alone, and nobody is told.
 */
import type { Link } from '../cluster/link.ts'
import type { Kernel } from './kernel.ts'
import type { SeededRandom } from './random.ts'
import type { SimulatedThread } from './simulated-thread.ts'

export class SimulatedNetwork {
  readonly #kernel: Kernel
  readonly #random: SeededRandom
  /** A frame takes up to so long. */
  latencyMs: number

  constructor(kernel: Kernel, random: SeededRandom, latencyMs: number) {
    this.#kernel = kernel
    this.#random = random
    this.latencyMs = latencyMs
  }

  /** The two ends of a new connection. */
  connect(a: SimulatedThread, b: SimulatedThread): [SimulatedEnd, SimulatedEnd] {
    const near = new SimulatedEnd(a, (frame, arrive) => this.#carry(frame, arrive))
    const far = new SimulatedEnd(b, (frame, arrive) => this.#carry(frame, arrive))
    near.connect(far)
    far.connect(near)
    return [near, far]
  }

  #carry(frame: Uint8Array, arrive: () => void): void {
    this.#kernel.note(`frame ${frame.length}`)
    this.#kernel.after((this.#random.below(1000) / 1000) * this.latencyMs, arrive)
  }
}

export class SimulatedEnd implements Link {
  readonly #thread: SimulatedThread
  readonly #carry: (frame: Uint8Array, arrive: () => void) => void
  #other: SimulatedEnd | undefined
  #receive: ((frame: Uint8Array) => void) | undefined
  #isClosed = false
  #isCut = false
  /** Frames under way from here, in order; one that is faster than its predecessors waits for them. */
  readonly #underWay: { readonly frame: Uint8Array; hasArrived: boolean }[] = []

  constructor(thread: SimulatedThread, carry: (frame: Uint8Array, arrive: () => void) => void) {
    this.#thread = thread
    this.#carry = carry
  }

  connect(other: SimulatedEnd): void {
    this.#other = other
  }

  send(frame: Uint8Array<ArrayBuffer>): void {
    if (this.#isClosed || this.#isCut) return
    const sent = { frame: Uint8Array.from(frame), hasArrived: false }
    this.#underWay.push(sent)
    this.#carry(frame, () => {
      sent.hasArrived = true
      while (this.#underWay[0]?.hasArrived === true) this.#other?.deliver(this.#underWay.shift()!.frame)
    })
  }

  onFrame(receive: (frame: Uint8Array) => void): void {
    this.#receive = receive
  }

  close(): void {
    this.#isClosed = true
  }

  /** What is sent from here from now on never arrives, and nobody is told. */
  cut(): void {
    this.#isCut = true
  }

  deliver(frame: Uint8Array): void {
    this.#thread.run(() => {
      if (!this.#isClosed) this.#receive?.(frame)
    })
  }
}
