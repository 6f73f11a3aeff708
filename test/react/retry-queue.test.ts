import { expect, test } from 'vitest'
import { RetryQueue } from '../../src/react/retry-queue.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

test('one that has to wait lets all others go before it, also where somebody has asked for it again meanwhile', () => {
  const clock = new SimulatedClock()
  const queue = new RetryQueue(clock)
  const [a, b, c] = ['a', 'b', 'c'].map((stream) => ({ stream, isAsked: false }))
  queue.add(a!)
  queue.add(b!)
  expect(queue.take(false)).toEqual(a)
  queue.add({ stream: 'a', isAsked: true })
  queue.add(c!)
  queue.again(a!, 0)
  expect(queue.take(false)).toEqual(b)
  queue.again(b!, 100)
  expect(queue.take(false)).toEqual(c)
  expect(queue.take(true)).toBeUndefined()
  expect(queue.take(false)).toEqual({ stream: 'a', isAsked: true })
  expect([queue.take(false), queue.msToNext(1_000), queue.msToNext(10)]).toEqual([undefined, 100, 10])
  clock.advance(100)
  expect(queue.take(true)).toEqual(b)
  expect(queue.isEmpty).toBe(true)
})
