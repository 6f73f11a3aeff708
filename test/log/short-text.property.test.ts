import fc from 'fast-check'
import { expect, test } from 'vitest'
import { shortText } from '../../src/log/short-text.ts'

const text = fc.string({ unit: 'binary', maxLength: 30 })

test('a short text is the text of its bytes, whatever stands around it, or left to others', () => {
  fc.assert(
    fc.property(text, text, fc.uint8Array({ maxLength: 40 }), (before, within, behind) => {
      const bytes = Buffer.concat([Buffer.from(before), Buffer.from(within), behind])
      const start = Buffer.byteLength(before)
      const end = start + Buffer.byteLength(within)
      const made = shortText(bytes, start, end)
      if (made !== undefined) expect(made).toBe(bytes.toString('utf8', start, end))
    }),
  )
})

test('it is made where the text is plain and so many bytes are at hand', () => {
  const bytes = Buffer.from('account/NL-0000017Deposited'.padEnd(60, '\u00ff'))
  expect(shortText(bytes, 0, 18)).toBe('account/NL-0000017')
  expect(shortText(bytes, 0, 0)).toBe('')
  expect(shortText(bytes, 3, 27)).toBe('ount/NL-0000017Deposited')
  expect(shortText(bytes, 2, 27)).toBeUndefined()
  expect(shortText(bytes, 20, 28)).toBeUndefined()
  expect(shortText(Buffer.from('account'), 0, 7)).toBeUndefined()
})
