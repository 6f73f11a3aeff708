/**
 * The network port over TCP: sockets, TLS and the handshake, up to where a connection stands (tcp-connection.ts).
 *
 * Who may come in is decided here, before anything is decoded. An address beyond this machine needs a shared secret or
 * mutual TLS. With TLS every certificate, on both sides, has to come from the operator's own authority and to carry the
 * one name that peers have. What strangers can take is bounded: so many connections that have not finished the handshake,
 * each for so long; when one more comes, the oldest goes, so that whoever only holds places keeps nobody out.
 */
import { randomBytes } from 'node:crypto'
import net, { type Server, type Socket } from 'node:net'
import tls, { type TLSSocket } from 'node:tls'
import { definitionError } from '../aggregate/error.ts'
import { Handshake, NONCE_BYTES, type Agreed } from '../cluster/handshake.ts'
import {
  ConnectionError,
  formatAddress,
  parseAddress,
  type Connection,
  type Greeting,
  type HostAndPort,
  type Listener,
  type Network,
} from '../cluster/network.ts'
import { checkSecrets } from '../cluster/secret.ts'
import { systemCryptography as cryptography } from './cryptography.ts'
import { TcpConnection } from './tcp-connection.ts'

export interface TcpNetworkOptions {
  /** Known to all nodes and to nobody else: the first is proven with, every one accepted. 32 bytes or more each. */
  readonly secrets?: readonly (string | Uint8Array)[]
  readonly tls?: TlsOptions
  /** Told of each connection that was not let in, for the operator. There may be many. */
  readonly onRefused?: (error: ConnectionError, from: string) => void
  /** For the whole handshake, TLS included. */
  readonly handshakeMs?: number
}

/** PEM each. Certificates are for both server and client use. */
export interface TlsOptions {
  /** The only authority whose certificates count. */
  readonly ca: string | Uint8Array
  readonly cert: string | Uint8Array
  readonly key: string | Uint8Array
  /** The DNS name that every peer's certificate carries, whichever side has called. */
  readonly peerName: string
}

const HANDSHAKE_MS = 5000
export const UNFINISHED_MAX = 64
const CONNECTIONS_MAX = 4096
/** A peer's machine that vanished is noticed after this and ten seconds more, on a connection that says nothing. */
const KEEP_ALIVE_MS = 10_000
const TCP_OPTIONS = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS } as const

export class TcpNetwork implements Network {
  readonly #secrets: readonly Uint8Array[]
  readonly #tls: TlsOptions | undefined
  readonly #handshakeMs: number
  readonly #onRefused: (error: ConnectionError, from: string) => void

  /** @throws BadDefinition where a secret is too short */
  constructor({ secrets = [], tls: tlsOptions, onRefused, handshakeMs = HANDSHAKE_MS }: TcpNetworkOptions = {}) {
    this.#secrets = checkSecrets(secrets, 'network.secrets')
    this.#tls = tlsOptions
    this.#handshakeMs = handshakeMs
    this.#onRefused = onRefused ?? (() => undefined)
  }

