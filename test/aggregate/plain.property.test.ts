import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hashPlain, NotPlain, plainBytes } from '../../src/aggregate/plain.ts'
import { decode, encode } from '../../src/log/codec.ts'

const plain = fc.anything({
  maxDepth: 4,
  withBigInt: false,
  withDate: false,
  withMap: false,
  withSet: false,
  withNullPrototype: false,
  withUnicodeString: true,
})

function isPlain(value: unknown): boolean {
  try {
    hashPlain(value, 0)
    return true
  } catch (error) {
    expect(error).toBeInstanceOf(NotPlain)
    return false
  }
}

/** What plain data is once keys without a value, and the sign of zero, are gone. */
function normal(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normal)
  if (typeof value === 'number') return value + 0
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => (item === undefined ? [] : [[key, normal(item)]])),
  )
}

test('plain data reads back from its encoding as it was, and has the same hash', () => {
  fc.assert(
    fc.property(plain, (value) => {
      fc.pre(value !== undefined && isPlain(value))
      const back = decode(encode(value))
      expect(back).toEqual(normal(value))
      expect(hashPlain(back, 1)).toBe(hashPlain(normal(value), 1))
      expect(encode(value).length).toBeLessThanOrEqual(plainBytes(value) * 4 + 16)
    }),
    { numRuns: 500 },
  )
})

test('keys that mean something to JavaScript or to JSON are keys like any other', () => {
  for (const value of [
    { toJSON: 1, constructor: null },
    { toJSON: 'x', constructor: { name: 'Map' }, hasOwnProperty: 1 },
    Object.assign(Object.create(null) as object, { toJSON: 1 }),
  ]) {
    expect(decode(encode(value))).toEqual({ ...value })
  }
})

test('the hash does not depend on the order of keys, and tells values apart', () => {
  expect(hashPlain({ a: 1, b: [2, 'x'] }, 0)).toBe(hashPlain({ b: [2, 'x'], a: 1, c: undefined }, 0))
  const hashes = [{ a: 1 }, { a: 2 }, { b: 1 }, [1], '1', 1, true, null, undefined, 1n, { a: { a: 1 } }, [[1]]]
  expect(new Set(hashes.map((value) => hashPlain(value, 0))).size).toBe(hashes.length)
})

test('what would not read back is refused, with the way to it', () => {
  const deep = Array.from({ length: 70 }).reduce<unknown>((inner) => [inner], 1)
  const polluted: unknown = JSON.parse('{"__proto__": {"admin": true}}')
  for (const value of [new Date(), new Map(), () => 1, Symbol('s'), '\udfff', 2n ** 64n, deep, polluted, [undefined]]) {
    expect(() => hashPlain({ list: [0, value] }, 0)).toThrow(NotPlain)
  }
  expect(() => hashPlain({ list: [0, { when: new Date() }] }, 0)).toThrow(/^\.list\[1\]\.when: an instance of Date/)
})
