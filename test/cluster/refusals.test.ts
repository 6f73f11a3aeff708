import { expect, test } from 'vitest'
import { ConnectionError } from '../../src/cluster/network.ts'
import { Refusals } from '../../src/cluster/refusals.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

function listen() {
  const clock = new SimulatedClock()
  const told: string[] = []
  const refusals = new Refusals(clock, (message) => told.push(message))
  return { clock, told, refusals }
}

const WRONG = new ConnectionError('unproven', 'the other end has another shared secret')

test('a stranger who tries again and again is told of once a minute, with how often', () => {
  const { clock, told, refusals } = listen()
  for (let i = 0; i < 1_000; i += 1) refusals.add(WRONG, `10.0.0.7:${40_000 + i}`)
  expect(told).toEqual(['a connection from 10.0.0.7 was not let in: the other end has another shared secret'])
  clock.advance(60_000)
  refusals.add(WRONG, '10.0.0.7:1')
  expect(told[1]).toBe(`${told[0]} (and 999 times since that was last said)`)
})

test('each host and each reason is told of', () => {
  const { told, refusals } = listen()
  refusals.add(WRONG, '10.0.0.7:1')
  refusals.add(WRONG, '[::1]:1')
  refusals.add(new ConnectionError('stranger', 'the other end does not speak it'), '10.0.0.7:2')
  expect(told).toHaveLength(3)
})

test('whoever only looks whether somebody listens is not told of', () => {
  const { told, refusals } = listen()
  refusals.add(new ConnectionError('timeout', 'the handshake was not finished'), '10.0.0.7:1')
  expect(told).toEqual([])
})

test('ever new hosts take no memory without bound', () => {
  const { told, refusals } = listen()
  for (let i = 0; i < 10_000; i += 1) refusals.add(WRONG, `host-${i}:1`)
  refusals.add(WRONG, 'host-9999:1')
  expect(told).toHaveLength(10_000)
  refusals.add(WRONG, 'host-0:1')
  expect(told).toHaveLength(10_001)
})
