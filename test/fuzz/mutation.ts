/** Changes to bytes that a real writer made: values of their own, so that a finding shrinks to the few that matter. */
import fc from 'fast-check'

export type Mutation =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'byte'; readonly at: number; readonly value: number }
  | { readonly kind: 'word'; readonly at: number; readonly value: number }
  | { readonly kind: 'big-endian'; readonly at: number; readonly value: number }
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'remove'; readonly at: number; readonly length: number }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'copy'; readonly at: number; readonly from: number; readonly length: number }

/** Numbers at which lengths, counts and places tip over. */
export const edges: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(
    0,
    1,
    7,
    8,
    47,
    48,
    115,
    116,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x10000,
    0x1fffff,
    0x200000,
    2 ** 24 + 8,
    2 ** 26,
    2 ** 26 + 8,
    0x7fffffff,
    0x80000000,
    0xfffffff8,
    0xffffffff,
  ),
  fc.nat({ max: 512 }),
)

const at = fc.nat({ max: 1 << 20 })
/** Tags of MessagePack, and bytes that mean something elsewhere, more often than others. */
const byte = fc.oneof(
  fc.constantFrom(0, 0x81, 0x91, 0xc1, 0xc4, 0xc6, 0xc7, 0xcb, 0xcf, 0xd4, 0xd6, 0xdb, 0xdd, 0xdf),
  fc.nat({ max: 255 }),
)
const noise = fc.uint8Array({ maxLength: 24 })

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at, bit: fc.nat({ max: 7 }) }),
  fc.record({ kind: fc.constant('byte' as const), at, value: byte }),
  fc.record({ kind: fc.constant('word' as const), at, value: edges }),
  fc.record({ kind: fc.constant('big-endian' as const), at, value: edges }),
  fc.record({ kind: fc.constant('cut' as const), at }),
  fc.record({ kind: fc.constant('remove' as const), at, length: fc.nat({ max: 64 }) }),
  fc.record({ kind: fc.constant('insert' as const), at, bytes: noise }),
  fc.record({ kind: fc.constant('copy' as const), at, from: at, length: fc.nat({ max: 256 }) }),
)

export const mutations: fc.Arbitrary<Mutation[]> = fc.array(mutation, { maxLength: 6 })

export function mutate(bytes: Uint8Array, changes: readonly Mutation[]): Buffer {
  return changes.reduce<Buffer>(apply, Buffer.from(bytes))
}

/** Places count round the length, so that every change hits. Words stand where words of the log do. */
function apply(bytes: Buffer, change: Mutation): Buffer {
  const place = bytes.length === 0 ? 0 : change.at % bytes.length
  const word = place & ~3
  switch (change.kind) {
    case 'flip':
      if (bytes.length > 0) bytes[place]! ^= 1 << change.bit
      return bytes
    case 'byte':
      if (bytes.length > 0) bytes[place] = change.value
      return bytes
    case 'word':
      if (word + 4 <= bytes.length) bytes.writeUInt32LE(change.value, word)
      return bytes
    case 'big-endian':
      if (place + 4 <= bytes.length) bytes.writeUInt32BE(change.value, place)
      return bytes
    case 'cut':
      return bytes.subarray(0, place)
    case 'remove':
      return Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + change.length)])
    case 'insert':
      return Buffer.concat([bytes.subarray(0, place), change.bytes, bytes.subarray(place)])
    case 'copy': {
      const from = bytes.length === 0 ? 0 : change.from % bytes.length
      Buffer.from(bytes.subarray(from, from + change.length)).copy(bytes, place)
      return bytes
    }
  }
}
