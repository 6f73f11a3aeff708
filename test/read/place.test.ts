import fc from 'fast-check'
import { expect, test } from 'vitest'
import { POSITION_MAX } from '../../src/log/position.ts'
import { checkPlace, formatPlace, parseAwaited, parsePlace } from '../../src/read/place.ts'

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

test('a query waits for a position, or for a place in each of its forms, and for nothing else', () => {
  const place = { position: 2 ** 49, shard: 3 }
  expect(parseAwaited(place.position)).toBe(place.position)
  for (const given of [place, { ...place, type: 'Added' }, formatPlace(place)]) {
    expect(parseAwaited(given)).toEqual(place)
  }
  for (const given of ['here', -1, 1.5, Number.NaN, null, {}, { position: 1 }, { ...place, shard: '3' }]) {
    expect(() => parseAwaited(given), JSON.stringify(given)).toThrow(expect.objectContaining({ code: 'BadPlace' }))
  }
})

test('PlaceAhead says what to do at a node of one as at those of several', () => {
  const ahead = () => checkPlace(2, { head: 1, restorations: [] })
  expect(ahead).toThrow("with node.projection(P).rebuild() or 'penhold projection rebuild', or read on")
})
