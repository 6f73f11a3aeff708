import { expect, test } from 'vitest'
import { Departures } from '../../src/cluster/departures.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

test('one shard at a time: the next may leave once somebody serves the one before', () => {
  const departures = new Departures(new SimulatedClock())
  expect(departures.hasRoom(0)).toBe(true)
  departures.begin(3, 0)
  expect([departures.hasRoom(0), departures.hasRoom(1)]).toEqual([false, false])
  expect(departures.leaving).toEqual([3])
  // What is served elsewhere before it has left here is an older story.
  expect(departures.arrived([3])).toBe(false)
  departures.left(3)
  expect(departures.leaving).toEqual([])
  expect(departures.arrived([4])).toBe(false)
  expect(departures.hasRoom(1)).toBe(false)
  expect(departures.arrived([4, 3])).toBe(true)
  expect(departures.hasRoom(1)).toBe(true)
})

test('a shard that nobody takes up keeps the others waiting for a second', () => {
  const clock = new SimulatedClock()
  const departures = new Departures(clock)
  departures.begin(1, 0)
  departures.left(1)
  clock.advance(999)
  expect(departures.hasRoom(0)).toBe(false)
  clock.advance(1)
  expect(departures.hasRoom(0)).toBe(true)
})

test('a worker that hangs gives up no other shard, and keeps other workers waiting for a second', () => {
  const clock = new SimulatedClock()
  const departures = new Departures(clock)
  departures.begin(1, 0)
  clock.advance(1_000)
  expect([departures.hasRoom(0), departures.hasRoom(1)]).toEqual([false, true])
  expect(departures.leaving).toEqual([1])
})
