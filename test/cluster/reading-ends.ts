/** Two ends of a connection for reading, within one thread: what one sends the other takes in the same turn. */
import { ConnectionError, type Connection, type Greeting } from '../../src/cluster/network.ts'
import { FAR, NEAR } from './network-ends.ts'

export class EndOfPair implements Connection {
  readonly peer: Greeting
  readonly protocol = 3
  /** What the system has not taken. */
  backlogBytes = 0
  /** All that was sent. */
  readonly sent: Uint8Array[] = []
  isClosed = false
  other: EndOfPair | undefined
  /** Called back by whoever lets the backlog go. */
  drained: () => void = () => undefined
  #receive: (frame: Uint8Array<ArrayBuffer>) => void = () => undefined
  #onClose: (reason: ConnectionError) => void = () => undefined

  constructor(peer: Greeting) {
    this.peer = { ...peer, purpose: 'reading' }
  }

  send(frame: Uint8Array): void {
    if (this.isClosed) return
    this.sent.push(frame)
    this.other?.take(frame)
  }

  take(frame: Uint8Array): void {
    if (!this.isClosed) this.#receive(Uint8Array.from(frame))
  }

  onDrain(callback: () => void): void {
    this.drained = callback
  }

  onFrame(receive: (frame: Uint8Array<ArrayBuffer>) => void): void {
    this.#receive = receive
  }

  onClose(callback: (reason: ConnectionError) => void): void {
    this.#onClose = callback
  }

  pause(): void {
    // Whoever reads never pauses: it asks.
  }

  resume(): void {
    // As above.
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#onClose(new ConnectionError('closed', 'it was closed'))
    this.other?.close()
  }
}

/** The first is the node's, whose peer is a client. */
export function readingPair(): readonly [EndOfPair, EndOfPair] {
  const [node, client] = [new EndOfPair(NEAR), new EndOfPair(FAR)]
  node.other = client
  client.other = node
  return [node, client]
}
