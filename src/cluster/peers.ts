/**
 * Peers: the nodes that this one asks. To each it keeps two connections, one for messages and one for control, so that
 * what says who owns what never queues behind bulk; it calls again when they break, for as long as the peer is a member.
 */
import { PenholdError, reasonOf } from '../aggregate/error.ts'
import type { Cancel, Clock } from '../log/clock.ts'
import { AskingEnd, type Traffic } from './channels.ts'
import { decodeControl, encodeControl, type ControlMessage, type ServedShard } from './control.ts'
import { nodeRefused } from './error.ts'
import type { Member } from './leases.ts'
import type { ReachedNode } from './reading-lines.ts'
import type { Link } from './link.ts'
import type { TailSource } from '../log/tail.ts'
import { TailAsker, TAILS_SINCE } from './tail-asker.ts'
import { ownerName } from './owner-name.ts'
import { ConnectionError, isBeyondBounds, isRefusal, type Connection, type Greeting, type Network } from './network.ts'

export interface PeersOptions {
  readonly network: Network
  readonly clock: Clock
  /** What this process says of itself. */
  readonly greeting: (purpose: Greeting['purpose']) => Greeting
  readonly onHere: (owner: string, link: Link, protocol: number) => void
  readonly onGone: (owner: string) => void
  /** The peer's workers serve these shards. */
  readonly onServing: (member: string, shards: readonly ServedShard[]) => void
  /** The peer is none any more. */
  readonly onDropped: (member: string) => void
  readonly onWarning: (message: string) => void
}

const CONNECT_MS = 3_000
/** After so long a peer counts as met. */
const MET_MS = 2 * CONNECT_MS
const REDIAL_MS = 100
const REDIAL_MS_MAX = 2_000
const PING_MS = 1_000
/** A peer that has said nothing for so long on the connection for control is taken for gone. */
const SILENCE_MS = 3_000
/**
 * One that lives, and for so many pings has neither taken nor answered anything of what it was asked over the connection for
 * messages: a worker that hangs is replaced sooner, so that it is the connection that hangs. Where it is not, what is asked
 * again takes effect once.
 */
const OWING_PINGS_MAX = 10
const NOTHING_OWED: Traffic & { readonly pings: number } = { heard: 0, isOwed: false, backlogBytes: 0, pings: 0 }

export class Peers {
  readonly #options: PeersOptions
  readonly #peers = new Map<string, Peer>()

  constructor(options: PeersOptions) {
    this.#options = options
  }