  async listen(
    address: string,
    greeting: () => Greeting,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    const { host, port } = this.#allowed(address)
    const guests = new Guests({
      handshakeMs: this.#handshakeMs,
      isSecure: this.#tls !== undefined,
      onRefused: this.#onRefused,
    })
    const server = this.#createServer(guests, (socket, guest) => {
      greet(socket, this.#handshake('acceptor', greeting()), (agreed, rest) => {
        if (agreed instanceof ConnectionError) guests.refuse(guest, agreed)
        else if (guests.letIn(guest)) onConnection(new TcpConnection(socket, agreed, rest))
      })
    })
    server.maxConnections = CONNECTIONS_MAX
    const chosen = await listening(server, { host, port })
    // The system had no socket left, or this listener no place: the next ones may fare better.
    const turnAway = (why: string): void => this.#onRefused(new ConnectionError('broken', why), address)
    server.on('error', (error) => turnAway(`a connection could not be taken: ${error.message}`))
    server.on('drop', () => turnAway(`${CONNECTIONS_MAX} connections stand, which is the limit of a listener`))
    return {
      address: formatAddress({ host, port: chosen }),
      close: async () => {
        server.close()
        guests.dismissAll()
      },
    }
  }

  async connect(
    address: string,
    greeting: Greeting,
    { timeoutMs }: { readonly timeoutMs: number },
  ): Promise<Connection> {
    const { host, port } = this.#allowed(address)
    return new Promise((resolve, reject) => {
      const socket = this.#createSocket({ host, port })
      const fail = (error: ConnectionError): void => {
        clearTimeout(timer)
        socket.destroy()
        reject(new ConnectionError(error.kind, `no connection to ${address}: ${error.message}`, error.cause))
      }
      const timer = setTimeout(() => fail(tooLate(timeoutMs)), timeoutMs)
      const onEarlyError = (error: Error): void => fail(failureOf(error, 'unreachable'))
      const onEarlyClose = (): void => fail(new ConnectionError('unreachable', 'it was closed before it stood'))
      socket.on('error', onEarlyError)
      socket.on('close', onEarlyClose)
      socket.once(this.#tls === undefined ? 'connect' : 'secureConnect', () => {
        socket.off('close', onEarlyClose)
        socket.off('error', onEarlyError)
        greet(socket, this.#handshake('initiator', greeting), (agreed, rest) => {
          if (agreed instanceof ConnectionError) return fail(agreed)
          clearTimeout(timer)
          resolve(new TcpConnection(socket, agreed, rest))
        })
      })
    })
  }

  #allowed(address: string): HostAndPort {
    const parsed = parseAddress(address)
    if (this.#tls !== undefined || this.#secrets.length > 0 || isLoopback(parsed.host)) return parsed
    throw definitionError(
      `${address} can be reached from other machines, or is on one, and nothing proves who is at the other end. Give it a shared secret (\`network.secrets\` or PENHOLD_SECRETS: 32 bytes or more, the same on all nodes) or mutual TLS (\`network.tls\`); or use 127.0.0.1.`,
    )
  }

  #handshake(side: 'initiator' | 'acceptor', greeting: Greeting): Handshake {
    const nonce = randomBytes(NONCE_BYTES)
    return new Handshake({ side, greeting, secrets: this.#secrets, nonce, cryptography })
  }

  /** Calls back with the sockets that are ready for the handshake. */
  #createServer(guests: Guests, onReady: (socket: Socket, guest: Guest) => void): Server {
    if (this.#tls === undefined) {
      const server = net.createServer(TCP_OPTIONS)
      return server.on('connection', (socket) => {
        const guest = guests.arrive(socket)
        if (guest !== undefined) onReady(socket, guest)
      })
    }
    const { ca, cert, key, peerName } = this.#tls
    const server = tls.createServer({
      ...TCP_OPTIONS,
      ...credentials({ ca, cert, key }),
      requestCert: true,
      rejectUnauthorized: true,
      // The guest's own time is up first.
      handshakeTimeout: 2 * this.#handshakeMs,
    })
    server.on('connection', (socket: Socket) => void guests.arrive(socket))
    server.on('tlsClientError', (error, socket) => guests.refuse(guests.of(socket), failureOf(error, 'stranger')))
    return server.on('secureConnection', (socket) => {
      const guest = guests.of(socket)
      const misnamed = tls.checkServerIdentity(peerName, socket.getPeerCertificate())
      if (guest === undefined) return void socket.destroy()
      guest.socket = socket
      if (!socket.authorized || misnamed !== undefined) return guests.refuse(guest, untrusted(misnamed))
      onReady(socket, guest)
    })
  }

  #createSocket(to: HostAndPort): Socket | TLSSocket {
    if (this.#tls === undefined) return net.connect({ ...to, ...TCP_OPTIONS })
    const { ca, cert, key, peerName } = this.#tls
    const socket = tls.connect({
      ...to,
      ...credentials({ ca, cert, key }),
      rejectUnauthorized: true,
      servername: peerName,
      checkServerIdentity: (_, certificate) => tls.checkServerIdentity(peerName, certificate),
    })
    return socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS)
  }
}

/** A connection that has not finished the handshake. */
interface Guest {
  readonly from: string
  /** The one that is spoken through: TLS puts another before it. */
  socket: Socket
  readonly timer: NodeJS.Timeout
}

interface GuestsOptions {
  readonly handshakeMs: number
  readonly isSecure: boolean
  readonly onRefused: (error: ConnectionError, from: string) => void
}

/** Those at a listener's door. */
class Guests {
  readonly #handshakeMs: number
  readonly #isSecure: boolean
  readonly #onRefused: (error: ConnectionError, from: string) => void
  /** By where they come from, which is one's own while the connection stands; the oldest first. */
  readonly #unfinished = new Map<string, Guest>()

  constructor({ handshakeMs, isSecure, onRefused }: GuestsOptions) {
    this.#handshakeMs = handshakeMs
    this.#isSecure = isSecure
    this.#onRefused = onRefused
  }

