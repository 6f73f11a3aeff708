/** What tests of connections share: greetings, frames, and promises for what connections tell. */
import type { Connection, ConnectionError, Greeting } from '../../src/cluster/network.ts'
import { deriveId } from '../../src/log/identity.ts'

export const NEAR: Greeting = {
  cluster: new Uint8Array(16).fill(7),
  protocol: 2,
  role: 'client',
  purpose: 'control',
  member: deriveId('near'),
}
export const FAR: Greeting = { ...NEAR, role: 'node', purpose: 'messages', member: deriveId('far') }

/** A frame whose bytes tell where they stand. */
export function frameOf(length: number, seed = 0): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(length)
  for (let i = 0; i < length; i += 1) frame[i] = i * 31 + (i >>> 8) + seed
  return frame
}

/** Resolves to the first so many frames. Once a connection. */
export function frames(connection: Connection, count: number): Promise<Uint8Array<ArrayBuffer>[]> {
  return new Promise((resolve) => {
    const received: Uint8Array<ArrayBuffer>[] = []
    connection.onFrame((frame) => {
      received.push(frame)
      if (received.length === count) resolve(received)
    })
  })
}

export function closed(connection: Connection): Promise<ConnectionError> {
  return new Promise((resolve) => {
    connection.onClose(resolve)
  })
}

/** What was accepted, one after the other. */
export class Accepted {
  readonly #connections: Connection[] = []
  readonly #waiting: ((connection: Connection) => void)[] = []
  count = 0

  readonly take = (connection: Connection): void => {
    this.count += 1
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#connections.push(connection)
    else waiting(connection)
  }

  next(): Promise<Connection> {
    const connection = this.#connections.shift()
    if (connection !== undefined) return Promise.resolve(connection)
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
    })
  }
}
