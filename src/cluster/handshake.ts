/**
 * The handshake with which each connection between nodes begins: who the ends are, and that both know the shared secret.
 * Pure: bytes in, and out what to send and what came of it. Everything has a fixed size, so that nothing is decoded and
 * no memory taken by a stranger's word.
 *
 *     initiator → acceptor   hello
 *     initiator ← acceptor   hello
 *     initiator → acceptor   proof
 *     initiator ← acceptor   proof; from here on, frames
 *
 *     hello    0 magic `PNW1`, 4 protocol u16, 6 role u8, 7 purpose u8, 8 proof u8 (1: by shared secret, 0: none),
 *              9 zeros, 16 cluster 16 bytes, 32 member 16 bytes, 48 nonce 32 bytes; 80 bytes
 *     proof    0 verdict u8 (1: see the proof, 2: yours is wrong), 1 HMAC-SHA-256 32 bytes; 33 bytes
 *
 * 1. The hello never changes its layout: every version can tell every other why it refuses it.
 * 2. A proof is over its direction and both hellos as they travelled. So it fits no other connection, since the nonces
 *    differ, and not the other direction; and whatever an end says of itself is proven with it. Without a secret its key
 *    is empty, and it proves only that the bytes are what was sent.
 * 3. The acceptor proves nothing to an initiator that has not. It proves with the secret the initiator used, so that
 *    each end needs to have only one secret of the other's.
 * 4. An end that has a secret refuses one that has none.
 */
import { assert } from '../aggregate/assert.ts'
import { formatId, isIdAt, parseId } from '../log/identity.ts'
import { ConnectionError, type Greeting } from './network.ts'

export const HELLO_BYTES = 80
export const PROOF_BYTES = 33
export const NONCE_BYTES = 32
const MAC_BYTES = 32
const CLUSTER_BYTES = 16
const NONCE_AT = 48
const MAGIC: readonly number[] = [0x50, 0x4e, 0x57, 0x31]
const ROLES = [undefined, 'node', 'client'] as const
const PURPOSES = [undefined, 'messages', 'control', 'reading'] as const
const Verdict = { proof: 1, wrong: 2 } as const
type Side = 'initiator' | 'acceptor'
const DIRECTION: Readonly<Record<Side, number>> = { initiator: 1, acceptor: 2 }

/** What must not be written by hand; the platform has it. */
export interface Cryptography {
  /** HMAC-SHA-256, 32 bytes. */
  mac(secret: Uint8Array, message: Uint8Array): Uint8Array
  /** In a time that does not depend on what differs. */
  isEqual(a: Uint8Array, b: Uint8Array): boolean
}

export interface HandshakeOptions {
  readonly side: Side
  readonly greeting: Greeting
  /** The initiator proves with the first; every one of the other end's is accepted. None: nothing is asked for. */
  readonly secrets: readonly Uint8Array[]
  /** 32 bytes by chance, never used before. */
  readonly nonce: Uint8Array
  readonly cryptography: Cryptography
}

/** What is to be sent now, and what came of the bytes so far. */
export type Step =
  | { readonly kind: 'waiting'; readonly send: Uint8Array | undefined }
  /** `rest` is what came behind the handshake. */
  | { readonly kind: 'done'; readonly send: Uint8Array | undefined; readonly agreed: Agreed; readonly rest: Uint8Array }
  /** What is to be sent tells the other end why; then the connection is to be closed. */
  | { readonly kind: 'failed'; readonly send: Uint8Array | undefined; readonly error: ConnectionError }

export interface Agreed {
  readonly peer: Greeting
  readonly protocol: number
}

/** One end's handshake, from its first byte to its last. */
export class Handshake {
  readonly #side: Side
  readonly #greeting: Greeting
  readonly #secrets: readonly Uint8Array[]
  readonly #cryptography: Cryptography
  readonly #hello: Uint8Array
  /** The record that is being read, as far as it is there. */
  readonly #record = new Uint8Array(HELLO_BYTES)
  #filled = 0
  #awaited: 'hello' | 'proof' | 'nothing' = 'hello'
  #peerHello: Uint8Array = new Uint8Array(0)
  #agreed: Agreed | undefined

