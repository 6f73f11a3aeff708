/**
 * The network of the simulator. Between the threads of a process: links, on which frames arrive in order, after a while,
 * or, once the link is cut, not at all. Between nodes: the port of cluster/network.ts, one `host` for each node, with
 * what networks do to connections. A cut may be of one direction alone, and nobody is told.
 */
import type { Link } from '../cluster/link.ts'
import type { Network } from '../cluster/network.ts'
import type { Kernel } from './kernel.ts'
import type { SeededRandom } from './random.ts'
import { SimulatedHosts, type Path } from './simulated-hosts.ts'
import type { SimulatedThread } from './simulated-thread.ts'

export class SimulatedNetwork {
  readonly #kernel: Kernel
  readonly #random: SeededRandom
  /** A frame takes up to so long. */
  latencyMs: number
  readonly #hosts: SimulatedHosts

  constructor(kernel: Kernel, random: SeededRandom, latencyMs: number) {
    this.#kernel = kernel
    this.#random = random
    this.latencyMs = latencyMs
    this.#hosts = new SimulatedHosts(kernel, random, () => this.#someLatency())
  }

  /** The network as a node on this thread has it, at addresses `name:port`. The name's former node has to be dead. */
  host(name: string, thread: SimulatedThread): Network {
    return this.#hosts.host(name, thread)
  }

  /** What goes this way between hosts waits, new connections too, and nobody is told. Never mended, it never arrives. */
  cut(path: Path): void {
    this.#hosts.cut(path)
  }

  /** What waited since the cut arrives, as TCP sends it again, and what follows. */
  mend(path: Path): void {
    this.#hosts.mend(path)
  }

  /** What goes this way takes so much longer. */
  delay(path: Path, ms: number): void {
    this.#hosts.delay(path, ms)
  }

  /**
   * Connections between the two hosts go bad: both ends are told, the acceptor last, who until then may read what the
   * initiator has sent and given up.
   */
  reset(a: string, b: string): void {
    this.#hosts.reset(a, b)
  }

  /** Connections that are going bad have done so at once. */
  heal(): void {
    this.#hosts.heal()
  }

  /** New connections to the host are refused, or are no longer. Those that stand stay. */
  refuse(host: string, isRefused: boolean): void {
    this.#hosts.refuse(host, isRefused)
  }

  /** The host's node was killed: after a while the others are told that their connections to it broke. */
  died(host: string): void {
    this.#hosts.died(host)
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
    this.#kernel.after(this.#someLatency(), arrive)
  }

  #someLatency(): number {
    return (this.#random.below(1000) / 1000) * this.latencyMs
  }
}

export class SimulatedEnd implements Link {
  readonly isFull = false
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

  onDrain(): void {
    // It is never full.
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
