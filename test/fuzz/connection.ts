/** The bytes of a connection: its handshake, by whoever is at the other end, and its frames, cut anywhere. */
import fc from 'fast-check'
import { expect } from 'vitest'
import { BadFrame } from '../../src/cluster/frame.ts'
import { FrameQueue } from '../../src/cluster/frame-queue.ts'
import { FrameSplitter } from '../../src/cluster/frame-splitter.ts'
import { Handshake, HELLO_BYTES, PROOF_BYTES, type Step } from '../../src/cluster/handshake.ts'
import { FRAME_BYTES_MAX, type Greeting } from '../../src/cluster/network.ts'
import { deriveId } from '../../src/log/identity.ts'
import { systemCryptography } from '../../src/platform/cryptography.ts'
import { edges, mutate, mutations } from './mutation.ts'
import { orDocumented, target, type Target } from './target.ts'

const SECRETS: readonly Uint8Array[] = ['a', 'b'].map((letter) => Buffer.alloc(32, letter))

interface End {
  readonly greeting: Greeting
  readonly secrets: readonly Uint8Array[]
  readonly nonce: number
}

const greeting: fc.Arbitrary<Greeting> = fc.record({
  cluster: fc.constantFrom(1, 2).map((byte) => new Uint8Array(16).fill(byte)),
  protocol: fc.constantFrom(1, 2, 3, 0xffff),
  role: fc.constantFrom('node', 'client'),
  purpose: fc.constantFrom('messages', 'control', 'reading'),
  member: fc.constantFrom(deriveId(1), deriveId(2)),
})
const end: fc.Arbitrary<End> = fc.record({ greeting, secrets: fc.subarray([...SECRETS]), nonce: fc.nat(255) })
/** Where what is sent is cut, over and over. */
const cuts = fc.array(fc.integer({ min: 1, max: 100 }), { maxLength: 5 })

/** Whoever has come to the end of the handshake heard what the other end said, and heard it from one that has its secret. */
export const handshake: Target = target(
  'handshake',
  fc.record({
    ends: fc.tuple(end, end),
    cuts,
    changed: fc.option(fc.record({ turn: fc.nat(3), changes: mutations }), { nil: undefined }),
  }),
  ({ ends: [near, far], cuts: sizes, changed }) => {
    const initiator = open('initiator', near)
    const acceptor = open('acceptor', far)
    let bytes = initiator.start()
    for (let turn = 0; bytes !== undefined; turn += 1) {
      const sent: Uint8Array = bytes
      const isChanged = turn === changed?.turn && changed.changes.length > 0
      const received = isChanged ? mutate(Buffer.from(sent), changed.changes) : sent
      const [reader, peer] = turn % 2 === 0 ? [acceptor, near] : [initiator, far]
      const step = readCut(reader, received, sizes)
      bytes = step?.send
      if (step?.kind === 'done') {
        expect(step.agreed.peer).toEqual(peer.greeting)
        expect(near.greeting.cluster).toEqual(far.greeting.cluster)
        expect(Math.abs(near.greeting.protocol - far.greeting.protocol)).toBeLessThanOrEqual(1)
        expect(near.secrets.length === 0).toBe(far.secrets.length === 0)
        expect(received.subarray(0, sent.length - step.rest.length)).toEqual(
          Buffer.from(sent.subarray(0, sent.length - step.rest.length)),
        )
      }
      if (step?.kind === 'failed') expect(step.error.message).toMatch(/Look|Give|Upgrade/)
      if (step?.kind !== 'waiting') bytes = undefined
    }
  },
)

function open(
  side: 'initiator' | 'acceptor',
  { greeting: own, secrets, nonce }: typeof end extends fc.Arbitrary<infer T> ? T : never,
): Handshake {
  const bytes = new Uint8Array(32).fill(nonce)
  return new Handshake({ side, greeting: own, secrets, nonce: bytes, cryptography: systemCryptography })
}