  /**
   * From here on these are the peers; where they are not all of them, those that are missing remain. So does one that
   * answers: it may be cut off from the lease store alone, and have shards still.
   */
  update(members: readonly Member[], { areAll = true }: { readonly areAll?: boolean } = {}): void {
    for (const [id, peer] of this.#peers) {
      const member = members.find((each) => each.id === id)
      if (member === undefined ? !areAll || peer.isHeard : member.address === peer.address) continue
      this.#peers.delete(id)
      peer.close()
      if (member === undefined) this.#options.onDropped(id)
    }
    for (const member of members) {
      if (!this.#peers.has(member.id)) this.#peers.set(member.id, new Peer(member, this.#options))
    }
  }

  /**
   * Resolves as soon as one peer has let this process in, or when none is there that answers.
   * @throws PenholdError `NodeRefused` where all that answer refuse it
   */
  async meet(): Promise<void> {
    try {
      await Promise.any([...this.#peers.values()].map(({ firstTry }) => firstTry))
    } catch (error) {
      const refusal = (error as AggregateError).errors.find((each) => each instanceof PenholdError)
      if (refusal !== undefined) throw refusal
    }
  }

  /** Whether the peer can be told something now. */
  reaches(member: string): boolean {
    return this.#peers.get(member)?.isReached === true
  }

  /** Those that can be told something now. */
  get reached(): readonly ReachedNode[] {
    return [...this.#peers.values()].flatMap(({ reached }) => reached ?? [])
  }

  /** A peer in words. */
  describe(member: string): string {
    return this.#peers.get(member)?.description ?? `the node with the id ${member}`
  }

  /** A worker of a peer has sent what none sends: the connections to the peer are made anew. */
  distrust(owner: string, error: unknown): void {
    for (const [id, peer] of this.#peers) if (owner.startsWith(`${id}/`)) peer.distrust(error)
  }

  /** Tells a peer something, where it can be reached; nobody is told where it cannot. */
  tell(member: string, message: ControlMessage): void {
    this.#peers.get(member)?.tell(message)
  }

  /** The workers of all peers, as readers ask them. */
  get tails(): readonly TailSource[] {
    return [...this.#peers.values()].flatMap(({ tails }) => tails)
  }

  close(): void {
    for (const peer of this.#peers.values()) peer.close()
    this.#peers.clear()
  }
}

/** One peer, called again and again until it is closed. */
class Peer {
  readonly address: string
  /** For humans. */
  readonly description: string
  readonly #met = Promise.withResolvers<void>()
  readonly #stopMeeting: Cancel
  readonly #id: string
  readonly #options: PeersOptions
  /** The connections of the newest dial. */
  #open: readonly Connection[] = []
  #control: Connection | undefined
  readonly #tails: TailAsker
  #asking: AskingEnd | undefined
  /** How the connection for messages was at the last ping, and for how many pings an answer has been owed since. */
  #owing = NOTHING_OWED
  #redialMs = REDIAL_MS
  #stopTimer: Cancel = () => undefined
  #heardAt = 0
  #isClosed = false
  #isWarned = false
  #isBoundWarned = false

  constructor({ id, name, address, workers }: Member, options: PeersOptions) {
    this.#id = id
    this.address = address
    this.description = `the node '${name}' (${address})`
    this.#options = options
    this.#tails = new TailAsker({
      clock: options.clock,
      workers,
      tell: (message) => {
        const isKnown = (this.#control?.protocol ?? 0) >= TAILS_SINCE
        if (isKnown) this.tell(message)
        return isKnown
      },
    })
    this.#met.promise.catch(() => undefined)
    // It has taken the call, and hangs.
    this.#stopMeeting = options.clock.after(MET_MS, () => this.#met.resolve())
    void this.#dial()
  }

  /**
   * Settles when it has said something, or when it was called once in vain: then with the reason, a PenholdError where it
   * refuses this process.
   */
  get firstTry(): Promise<void> {
    return this.#met.promise
  }

  get isReached(): boolean {
    return this.#control !== undefined
  }

  get reached(): ReachedNode | undefined {
    return this.#control && { id: this.#id, address: this.address, protocol: this.#control.protocol }
  }

  /** It has answered the last ping, or the one before. */
  get isHeard(): boolean {
    return this.isReached && this.#options.clock.monotonic() - this.#heardAt < 2 * PING_MS
  }

  get tails(): readonly TailSource[] {
    return this.#tails.sources
  }

  tell(message: ControlMessage): void {
    this.#control?.send(encodeControl(message))
  }

  distrust(error: unknown): void {
    this.#options.onWarning(`${this.address} sends what no worker says (${reasonOf(error)})`)
    this.#redial()
  }

  close(): void {
    this.#isClosed = true
    this.#stopMeeting()
    // Whoever still waits to meet it need not.
    this.#met.resolve()
    this.#stopTimer()
    this.#hangUp()
  }

  async #dial(): Promise<void> {
    const { network, greeting } = this.#options
    const open: Connection[] = []
    this.#open = open
    const connect = async (purpose: Greeting['purpose']): Promise<Connection> => {
      const connection = await network.connect(this.address, greeting(purpose), { timeoutMs: CONNECT_MS })
      if (this.#open !== open) {
        connection.close()
        throw new ConnectionError('closed', `${this.address} was called again, or is called no more`)
      }
      open.push(connection)
      if (connection.peer.member !== this.#id) {
        throw new ConnectionError('stranger', `another node answers at ${this.address}`)
      }
      connection.onClose((reason) => this.#broken(connection, reason))
      return connection
    }
    try {
      const control = await connect('control')
      this.#use(control, await connect('messages'))
    } catch (error) {
      // Whoever has hung up meanwhile has seen to what comes next.
      if (this.#open !== open) return
      this.#warn(error)
      this.#redial()
      const isRefused = error instanceof ConnectionError && isRefusal(error)
      this.#met.reject(isRefused ? nodeRefused(this.address, error) : error)
    }
  }

  #use(control: Connection, messages: Connection): void {
    const { onHere, onGone, onWarning, clock } = this.#options
    this.#redialMs = REDIAL_MS
    this.#isWarned = false
    this.#control = control
    this.#owing = NOTHING_OWED
    this.#heardAt = clock.monotonic()
    control.onFrame((frame) => this.#told(control, frame))
    this.#asking = new AskingEnd(messages, {
      onHere: (worker, link) => onHere(ownerName(this.#id, worker), link, messages.protocol),
      onGone: (worker) => onGone(ownerName(this.#id, worker)),
      onBadFrame: (error) => onWarning(`${this.address} sends what no node says (${reasonOf(error)})`),
    })
    this.#ping()
  }

  #told(control: Connection, frame: Uint8Array): void {
    this.#heardAt = this.#options.clock.monotonic()
    try {
      const message = decodeControl(frame)
      if (message.kind === 'other-data') this.#isOther()
      this.#met.resolve()
      if (message.kind === 'tailed') this.#tails.answered(message)
      if (message.kind === 'serving') this.#options.onServing(this.#id, message.shards)
    } catch (error) {
      this.#options.onWarning(`${this.address} sends what no node says (${reasonOf(error)})`)
      control.close()
    }
  }

  #isOther(): void {
    const problem = new Error('it works on other data, of which one is a copy. Give all nodes the same data directory.')
    this.#met.reject(nodeRefused(this.address, problem))
    this.#options.onWarning(`the node at ${this.address}: ${problem.message}`)
  }

  #ping(): void {
    const { clock } = this.#options
    this.#stopTimer()
    const due = clock.monotonic() + PING_MS
    this.#stopTimer = clock.after(PING_MS, () => {
      const now = clock.monotonic()
      // This thread was held: what the peer has said meanwhile may not be read yet.
      if (now - due > PING_MS) this.#heardAt = now
      if (now - this.#heardAt > SILENCE_MS || this.#owesForLong()) {
        this.#redial()
        return
      }
      this.tell({ kind: 'ping' })
      this.#ping()
    })
  }

  #owesForLong(): boolean {
    const { heard, isOwed, backlogBytes } = this.#asking?.traffic ?? NOTHING_OWED
    const isStill = isOwed && heard === this.#owing.heard && backlogBytes >= this.#owing.backlogBytes
    const pings = isStill ? this.#owing.pings + 1 : 0
    this.#owing = { heard, isOwed, backlogBytes, pings }
    if (pings < OWING_PINGS_MAX) return false
    this.#options.onWarning(
      `the node at ${this.address} lives, and answers nothing over the connection for messages: it is called again`,
    )
    return true
  }

  #broken(connection: Connection, reason: ConnectionError): void {
    if (!this.#open.includes(connection)) return
    if (isBeyondBounds(reason) && !this.#isBoundWarned) {
      this.#isBoundWarned = true
      this.#options.onWarning(`the node at ${this.address} was cut off, and is called again: ${reason.message}`)
    }
    this.#hangUp()
    this.#redial()
  }

  #hangUp(): void {
    this.#control = undefined
    this.#tails.ended()
    this.#asking?.ended()
    this.#asking = undefined
    const open = this.#open
    // Those that close because of it are not broken, and a dial that is under way finds that it is not the newest.
    this.#open = []
    for (const connection of open) connection.close()
  }

  #redial(): void {
    this.#hangUp()
    if (this.#isClosed) return
    this.#stopTimer()
    this.#stopTimer = this.#options.clock.after(this.#redialMs, () => void this.#dial())
    this.#redialMs = Math.min(REDIAL_MS_MAX, this.#redialMs * 2)
  }

  /** Once an outage; that nobody is there, the members tell. */
  #warn(error: unknown): void {
    const isNews =
      !(error instanceof ConnectionError) || !['unreachable', 'timeout', 'closed', 'broken'].includes(error.kind)
    if (!isNews || this.#isWarned) return
    this.#isWarned = true
    const reason = error instanceof ConnectionError ? error.message : reasonOf(error)
    this.#options.onWarning(`the node at ${this.address} cannot be asked: ${reason}`)
  }
}
