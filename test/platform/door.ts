/** A node that listens, and who may come to it: honest peers, broken ones and strangers. */
import net, { type Socket } from 'node:net'
import { expect } from 'vitest'
import { Handshake, HELLO_BYTES, PROOF_BYTES } from '../../src/cluster/handshake.ts'
import { parseAddress, type Connection, type ConnectionError, type Listener } from '../../src/cluster/network.ts'
import { systemCryptography } from '../../src/platform/cryptography.ts'
import { TcpNetwork, type TcpNetworkOptions } from '../../src/platform/tcp-network.ts'
import { Accepted, FAR, frameOf, NEAR } from '../cluster/network-ends.ts'

export const SECRET = 'a secret of thirty-two characters'
export const OTHER = 'another one of thirty-two characters'
export const TIMEOUT = { timeoutMs: 20_000 }
export const HANDSHAKE_BYTES = HELLO_BYTES + PROOF_BYTES

/** Closed after each test. */
export const open: { close(): unknown }[] = []
export function closeAll(): void {
  for (const each of open.splice(0)) void each.close()
}

/** A node that listens, with what it tells its operator of those it did not let in. */
export class Door {
  readonly accepted = new Accepted()
  readonly #refused: ConnectionError[] = []
  #wake: () => void = () => undefined
  readonly #options: TcpNetworkOptions
  listener!: Listener

  constructor(options: TcpNetworkOptions) {
    this.#options = options
  }

  async open(): Promise<this> {
    const onRefused = (error: ConnectionError): void => {
      this.#refused.push(error)
      this.#wake()
    }
    const network = new TcpNetwork({ ...this.#options, onRefused })
    this.listener = await network.listen('127.0.0.1:0', () => FAR, this.accepted.take)
    open.push(this.listener)
    return this
  }

  /** How often each kind was told, once so many were. */
  async refused(count: number): Promise<Readonly<Record<string, number>>> {
    while (this.#refused.length < count) await new Promise<void>((resolve) => (this.#wake = resolve))
    const kinds: Record<string, number> = {}
    for (const { kind } of this.#refused) kinds[kind] = (kinds[kind] ?? 0) + 1
    return kinds
  }

  async stranger(): Promise<Socket> {
    const socket = net.connect(parseAddress(this.listener.address))
    socket.on('error', () => undefined)
    open.push({ close: () => socket.destroy() })
    await new Promise((resolve) => socket.once('connect', resolve))
    return socket
  }

  /** A peer that shakes hands as it should, and whose socket then does what a test wants. */
  async peer(): Promise<Socket> {
    const socket = await this.stranger()
    const handshake = shake('initiator')
    socket.write(handshake.start()!)
    await new Promise<void>((resolve) => {
      const onData = (bytes: Buffer): void => {
        const step = handshake.read(bytes)
        if (step.send !== undefined) socket.write(step.send)
        if (step.kind === 'waiting') return
        expect(step.kind).toBe('done')
        socket.pause().off('data', onData)
        resolve()
      }
      socket.on('data', onData)
    })
    return socket
  }
}

export function shake(side: 'initiator' | 'acceptor', secret: string = SECRET): Handshake {
  const nonce = new Uint8Array(32).fill(side === 'initiator' ? 1 : 2)
  const secrets = [Buffer.from(secret)]
  return new Handshake({ side, greeting: NEAR, secrets, nonce, cryptography: systemCryptography })
}

export function ended(socket: Socket): Promise<void> {
  socket.resume()
  return new Promise((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())))
}

export async function connect(door: Door, options: TcpNetworkOptions): Promise<Connection> {
  const connection = await new TcpNetwork(options).connect(door.listener.address, NEAR, TIMEOUT)
  open.push(connection)
  return connection
}

/** Two honest ends, and the question whether a frame still goes from one to the other. */
export async function honest(door: Door, options: TcpNetworkOptions): Promise<() => Promise<void>> {
  const near = await connect(door, options)
  const far = await door.accepted.next()
  let arrive: (length: number) => void = () => undefined
  far.onFrame(({ length }) => arrive(length))
  let length = 0
  return async () => {
    const arrived = new Promise<number>((resolve) => (arrive = resolve))
    length += 1
    near.send(frameOf(length))
    expect(await arrived).toBe(length)
  }
}
