import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Handshake, HELLO_BYTES, PROOF_BYTES, type Step } from '../../src/cluster/handshake.ts'
import type { Greeting } from '../../src/cluster/network.ts'
import { parseId } from '../../src/log/identity.ts'
import { systemCryptography } from '../../src/platform/cryptography.ts'
import { FAR, NEAR } from './network-ends.ts'

const SECRET = Buffer.alloc(32, 's')
const OLD = Buffer.alloc(32, 'o')

interface End {
  readonly greeting?: Greeting
  readonly secrets?: readonly Uint8Array[]
  readonly nonce?: Uint8Array
}

function initiator({ greeting = NEAR, secrets = [SECRET], nonce = Buffer.alloc(32, 1) }: End = {}): Handshake {
  return new Handshake({ side: 'initiator', greeting, secrets, nonce, cryptography: systemCryptography })
}

function acceptor({ greeting = FAR, secrets = [SECRET], nonce = Buffer.alloc(32, 2) }: End = {}): Handshake {
  return new Handshake({ side: 'acceptor', greeting, secrets, nonce, cryptography: systemCryptography })
}

/** All four records between two ends, and what each end made of them. */
function shakeHands(a: Handshake, b: Handshake): { readonly sent: Uint8Array[]; readonly steps: Step[] } {
  const sent: Uint8Array[] = []
  const steps: Step[] = []
  let bytes = a.start()
  for (let turn = 0; bytes !== undefined && steps.filter(({ kind }) => kind !== 'waiting').length < 2; turn += 1) {
    sent.push(bytes)
    steps.push((turn % 2 === 0 ? b : a).read(bytes))
    bytes = steps.at(-1)!.send
  }
  return { sent, steps }
}

const kinds = (steps: readonly Step[]): string[] =>
  steps.map((step) => (step.kind === 'failed' ? step.error.kind : step.kind))

test('the bytes are the ones that docs/wire.md says', () => {
  const { sent, steps } = shakeHands(initiator(), acceptor())
  expect(kinds(steps)).toEqual(['waiting', 'waiting', 'done', 'done'])
  const hello = (greeting: Greeting, numbers: number[], nonce: number): Buffer =>
    Buffer.concat([
      Buffer.from([0x50, 0x4e, 0x57, 0x31, ...numbers, 1, 0, 0, 0, 0, 0, 0, 0]),
      greeting.cluster,
      parseId(greeting.member).bytes,
      Buffer.alloc(32, nonce),
    ])
  const hellos = [hello(NEAR, [2, 0, 2, 2], 1), hello(FAR, [2, 0, 1, 1], 2)]
  const proof = (direction: number): Buffer =>
    Buffer.concat([
      Buffer.of(1),
      createHmac('sha256', SECRET)
        .update(Buffer.concat([Buffer.of(direction), ...hellos]))
        .digest(),
    ])
  expect(sent.map((bytes) => Buffer.from(bytes))).toEqual([...hellos, proof(1), proof(2)])
  expect(sent.map(({ length }) => length)).toEqual([HELLO_BYTES, HELLO_BYTES, PROOF_BYTES, PROOF_BYTES])
})

test('both ends learn of each other what each said', () => {
  const { steps } = shakeHands(initiator(), acceptor())
  const agreed = steps.flatMap((step) => (step.kind === 'done' ? [step.agreed] : []))
  expect(agreed).toEqual([
    { peer: NEAR, protocol: 2 },
    { peer: FAR, protocol: 2 },
  ])
})

test.each([
  [1, 2, 1],
  [3, 2, 2],
])('of versions %i and %i the lesser counts', (protocol, other, agreed) => {
  const near = initiator({ greeting: { ...NEAR, protocol } })
  const { steps } = shakeHands(near, acceptor({ greeting: { ...FAR, protocol: other } }))
  const versions = steps.flatMap((step) => (step.kind === 'done' ? [step.agreed.protocol] : []))
  expect(versions).toEqual([agreed, agreed])
})

test('it may come in pieces, with the first frames behind it', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40)), fc.uint8Array({ maxLength: 100 }), (cuts, behind) => {
      const { sent } = shakeHands(initiator(), acceptor())
      const a = initiator()
      const stream = Buffer.concat([sent[1]!, sent[3]!, behind])
      let at = 0
      for (let i = 0; ; i += 1) {
        const end = Math.min(stream.length, at + 1 + (cuts[i] ?? 1000))
        const step = a.read(stream.subarray(at, end))
        at = end
        if (step.kind === 'done') {
          expect([...step.rest, ...stream.subarray(at)]).toEqual([...behind])
          return
        }
        expect(step.kind).toBe('waiting')
      }
    }),
  )
})

