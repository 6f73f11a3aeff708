import fc from 'fast-check'
import { expect, test } from 'vitest'
import { POSITION_MAX } from '../../src/log/position.ts'
import { formatPlace, parsePlace } from '../../src/read/place.ts'

test('a place that was kept as text is the same again', () => {
  const place = fc.record({ position: fc.nat({ max: POSITION_MAX }), shard: fc.nat({ max: 0xffff }) })
  fc.assert(
    fc.property(place, (given) => {
      expect(parsePlace(formatPlace(given))).toEqual(given)
    }),
  )
  expect(parsePlace(undefined)).toEqual({ position: 0, shard: 0 })
})

test('BadPlace: anything else', () => {
  const wrong = ['', '1', '1.', '.1', '-1.0', '1.0 ', ' 1.0', '1e3.0', `${2 ** 53}.0`, '1.65536', 1.5, null, {}]
  for (const given of wrong) {
    expect(() => parsePlace(given), JSON.stringify(given)).toThrow(expect.objectContaining({ code: 'BadPlace' }))
  }
})