  constructor({ side, greeting, secrets, nonce, cryptography }: HandshakeOptions) {
    this.#side = side
    this.#greeting = greeting
    this.#secrets = secrets
    this.#cryptography = cryptography
    this.#hello = encodeHello(greeting, secrets.length > 0, nonce)
  }

  /** What the initiator sends first; the acceptor waits. */
  start(): Uint8Array | undefined {
    return this.#side === 'initiator' ? this.#hello : undefined
  }

  /** Takes the next bytes, cut anywhere. Not to be called again once it is done or has failed. */
  read(bytes: Uint8Array): Step {
    assert(this.#awaited !== 'nothing', 'a handshake that has ended reads no more')
    const wanted = this.#awaited === 'hello' ? HELLO_BYTES : PROOF_BYTES
    const taken = Math.min(wanted - this.#filled, bytes.length)
    this.#record.set(bytes.subarray(0, taken), this.#filled)
    this.#filled += taken
    if (this.#awaited === 'hello' && !this.#hasMagic()) return this.#fail(stranger())
    if (this.#filled < wanted) return { kind: 'waiting', send: undefined }
    const record = this.#record.slice(0, wanted)
    this.#filled = 0
    const step = this.#awaited === 'hello' ? this.#takeHello(record) : this.#takeProof(record, bytes.subarray(taken))
    // Whoever sends its proof behind its hello has not read ours, so that the proof is wrong; but it has to be read.
    return step.kind === 'waiting' && taken < bytes.length ? this.#readOn(step.send, bytes.subarray(taken)) : step
  }

  #readOn(sent: Uint8Array | undefined, bytes: Uint8Array): Step {
    const step = this.read(bytes)
    const send = sent === undefined ? step.send : step.send === undefined ? sent : join(sent, step.send)
    return { ...step, send }
  }

  #hasMagic(): boolean {
    return MAGIC.every((byte, at) => at >= this.#filled || this.#record[at] === byte)
  }

  #takeHello(hello: Uint8Array): Step {
    // Also an initiator that is refused gets the hello, so that it sees why.
    const answer = this.#side === 'acceptor' ? this.#hello : undefined
    const peer = decodeHello(hello)
    if (peer === undefined) return this.#fail(stranger())
    const agreed = agree(this.#greeting, peer)
    if (agreed instanceof ConnectionError) return this.#fail(agreed, answer)
    if ((hello[8] === 1) !== this.#secrets.length > 0) return this.#fail(oneSecret(hello[8] === 1), answer)
    this.#agreed = agreed
    this.#peerHello = hello
    this.#awaited = 'proof'
    return { kind: 'waiting', send: answer ?? this.#prove(this.#secrets[0] ?? NO_SECRET) }
  }

  #takeProof(proof: Uint8Array, rest: Uint8Array): Step {
    const [verdict] = proof
    if (this.#side === 'initiator' && verdict === Verdict.wrong) return this.#fail(unproven('it'))
    if (verdict !== Verdict.proof) return this.#fail(stranger())
    const theirs = this.#side === 'initiator' ? 'acceptor' : 'initiator'
    const secret = (this.#secrets.length === 0 ? [NO_SECRET] : this.#secrets).filter((each) =>
      this.#cryptography.isEqual(proof.subarray(1), this.#macOf(theirs, each)),
    )[0]
    const isAcceptor = this.#side === 'acceptor'
    if (secret === undefined) return this.#fail(unproven('this end'), isAcceptor ? REFUSAL : undefined)
    this.#awaited = 'nothing'
    return { kind: 'done', send: isAcceptor ? this.#prove(secret) : undefined, agreed: this.#agreed!, rest }
  }

  #fail(error: ConnectionError, send?: Uint8Array): Step {
    this.#awaited = 'nothing'
    return { kind: 'failed', send, error }
  }

  #prove(secret: Uint8Array): Uint8Array {
    return join(Uint8Array.of(Verdict.proof), this.#macOf(this.#side, secret))
  }

  #macOf(prover: Side, secret: Uint8Array): Uint8Array {
    const [initiator, acceptor] =
      this.#side === 'initiator' ? [this.#hello, this.#peerHello] : [this.#peerHello, this.#hello]
    return this.#cryptography.mac(secret, join(Uint8Array.of(DIRECTION[prover]), join(initiator, acceptor)))
  }
}

/** What two ends that greet each other can speak, or why they cannot: the same from either side. */
export function agree(own: Greeting, peer: Greeting): Agreed | ConnectionError {
  if (!own.cluster.every((byte, i) => byte === peer.cluster[i]))
    return new ConnectionError(
      'other-cluster',
      `the other end (member ${peer.member}) belongs to another cluster. Look at the addresses, and at the data directory of each.`,
    )
  if (Math.abs(own.protocol - peer.protocol) > 1)
    return new ConnectionError(
      'other-protocol',
      `the other end (member ${peer.member}) speaks protocol version ${peer.protocol}, this one ${own.protocol}: a version talks to the one before and the one after it. Upgrade the older one, a version at a time.`,
    )
  return { peer, protocol: Math.min(own.protocol, peer.protocol) }
}

export function encodeHello(greeting: Greeting, isProven: boolean, nonce: Uint8Array): Uint8Array {
  const { cluster, protocol, role, purpose, member } = greeting
  assert(cluster.length === CLUSTER_BYTES, "a hash of a cluster's id has 16 bytes")
  assert(nonce.length === NONCE_BYTES, 'a nonce has 32 bytes')
  assert(Number.isInteger(protocol) && protocol > 0 && protocol <= 0xffff, 'a protocol version is from 1 to 65,535')
  const hello = new Uint8Array(HELLO_BYTES)
  hello.set(MAGIC)
  hello[4] = protocol
  hello[5] = protocol >>> 8
  hello[6] = ROLES.indexOf(role)
  hello[7] = PURPOSES.indexOf(purpose)
  hello[8] = isProven ? 1 : 0
  hello.set(cluster, 16)
  hello.set(parseId(member).bytes, 32)
  hello.set(nonce, NONCE_AT)
  return hello
}

/** Undefined where it says something that no version says. The zeros may mean something to a later one, and are not read. */
function decodeHello(hello: Uint8Array): Greeting | undefined {
  const protocol = hello[4]! | (hello[5]! << 8)
  const role = ROLES[hello[6]!]
  const purpose = PURPOSES[hello[7]!]
  const isKnown = role !== undefined && purpose !== undefined && hello[8]! <= 1
  if (!isKnown || protocol === 0 || !isIdAt(hello, 32)) return undefined
  return { cluster: hello.slice(16, 32), protocol, role, purpose, member: formatId({ bytes: hello, start: 32 }) }
}

function stranger(): ConnectionError {
  return new ConnectionError(
    'stranger',
    "the other end does not speak Penhold's protocol. Look at the address and the port; and that either both ends use TLS or neither does.",
  )
}

function oneSecret(isTheirs: boolean): ConnectionError {
  const [has, lacks] = isTheirs ? ['the other end has', 'this one'] : ['this end has', 'the other one']
  return new ConnectionError('unproven', `${has} a shared secret, ${lacks} has none. Give all nodes the same.`)
}

function unproven(judge: string): ConnectionError {
  return new ConnectionError(
    'unproven',
    `the other end has another shared secret: ${judge} accepts none of the other's. Give all nodes the same; while it is changed, each has to accept both.`,
  )
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}

const NO_SECRET = new Uint8Array(0)
const REFUSAL = join(Uint8Array.of(Verdict.wrong), new Uint8Array(MAC_BYTES))
