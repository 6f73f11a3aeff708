/** The lines of one process over which it reads: one to each node that it has read from, made when it is needed. */
import { reasonOf } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import { knowsNoReadings } from './error.ts'
import { ConnectionError, type Greeting, type Network } from './network.ts'
import { READINGS_SINCE } from './reading-frames.ts'
import { ReadingLine } from './reading-line.ts'

/** A node that answers on its connection for control. */
export interface ReachedNode {
  readonly id: string
  readonly address: string
  /** The version that both ends speak. */
  readonly protocol: number
}

export interface ReadingLinesOptions {
  readonly network: Network
  readonly clock: Clock
  readonly greeting: Greeting
  readonly nodes: () => readonly ReachedNode[]
  readonly onWarning: (message: string) => void
  /** Which of the nodes is the first; the next reading is another's. */
  readonly turn: number
}

const CONNECT_MS = 3_000

export class ReadingLines {
  readonly #options: ReadingLinesOptions
  readonly #lines = new Map<string, Promise<ReadingLine | undefined>>()
  #turn: number
  #isClosed = false

  constructor(options: ReadingLinesOptions) {
    this.#options = options
    this.#turn = options.turn
  }

  /**
   * To a node that is none of these; undefined where no other can be reached.
   * @throws PenholdError `NotSupported` where all nodes are of a version that nobody reads from
   */
  async line(tried: ReadonlySet<string>): Promise<ReadingLine | undefined> {
    const reached = this.#options.nodes()
    const nodes = reached.filter(({ protocol }) => protocol >= READINGS_SINCE)
    if (nodes.length === 0 && reached.length > 0) throw knowsNoReadings()
    this.#turn += 1
    for (let i = 0; i < nodes.length && !this.#isClosed; i += 1) {
      const node = nodes[(this.#turn + i) % nodes.length]!
      if (tried.has(node.id)) continue
      const line = await this.#lineTo(node)
      if (line !== undefined) return line
    }
    return undefined
  }

  /** Ends all that is read. */
  close(): void {
    this.#isClosed = true
    for (const line of this.#lines.values()) void line.then((made) => made?.close())
    this.#lines.clear()
  }

  #lineTo(node: ReachedNode): Promise<ReadingLine | undefined> {
    const known = this.#lines.get(node.id)
    if (known !== undefined) return known
    const dialing: Promise<ReadingLine | undefined> = this.#dial(node, () => {
      if (this.#lines.get(node.id) === dialing) this.#lines.delete(node.id)
    })
    this.#lines.set(node.id, dialing)
    return dialing
  }

  async #dial({ id, address }: ReachedNode, onEnd: () => void): Promise<ReadingLine | undefined> {
    const { network, greeting, clock, onWarning } = this.#options
    try {
      const connection = await network.connect(address, greeting, { timeoutMs: CONNECT_MS })
      const line = new ReadingLine(connection, { node: id, address, clock, onWarning, onEnd })
      if (connection.peer.member === id && !this.#isClosed) return line
      line.close()
    } catch (error) {
      onEnd()
      // That nobody is there, or that it refuses this process, the connection for control tells.
      if (!(error instanceof ConnectionError)) onWarning(`${address} cannot be read from: ${reasonOf(error)}`)
    }
    return undefined
  }
}