  arrive(socket: Socket): Guest | undefined {
    socket.on('error', () => undefined)
    const from = originOf(socket)
    if (from === undefined) return void socket.destroy()
    const [oldest] = this.#unfinished.values()
    if (this.#unfinished.size >= UNFINISHED_MAX) this.refuse(oldest, crowdedOut())
    const timer = setTimeout(() => this.refuse(guest, tooLate(this.#handshakeMs)), this.#handshakeMs)
    const guest: Guest = { from, socket, timer }
    this.#unfinished.set(from, guest)
    socket.on('close', () => {
      // TLS ends a connection whose certificate it does not accept without a word to us.
      const isInTls = this.#isSecure && guest.socket === socket && socket.bytesRead > 0
      this.refuse(guest, isInTls ? untrusted(undefined) : leftEarly())
    })
    return guest
  }

  of(socket: Socket): Guest | undefined {
    return this.#unfinished.get(originOf(socket) ?? '')
  }

  /** Returns whether the guest was still there. */
  letIn(guest: Guest): boolean {
    clearTimeout(guest.timer)
    return this.#unfinished.get(guest.from) === guest && this.#unfinished.delete(guest.from)
  }

  refuse(guest: Guest | undefined, error: ConnectionError): void {
    if (guest === undefined || !this.letIn(guest)) return
    // Sends what was written already, which may say why.
    guest.socket.destroySoon()
    this.#onRefused(error, guest.from)
  }

  dismissAll(): void {
    for (const guest of this.#unfinished.values()) {
      this.letIn(guest)
      guest.socket.destroy()
    }
  }
}

/** Goes through the handshake and calls back once. Afterwards the socket is paused, and its bytes are the next one's. */
function greet(
  socket: Socket,
  handshake: Handshake,
  finish: (agreed: Agreed | ConnectionError, rest: Uint8Array) => void,
): void {
  const onData = (bytes: Buffer): void => {
    const step = handshake.read(bytes)
    if (step.send !== undefined) socket.write(step.send)
    if (step.kind === 'done') end(step.agreed, step.rest)
    else if (step.kind === 'failed') end(step.error)
  }
  const onError = (error: Error): void => end(failureOf(error, 'broken'))
  const onEnd = (): void => end(leftEarly())
  const end = (agreed: Agreed | ConnectionError, rest: Uint8Array = new Uint8Array(0)): void => {
    socket.pause().off('data', onData).off('error', onError).off('end', onEnd).off('close', onEnd)
    // Until somebody else listens; a socket whose error nobody hears ends the process.
    socket.on('error', () => undefined)
    finish(agreed, rest)
  }
  socket.on('data', onData).on('error', onError).on('end', onEnd).on('close', onEnd)
  const hello = handshake.start()
  if (hello !== undefined) socket.write(hello)
}

function listening(server: Server, { host, port }: HostAndPort): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new ConnectionError(
          'unreachable',
          `cannot listen on ${formatAddress({ host, port })}: ${error.message}. Use another address, or end what has it.`,
          error,
        ),
      )
    })
    server.listen({ host, port }, () => resolve((server.address() as net.AddressInfo).port))
  })
}

function credentials({ ca, cert, key }: Omit<TlsOptions, 'peerName'>): tls.SecureContextOptions {
  const pem = (text: string | Uint8Array): Buffer => Buffer.from(text as Uint8Array)
  return { ca: pem(ca), cert: pem(cert), key: pem(key), minVersion: 'TLSv1.3' }
}

function originOf({ remoteAddress, remotePort }: Socket): string | undefined {
  if (remoteAddress === undefined || remotePort === undefined) return undefined
  return formatAddress({ host: remoteAddress, port: remotePort })
}

const loopback = new net.BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

function isLoopback(host: string): boolean {
  const family = net.isIP(host)
  return family === 0 ? host === 'localhost' : loopback.check(host, family === 4 ? 'ipv4' : 'ipv6')
}

/** TLS says in the code of its errors that it is one of its own. */
function failureOf(error: Error, otherwise: 'unreachable' | 'broken' | 'stranger'): ConnectionError {
  const { code = '' } = error as NodeJS.ErrnoException
  const isTrust = /CERT|ALTNAME|ISSUER|SIGNATURE|PURPOSE|UNKNOWN_CA/.test(code)
  if (isTrust) return untrusted(error)
  if (/^ERR_SSL|^ERR_TLS/.test(code))
    return new ConnectionError('stranger', `${error.message}. Either both ends use TLS or neither does.`, error)
  return new ConnectionError(otherwise, error.message, error)
}

function untrusted(cause: Error | undefined): ConnectionError {
  const what =
    cause === undefined
      ? 'no certificate that is accepted was shown'
      : `a certificate is not accepted (${cause.message})`
  return new ConnectionError(
    'untrusted',
    `${what}. Each has to come from the authority given as \`tls.ca\`, to be in date, and to name \`tls.peerName\`.`,
    cause,
  )
}

function tooLate(ms: number): ConnectionError {
  return new ConnectionError('timeout', `the handshake was not finished within ${ms} ms`)
}

function crowdedOut(): ConnectionError {
  return new ConnectionError(
    'broken',
    `more than ${UNFINISHED_MAX} connections were in the handshake; this one was the oldest`,
  )
}

function leftEarly(): ConnectionError {
  return new ConnectionError(
    'broken',
    'the other end left during the handshake. Look at what it told its operator, and that both ends use TLS or neither does.',
  )
}
