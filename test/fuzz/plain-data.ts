/** Plain data to begin with, values that are none, and whether something is. */
import fc from 'fast-check'
import { hashPlain } from '../../src/aggregate/plain.ts'
import { edges } from './mutation.ts'

const texts = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.constantFrom('', '\ufeffmark', `\ufeff${'x'.repeat(70)}`, 'é'.repeat(40), 'x'.repeat(300)),
)
/** A key that some target puts `__proto__` in the place of. */
export const STAND_IN = '_proto___'
const names = fc.oneof(
  texts,
  fc.constantFrom('constructor', 'prototype', 'toString', 'toJSON', 'length', 'then', '0', STAND_IN),
)

export const plain: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(fc.constantFrom(null, true, false), fc.double(), fc.integer(), edges, texts),
    fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), fc.uint8Array({ maxLength: 40 })),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(names, tie('value'), { maxKeys: 20 }).filter((map) => !Object.hasOwn(map, '__proto__')),
  ),
})).value

/** In place of any part of what a parser expects. */
export const wrong: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    true,
    '',
    'x',
    -1,
    0.5,
    1e300,
    Number.NaN,
    2 ** 53,
    2 ** 32,
    -0,
    [],
    {},
    5n,
  ),
  edges,
  plain,
)

/** `value` with the part at one of its places replaced. The place counts through all parts. */
export function withWrong(value: unknown, place: number, part: unknown): unknown {
  const places = countParts(value)
  let left = place % places
  const replace = (at: unknown): unknown => {
    if (left === 0) {
      left -= 1
      return part
    }
    left -= 1
    if (Array.isArray(at)) return at.map(replace)
    if (typeof at !== 'object' || at === null || at instanceof Uint8Array) return at
    return Object.fromEntries(Object.entries(at).map(([key, item]) => [key, replace(item)]))
  }
  return replace(value)
}

function countParts(value: unknown): number {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return 1
  return Object.values(value).reduce<number>((sum, item) => sum + countParts(item), 1)
}

/** Plain data in the sense of plain.ts, and made of nothing but what `JSON.parse` and a byte array would give. */
export function expectPlain(value: unknown): void {
  hashPlain(value, 0)
  expectPlainParts(value)
}

function expectPlainParts(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  const prototype: unknown = Object.getPrototypeOf(value)
  const isPlain = prototype === Object.prototype || prototype === Array.prototype || prototype === Uint8Array.prototype
  if (!isPlain) throw new Error(`${String(prototype)} is no prototype of plain data`)
  if (prototype !== Uint8Array.prototype) for (const item of Object.values(value)) expectPlainParts(item)
}
