import { expect, test } from 'vitest'
import { Pace } from '../../src/read/pace.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

async function commitAll(pace: Pace, clock: SimulatedClock, msPerEvent: number): Promise<void> {
  const { count } = pace
  await pace.time(count, async () => clock.advance(count * msPerEvent))
}

test('a store that holds the thread for long gets fewer events at a time, and as many as may be once it is quick', async () => {
  const clock = new SimulatedClock()
  const pace = new Pace(clock, 1_000)
  expect(pace.count).toBe(1_000)
  for (let i = 0; i < 10; i += 1) await commitAll(pace, clock, 0.04)
  expect(pace.count * 0.04).toBeLessThanOrEqual(8)
  expect(pace.count).toBeGreaterThanOrEqual(100)
  for (let i = 0; i < 10; i += 1) await commitAll(pace, clock, 0)
  expect(pace.count).toBe(1_000)
})

test('there are never so few that commits cost more than what they change, nor more than may be', async () => {
  const clock = new SimulatedClock()
  const slow = new Pace(clock, 1_000)
  for (let i = 0; i < 10; i += 1) await commitAll(slow, clock, 10)
  expect(slow.count).toBe(100)
  const small = new Pace(clock, 3)
  for (let i = 0; i < 10; i += 1) await commitAll(small, clock, 10)
  expect(small.count).toBe(3)
})

test('a store that is waited for holds nobody', async () => {
  const clock = new SimulatedClock()
  const pace = new Pace(clock, 1_000)
  await pace.time(1_000, async () => {
    await Promise.resolve()
    clock.advance(500)
  })
  expect(pace.count).toBe(1_000)
})

test('what a commit throws is passed on', async () => {
  const pace = new Pace(new SimulatedClock(), 10)
  await expect(pace.time(1, async () => Promise.reject(new Error('no')))).rejects.toThrow('no')
})