/** What came of the bytes, with all that was sent meanwhile. It never keeps more than a record. */
function readCut(reader: Handshake, bytes: Uint8Array, sizes: readonly number[]): Step | undefined {
  let at = 0
  let last: Step | undefined
  const sent: Uint8Array[] = []
  for (let i = 0; at < bytes.length; i += 1) {
    const next = Math.min(bytes.length, at + (sizes[i % Math.max(1, sizes.length)] ?? bytes.length))
    last = reader.read(bytes.subarray(at, next))
    at = next
    if (last.send !== undefined) sent.push(last.send)
    if (last.kind !== 'waiting') break
  }
  if (last === undefined) return undefined
  const send = sent.length === 0 ? undefined : Buffer.concat(sent)
  expect(send?.length ?? 0).toBeLessThanOrEqual(HELLO_BYTES + PROOF_BYTES)
  return { ...last, send }
}

const sizes = fc.oneof(
  { weight: 5, arbitrary: fc.nat(300) },
  { weight: 1, arbitrary: fc.integer({ min: 8000, max: 10_000 }) },
)

/** Frames come out as they went in, wherever they are cut and whenever the reader stops; other bytes cost an error. */
export const connection: Target = target(
  'connection',
  fc.record({
    frames: fc.array(sizes, { maxLength: 12 }),
    takes: fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 4 }),
    cuts: fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 5 }),
    pauseEvery: fc.integer({ min: 1, max: 5 }),
    end: fc.oneof(fc.constant(undefined), edges, fc.uint8Array({ maxLength: 20 })),
    changes: mutations,
  }),
  async ({ frames, takes, cuts: cutSizes, pauseEvery, end: ending, changes }) => {
    const sent = frames.map((size, i) => new Uint8Array(size).fill(i + 1))
    const stream = queued(sent, takes)
    const written = Buffer.concat(sent.flatMap((frame) => [u32(frame.length), frame]))
    expect(stream.equals(written)).toBe(true)
    const read = split(stream, cutSizes, pauseEvery)
    expect(read.map(({ length }) => length)).toEqual(frames)
    expect(read.every((frame, i) => Buffer.compare(frame, sent[i]!) === 0)).toBe(true)

    const tail = ending === undefined ? [] : typeof ending === 'number' ? [u32(ending)] : [ending]
    const hostile = Buffer.concat([mutate(stream, changes), ...tail])
    const received = await orDocumented(
      () => split(hostile, cutSizes, pauseEvery),
      (error) => error instanceof BadFrame,
    )
    for (const frame of received ?? []) {
      expect(frame.length).toBeLessThanOrEqual(FRAME_BYTES_MAX)
      expect(frame.buffer.byteLength).toBe(frame.length)
    }
    const bytes = (received ?? []).reduce((sum, { length }) => sum + 4 + length, 0)
    expect(bytes).toBeLessThanOrEqual(hostile.length)
  },
)

function queued(frames: readonly Uint8Array[], takes: readonly number[]): Buffer {
  const queue = new FrameQueue()
  const pieces: Uint8Array[] = []
  for (const [i, frame] of frames.entries()) {
    queue.add(frame)
    if (i % 3 === 2) pieces.push(...queue.take(takes[i % takes.length]!))
  }
  while (queue.bytes > 0) pieces.push(...queue.take(takes[0]!))
  expect(queue.take(1)).toEqual([])
  return Buffer.concat(pieces)
}

/** Pauses after every so many frames, and gives again what was not taken. */
function split(stream: Uint8Array, cutSizes: readonly number[], pauseEvery: number): Uint8Array[] {
  const splitter = new FrameSplitter()
  const frames: Uint8Array[] = []
  const receive = (frame: Uint8Array): boolean => frames.push(frame) % pauseEvery !== 0
  let at = 0
  for (let i = 0; at < stream.length; i += 1)
    at += splitter.split(stream.subarray(at, at + cutSizes[i % cutSizes.length]!), receive)
  return frames
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
