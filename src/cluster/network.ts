/**
 * The port between nodes: connections that carry frames both ways, in order, each whole or not at all. Over TCP it is
 * platform/tcp-network.ts; in the simulator, testing/simulated-network.ts. docs/wire.md has the bytes.
 *
 * It owns who the peer is (handshake.ts), where frames begin and end, and that memory stays bounded whatever either end
 * does. What the frames mean, and whether a peer that says nothing still lives, is its users' business: a host that is
 * gone without a word is noticed by nobody here until the system gives up, so they ask each other over the connection
 * for control, and close what does not answer.
 */
import { definitionError } from '../aggregate/error.ts'

/** A longer frame is refused before there is memory for it, and its connection closed. */
export const FRAME_BYTES_MAX: number = 16 * 1024 * 1024
/** Above the high mark a sender should wait until it is told that its backlog is below the low one. */
export const BACKLOG_HIGH_BYTES: number = 1024 * 1024
export const BACKLOG_LOW_BYTES: number = 256 * 1024
/** With more than this not taken by the system, a connection is closed: its peer is too slow to be worth the memory. */
export const BACKLOG_BYTES_MAX: number = 64 * 1024 * 1024

/** What a connection is for. */
export type Purpose = 'messages' | 'control' | 'reading'

/** What an end says of itself before anything else. */
export interface Greeting {
  /** 16 bytes: a hash of the cluster's id. */
  readonly cluster: Uint8Array
  /** The newest version of the protocol it speaks. It speaks the one before as well. */
  readonly protocol: number
  readonly role: 'node' | 'client'
  readonly purpose: Purpose
  /** A UUID: this life of the process. */
  readonly member: string
}

export interface Connection {
  readonly peer: Greeting
  /** The version both ends speak. */
  readonly protocol: number
  /**
   * Sends a frame of up to FRAME_BYTES_MAX, in order, and neither blocks nor throws: a longer one ends the connection.
   * What is sent in one turn of the event loop travels together. Its memory must not be changed afterwards, and may be
   * sent to others as well. Once the connection is closed it does nothing.
   */
  send(frame: Uint8Array): void
  /** Bytes that were sent and not yet taken by the system. More than BACKLOG_BYTES_MAX closes the connection. */
  readonly backlogBytes: number
  /** Calls back each time the backlog has fallen below BACKLOG_LOW_BYTES after it was above BACKLOG_HIGH_BYTES. Set once. */
  onDrain(callback: () => void): void
  /**
   * Takes every frame, each in memory of its own, which may be transferred. Set once, and reading begins then: before,
   * and while paused, nothing is noticed of the peer, not even that it has closed.
   */
  onFrame(receive: (frame: Uint8Array<ArrayBuffer>) => void): void
  /** Takes no more frames, from now on: the peer's backlog grows instead of memory here. */
  pause(): void
  resume(): void
  /** Tells once why the connection ended, whoever ended it, after the last frame; also where it has ended already. */
  onClose(callback: (reason: ConnectionError) => void): void
  /** What was sent still goes out, for a few seconds; nothing more is taken. */
  close(): void
}

export interface Listener {
  /** With the port that was chosen, where it was asked for port 0. */
  readonly address: string
  /** Takes no more connections. The ones that stand are their owners'. */
  close(): Promise<void>
}

export interface Network {
  /** Addresses are `host:port`. @throws ConnectionError, or BadDefinition where the address may not be used */
  listen(address: string, greeting: () => Greeting, onConnection: (connection: Connection) => void): Promise<Listener>
  /** @throws ConnectionError, or BadDefinition where the address may not be used */
  connect(address: string, greeting: Greeting, options: { readonly timeoutMs: number }): Promise<Connection>
}

/**
 * - `closed`: an end closed it in order. `broken`: the connection or its peer failed.
 * - `unreachable`: nobody answers at the address. `timeout`: not in time.
 * - `too-large`: a frame above its limit. `too-slow`: a backlog above its limit.
 * - `stranger`: the other end speaks something else, or breaks the handshake's rules.
 * - `other-cluster`, `other-protocol`, `unproven` (the secret), `untrusted` (the certificates): refused until an operator
 *   changes something.
 */
export type ConnectionErrorKind =
  | 'closed'
  | 'broken'
  | 'unreachable'
  | 'timeout'
  | 'too-large'
  | 'too-slow'
  | 'stranger'
  | 'other-cluster'
  | 'other-protocol'
  | 'unproven'
  | 'untrusted'

/** Why a connection ended, or was never made. Commands' callers never see it: whoever sent over it knows what it means. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
  readonly kind: ConnectionErrorKind

  constructor(kind: ConnectionErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.kind = kind
  }
}

export function frameTooLarge(bytes: number): ConnectionError {
  return new ConnectionError(
    'too-large',
    `a frame of ${bytes} bytes was to be sent, and ${FRAME_BYTES_MAX} is the limit. The connection was closed.`,
  )
}

/** The other end does not let this one in, until an operator changes something on one of both. */
export function isRefusal({ kind }: ConnectionError): boolean {
  return REFUSALS.has(kind)
}

const REFUSALS: ReadonlySet<ConnectionErrorKind> = new Set(['other-cluster', 'other-protocol', 'unproven', 'untrusted'])

/** The connection would have cost more memory than it may: somebody should know, as the same may come again. */
export function isBeyondBounds({ kind }: ConnectionError): boolean {
  return kind === 'too-large' || kind === 'too-slow'
}

export interface HostAndPort {
  readonly host: string
  readonly port: number
}

/** Reads `host:port`, or `[address]:port` for an IPv6 address. @throws BadDefinition */
export function parseAddress(address: string, setting?: string): HostAndPort {
  const [, inBrackets, plain, digits] =
    /^(?:\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(address) ?? []
  const host = inBrackets ?? plain
  const port = Number(digits)
  if (host !== undefined && port <= 0xffff) return { host, port }
  throw definitionError(
    `${setting === undefined ? '' : `${setting}: `}'${address}' is no address: write host:port, as in 127.0.0.1:7400, or [address]:port for IPv6, as in [::1]:7400.`,
  )
}

export function formatAddress({ host, port }: HostAndPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