describe('a proof fits', () => {
  test('no other connection: one that was heard is worth nothing', () => {
    const { sent } = shakeHands(initiator(), acceptor())
    const b = acceptor({ nonce: Buffer.alloc(32, 3) })
    expect(kinds([b.read(sent[0]!), b.read(sent[2]!)])).toEqual(['waiting', 'unproven'])
    const a = initiator({ nonce: Buffer.alloc(32, 3) })
    expect(kinds([a.read(sent[1]!), a.read(sent[3]!)])).toEqual(['waiting', 'unproven'])
  })

  test('no other direction: an end that gets back its own has been told nothing', () => {
    const a = initiator()
    const echo = a.read(a.start()!)
    expect(kinds([echo, a.read(echo.send!)])).toEqual(['waiting', 'unproven'])
  })

  test('nothing but what was said: any changed bit of any record fails one of the ends', () => {
    for (const secrets of [[SECRET], []]) {
      const honest = shakeHands(initiator({ secrets }), acceptor({ secrets })).sent
      for (const [record, { length }] of honest.entries()) {
        for (let bit = 0; bit < length * 8; bit += 1) {
          const ends = [initiator({ secrets }), acceptor({ secrets })] as const
          let isRefused = false
          let bytes: Uint8Array | undefined = ends[0].start()
          for (let turn = 0; turn < 4 && bytes !== undefined && !isRefused; turn += 1) {
            if (turn === record) bytes = bytes.with(bit >>> 3, bytes[bit >>> 3]! ^ (1 << (bit & 7)))
            const step: Step = ends[turn % 2 === 0 ? 1 : 0].read(bytes)
            isRefused = step.kind === 'failed'
            bytes = step.send
          }
          expect(isRefused, `record ${record}, bit ${bit}`).toBe(true)
        }
      }
    }
  })
})

describe('an end that is refused is told why, and so is its operator', () => {
  test.each<[string, End, End]>([
    ['other-cluster', {}, { greeting: { ...FAR, cluster: new Uint8Array(16) } }],
    ['other-protocol', {}, { greeting: { ...FAR, protocol: 4 } }],
    ['unproven', { secrets: [OLD] }, {}],
    ['unproven', { secrets: [] }, {}],
    ['unproven', {}, { secrets: [] }],
    ['unproven', { secrets: [OLD, SECRET] }, {}],
  ])('%s', (kind, near, far) => {
    const { steps } = shakeHands(initiator(near), acceptor(far))
    expect(kinds(steps).slice(-2)).toEqual([kind, kind])
    for (const step of steps) expect(step.kind === 'failed' ? step.error.message : 'Give').toMatch(/Give|Look|Upgrade/)
  })
})

test('an end that only says it has a secret, and proves with none, is refused by either side', () => {
  const nobody = { secrets: [new Uint8Array(0)] }
  const { sent } = shakeHands(initiator(nobody), acceptor(nobody))
  const [a, b] = [initiator(), acceptor()]
  expect(kinds([b.read(sent[0]!), b.read(sent[2]!)])).toEqual(['waiting', 'unproven'])
  expect(kinds([a.read(sent[1]!), a.read(sent[3]!)])).toEqual(['waiting', 'unproven'])
})

test('which end lacks a secret is said', () => {
  const { steps } = shakeHands(initiator({ secrets: [] }), acceptor())
  const messages = steps.map((step) => (step.kind === 'failed' ? step.error.message : ''))
  expect(messages[0]).toMatch('this end has a shared secret, the other one has none')
  expect(messages[1]).toMatch('the other end has a shared secret, this one has none')
})

test('a secret is changed without a pause: both accept both, then the new one is proven with, then the old one goes', () => {
  const phases = [[OLD], [OLD, SECRET], [SECRET, OLD], [SECRET]]
  for (const [i, phase] of phases.entries()) {
    for (const other of phases.slice(Math.max(0, i - 1), i + 2)) {
      const { steps } = shakeHands(initiator({ secrets: phase }), acceptor({ secrets: other }))
      expect(kinds(steps).slice(-2)).toEqual(['done', 'done'])
    }
  }
})
