import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatId } from '../../src/log/identity.ts'

test("an id's text has its bytes in hexadecimal, in groups of 8, 4, 4, 4 and 12 digits", () => {
  const bytes = fc.uint8Array({ minLength: 20, maxLength: 20 })
  fc.assert(
    fc.property(bytes, fc.nat({ max: 4 }), (given, start) => {
      const digits = Buffer.from(given).toString('hex', start, start + 16)
      const groups = [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20)]
      expect(formatId({ bytes: given, start })).toBe([...groups, digits.slice(20)].join('-'))
    }),
  )
})
