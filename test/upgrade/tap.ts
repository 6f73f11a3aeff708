/**
 * A tap on the connections to a node: passes all bytes on, and notes which version each end named in the handshake, and
 * whether the messages that follow can be read in the lesser of the two.
 */
import { once } from 'node:events'
import net from 'node:net'
import { FrameSplitter } from '../../src/cluster/frame-splitter.ts'
import { HELLO_BYTES, PROOF_BYTES } from '../../src/cluster/handshake.ts'
import { PROTOCOL_VERSION, readMessages } from '../../src/cluster/wire.ts'

const CHANNEL_BYTES = 3
const VERSION_AT = 4
const ROLE_AT = 6
const PURPOSE_AT = 7

/** What was seen of a connection for messages. */
export interface Seen {
  readonly role: 'node' | 'client'
  /** The newest that each end speaks, in the order of calling. */
  readonly versions: readonly [number, number]
  /** All of the frames so far can be read. */
  readonly isUnderstood: boolean
}

export interface Tap {
  readonly address: string
  readonly seen: () => readonly Seen[]
  close(): void
}

export async function startTap(port: number): Promise<Tap> {
  const conversations: Conversation[] = []
  const sockets = new Set<net.Socket>()
  const server = net.createServer((caller) => {
    const called = net.connect(port, '127.0.0.1')
    const conversation = new Conversation()
    conversations.push(conversation)
    caller.on('data', (bytes: Buffer) => conversation.asked(bytes))
    called.on('data', (bytes: Buffer) => conversation.answered(bytes))
    for (const [from, to] of [
      [caller, called],
      [called, caller],
    ] as const) {
      sockets.add(from)
      from.setNoDelay(true)
      from.on('data', (bytes) => to.write(bytes))
      from.on('end', () => to.end())
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    seen: () => conversations.flatMap((conversation) => conversation.seen() ?? []),
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

class Conversation {
  readonly #splitter = new FrameSplitter()
  #asked: Buffer = Buffer.alloc(0)
  #answered: Buffer = Buffer.alloc(0)
  #isHandshakeOver = false
  #hasMessages = false
  #isUnderstood = true

  answered(bytes: Buffer): void {
    if (this.#answered.length < HELLO_BYTES) this.#answered = Buffer.concat([this.#answered, bytes])
  }

  asked(bytes: Buffer): void {
    if (this.#isHandshakeOver) return this.#read(bytes)
    this.#asked = Buffer.concat([this.#asked, bytes])
    const handshake = HELLO_BYTES + PROOF_BYTES
    if (this.#asked.length < handshake) return
    this.#isHandshakeOver = true
    this.#read(this.#asked.subarray(handshake))
  }

  seen(): Seen | undefined {
    if (!this.#hasMessages) return undefined
    const versions = [this.#asked.readUInt16LE(VERSION_AT), this.#answered.readUInt16LE(VERSION_AT)] as const
    return { role: this.#asked[ROLE_AT] === 1 ? 'node' : 'client', versions, isUnderstood: this.#isUnderstood }
  }

  #read(bytes: Uint8Array): void {
    if (this.#asked[PURPOSE_AT] !== 1 || bytes.length === 0) return
    this.#splitter.split(bytes, (frame) => {
      this.#hasMessages = true
      const protocol = Math.min(this.#asked.readUInt16LE(VERSION_AT), PROTOCOL_VERSION)
      this.#isUnderstood &&= isOf(protocol, frame.subarray(CHANNEL_BYTES))
      return true
    })
  }
}

function isOf(protocol: number, frame: Uint8Array): boolean {
  try {
    return readMessages(frame, { now: 0, protocol }).length > 0
  } catch {
    return false
  }
}
