import { expect, test } from 'vitest'
import { Presence } from '../../src/cluster/presence.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

const GRACE = 3_000

function create() {
  const clock = new SimulatedClock()
  const presence = new Presence(clock, { workers: 2, graceMs: GRACE })
  presence.came(0)
  presence.came(1)
  clock.advance(10 * GRACE)
  return { clock, presence, away: () => presence.away({ isAlone: false }) }
}

test('a worker is counted on while it is replaced, and not any more when that takes too long', () => {
  const { clock, presence, away } = create()
  presence.went(1)
  clock.advance(GRACE)
  expect(away()).toEqual([])
  clock.advance(1)
  expect(away()).toEqual([1])
})

test('a worker that ends again and again is not counted on, until it has served for a while', () => {
  const { clock, presence, away } = create()
  for (let ends = 0; ends < 5; ends += 1) {
    presence.went(1)
    clock.advance(GRACE / 2)
    presence.came(1)
    clock.advance(GRACE / 2)
  }
  expect(away()).toEqual([1])
  clock.advance(GRACE / 2)
  expect(away()).toEqual([])
})

test('a node alone counts on every worker that is there', () => {
  const { clock, presence } = create()
  presence.went(0)
  presence.went(1)
  clock.advance(2 * GRACE)
  expect(presence.away({ isAlone: true })).toEqual([0, 1])
  presence.came(1)
  expect(presence.away({ isAlone: true })).toEqual([0])
  expect(presence.away({ isAlone: false })).toEqual([0, 1])
})
