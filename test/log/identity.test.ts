import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { v5 } from 'uuid'
import { deriveId } from '../../src/log/identity.ts'

const NAME_SPACE = v5('penhold', '6ba7b810-9dad-11d1-80b4-00c04fd430c8')

test('a derived id is the UUIDv5 of its parts as JSON, however long they are and whatever stands in them', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('a', 'ü', '語', '🜁', '\ud800'), minLength: 300, maxLength: 400 }),
    fc.constant('x'.repeat(5_000)),
  )
  const parts = fc.array(fc.oneof(text, fc.integer()), { maxLength: 5 })
  fc.assert(
    fc.property(parts, parts, (first, second) => {
      // One behind the other: nothing of the one is left where the other is made.
      expect(deriveId(...first)).toBe(v5(JSON.stringify(first), NAME_SPACE))
      expect(deriveId(...second)).toBe(v5(JSON.stringify(second), NAME_SPACE))
    }),
  )
})

test('an id is derived from nothing that would be the same for all: what is missing, or no number', () => {
  for (const part of [undefined, null, Number.NaN, Number.POSITIVE_INFINITY, true, 1n, {}, ['a']]) {
    expect(() => deriveId('row', part as never)).toThrow('an id is derived from texts and numbers')
  }
  expect(deriveId()).not.toBe(deriveId(''))
})
