import { describe, expect, test } from 'vitest'
import { DEPTH_MAX, VALUES_MAX } from '../../src/aggregate/plain.ts'
import { BadEncoding, decode, encode } from '../../src/log/codec.ts'

function bytes(...parts: (number | string)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part]))))
}

function nested(depth: number): unknown {
  return Array.from({ length: depth - 1 }).reduce<unknown>((inner) => [inner], [])
}

describe('what is not plain data is refused', () => {
  test.each<[string, Buffer]>([
    ['nothing at all', bytes()],
    ['a second value behind the first', bytes(1, 2)],
    ['an array of four billion values in five bytes', bytes(0xdd, 0xff, 0xff, 0xff, 0xff)],
    ['a map of four billion entries', bytes(0xdf, 0xff, 0xff, 0xff, 0xff)],
    ['four gigabytes of binary', bytes(0xc6, 0xff, 0xff, 0xff, 0xff)],
    ['four gigabytes of text', bytes(0xdb, 0xff, 0xff, 0xff, 0xff)],
    ['binary that ends early', bytes(0xc4, 2, 1)],
    ['a number that ends early', bytes(0xcb, 0, 0, 0)],
    ['a map without its last value', bytes(0x81, 0xa1, 'a')],
    ['the tag that is never used', bytes(0xc1)],
    ['an extension that stands for undefined', bytes(0xd4, 0, 0)],
    ['a timestamp', bytes(0xd6, 0xff, 1, 2, 3, 4)],
    ['a Set', bytes(0xd4, 0x73, 0, 0x91, 1)],
    ['a RegExp', bytes(0xd4, 0x78, 0, 0x92, 0xa1, 'a', 0xa0)],
    ['an Error', bytes(0xd4, 0x65, 0, 0x93, 0xa5, 'Error', 0xa1, 'a', 0xc0)],
    ['a bigint of more than 64 bits', bytes(0xc7, 9, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9)],
    ['a typed array', bytes(0xc7, 5, 0x74, 6, 1, 0, 0, 0)],
    ['an object that contains itself', bytes(0xd6, 0x69, 0, 0, 0, 1, 0x91, 0xd6, 0x70, 0, 0, 0, 1)],
    ['a record definition', bytes(0x92, 0xd4, 0x72, 0x40, 0x91, 0xa1, 'a', 7, 0x40)],
    ['bundled strings', bytes(0xc7, 4, 0x62, 0, 0, 0, 6, 0xa0, 0xa0)],
    ['an extension of 32 bits of length', bytes(0xc9, 0xff, 0xff, 0xff, 0xff, 1)],
    ['the key __proto__', bytes(0x81, 0xa9, '__proto__', 0x81, 0xa1, 'a', 1)],
    ['the key __proto__ behind a longer tag', bytes(0x81, 0xd9, 9, '__proto__', 1)],
    ['a key that is a number', bytes(0x81, 5, 1)],
    ['a key that is null', bytes(0x81, 0xc0, 1)],
    ['a key that is no UTF-8', bytes(0x81, 0xa2, 0xff, 0xfe, 1)],
    ['a text that is no UTF-8', bytes(0xa2, 0xff, 0xfe)],
    ['a text that ends within a character', bytes(0xa1, 0xe2)],
    ['a lone surrogate', bytes(0xa3, 0xed, 0xa0, 0x80)],
    ['a long text that is no UTF-8', bytes(0xd9, 70, 'x'.repeat(69), 0xff)],
    ['an array within an array, too often', Buffer.alloc(100_000, 0x91)],
    ['a map within a map, too often', Buffer.concat(Array.from({ length: 70 }, () => bytes(0x81, 0xa0)))],
    ['too many values', Buffer.concat([bytes(0xdd, 0, 0x10, 0, 1), Buffer.alloc(VALUES_MAX + 1)])],
    ['too many values in many arrays', Buffer.concat(Array.from({ length: 70 }, () => bytes(0xdc, 0xff, 0xff)))],
  ])('%s', (_, hostile) => {
    expect(() => decode(hostile)).toThrow(BadEncoding)
    // Whatever stands behind it, and however often it was tried.
    expect(() => decode(Buffer.concat([hostile, Buffer.alloc(64, 0xc0)]), 0, hostile.length)).toThrow(BadEncoding)
    expect(decode(encode({ a: ['well'] }))).toEqual({ a: ['well'] })
  })
})

test('what is just within the bounds is read', () => {
  expect(decode(encode(nested(DEPTH_MAX)))).toEqual(nested(DEPTH_MAX))
  expect(() => decode(encode(nested(DEPTH_MAX + 1)))).toThrow(BadEncoding)
  const many = Array.from({ length: VALUES_MAX }, () => true)
  expect(decode(encode(many))).toEqual(many)
  expect(() => decode(encode([...many, true]))).toThrow(BadEncoding)
})

test('a text that begins with a byte order mark keeps it, however long it is', () => {
  for (const length of [0, 10, 70, 300]) {
    const text = `\ufeff${'x'.repeat(length)}`
    expect(decode(encode({ [text]: text }))).toEqual({ [text]: text })
  }
})

test('byte arrays are byte arrays again, in memory of their own', () => {
  const encoded = encode({ key: Uint8Array.of(1, 2, 3) })
  const { key } = decode(encoded) as { readonly key: Uint8Array }
  encoded.fill(0)
  expect(key).toEqual(Uint8Array.of(1, 2, 3))
  expect(Object.getPrototypeOf(key)).toBe(Uint8Array.prototype)
  expect(key.buffer.byteLength).toBe(3)
})

test('numbers of each width are read, also those that nobody here writes', () => {
  const values = [[0xca, 0x3f, 0xc0, 0, 0], [0xd0, 0x80], [0xd1, 0x80, 0], [0xd2, 0x80, 0, 0, 0], [0xcc, 255], [0xff]]
  expect(values.map((value) => decode(Buffer.from(value)))).toEqual([1.5, -128, -32_768, -(2 ** 31), 255, -1])
  for (const value of [2n ** 64n - 1n, -(2n ** 63n), 5n, 0.1, -0.1, 1e300, Number.NaN, Number.NEGATIVE_INFINITY]) {
    expect(decode(encode(value))).toBe(value)
  }
})
