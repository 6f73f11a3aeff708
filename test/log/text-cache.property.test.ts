import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { TextCache } from '../../src/log/text-cache.ts'

/** Names as they are, and what an object might take for something else. */
const name = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 80 }),
  fc.stringMatching(/^[ab]{0,9}$/),
  fc.constantFrom('__proto__', 'constructor', '0', '12', '4294967295', '-0', ''),
)

test('each text is the one that was asked for, also where many fall on the same place', () => {
  fc.assert(
    fc.property(fc.array(name, { maxLength: 50 }), fc.nat(7), (names, before) => {
      const texts = new TextCache(4)
      for (const text of [...names, ...names]) {
        const bytes = Buffer.concat([Buffer.alloc(before, 'a'), Buffer.from(text), Buffer.from('b')])
        expect(texts.text(bytes, before, bytes.length - 1)).toBe(text)
      }
    }),
  )
})

test('what is no UTF-8 is no text', () => {
  const texts = new TextCache(4)
  const bytes = Buffer.from([0x61, 0xff, 0x62])
  expect(texts.text(bytes, 0, 3)).toBeUndefined()
  expect(texts.text(bytes, 0, 1)).toBe('a')
})
