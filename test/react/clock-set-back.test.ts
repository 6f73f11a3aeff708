/** Timers that a clock which was ahead has brought into memory keep none from its room that is due before them. */
import { expect, test } from 'vitest'
import { TimerWorld } from './timer-world.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const HELD_MAX = 64
const SOON = 1_000

/** More than leave room for others. */
function setTomorrow(world: TimerWorld): void {
  for (let i = 0; i < HELD_MAX / 2; i += 1) world.set(i, DAY + i)
}

/** Timers of today, of which some are in memory as they are set, and some are read when it is time. */
async function expectToday(world: TimerWorld, others = 0): Promise<void> {
  const inMs = [10_000, 3 * MINUTE, 10 * MINUTE, 70 * MINUTE]
  for (const [i, ms] of inMs.entries()) world.set(SOON + i, ms)
  await world.wait(75 * MINUTE)
  expect(world.firedAt.filter(({ lateMs }) => lateMs > 2_000)).toEqual([])
  expect(world.firedAt).toHaveLength(inMs.length + others)
}

async function expectTomorrow(world: TimerWorld): Promise<void> {
  await world.wait(DAY)
  expect([...world.pending]).toEqual([])
  expect(world.early).toEqual([])
  expect(world.openBuckets()).toEqual({})
  expect(new Set(world.fired).size).toBe(HELD_MAX / 2 + 4)
  expect(world.fired).toHaveLength(HELD_MAX / 2 + 4)
}

test('the clock is set back after what is due tomorrow was read', async () => {
  const world = new TimerWorld({ heldMax: HELD_MAX })
  setTomorrow(world)
  await world.wait(MINUTE)
  world.skewMs += DAY - MINUTE - 4_000
  await world.wait(2_500)
  expect(world.life.held).toBe(HELD_MAX / 2)
  world.skewMs -= DAY
  const puts = world.count('Put')
  await world.wait(2_000)
  expect(world.life.held).toBe(0)
  expect(world.count('Put')).toBe(puts)
  await expectToday(world)
  await expectTomorrow(world)
})

test('the clock is set back, and more is set for a minute that was near', async () => {
  const world = new TimerWorld({ heldMax: HELD_MAX })
  world.set(0, 5_000)
  await world.wait(8_000)
  world.skewMs -= 20 * MINUTE
  await world.wait(2_000)
  for (let i = 1; i < HELD_MAX / 2; i += 1) world.set(i, 20 * MINUTE + 20_000 + i)
  await world.wait(2_000)
  expect(world.life.held).toBe(0)
  await expectToday(world, HELD_MAX / 2)
  await expectTomorrow(world)
})

test('what was overdue by the clock of who ran them before, and could not be fired, is put anew by who takes over', async () => {
  const world = new TimerWorld({ heldMax: HELD_MAX })
  setTomorrow(world)
  await world.wait(MINUTE)
  world.skewMs += DAY
  world.isBroken = (stream) => stream.startsWith('$timer/')
  // Tried in vain, and put off.
  await world.wait(20_000)
  world.skewMs -= DAY
  world.isBroken = () => false
  world.crash()
  await world.wait(2 * MINUTE)
  expect(world.life.held).toBe(0)
  await expectToday(world)
  await expectTomorrow(world)
})

/** The same, with few timers: a clock that is ahead, a take-over by one that is right, and a clock that is set back. */
async function setBack(world: TimerWorld): Promise<void> {
  const ahead = 2 * HOUR
  for (let i = 0; i < 3; i += 1) world.set(i, ahead + i)
  await world.wait(500)
  world.skewMs += ahead + 2 * MINUTE
  world.isBroken = (stream) => stream.startsWith('$timer/')
  await world.wait(1_500)
  world.skewMs -= ahead + 2 * MINUTE
  world.isBroken = () => false
  world.crash()
  await world.wait(MINUTE)
  world.skewMs += ahead - MINUTE - 6_000
  await world.wait(3_000)
  world.skewMs -= ahead
  await world.wait(MINUTE)
}

test('whoever does so crashes at each step, or loses what it sends, and no timer is lost', async () => {
  const whole = new TimerWorld({ heldMax: 4 })
  await setBack(whole)
  expect(whole.steps).toBeGreaterThan(25)
  for (let at = 1; at <= whole.steps; at += 1) {
    for (const harm of ['before', 'after', 'lost', 'unheard'] as const) {
      const world = new TimerWorld({ heldMax: 4 })
      if (harm === 'before' || harm === 'after') world.crashAt = { step: at, when: harm }
      else world.faults.push(...Array.from({ length: at - 1 }, () => 'fine' as const), harm)
      await setBack(world)
      await world.wait(3 * HOUR)
      expect([harm, at, ...world.pending]).toEqual([harm, at])
      expect([harm, at, world.early, world.fired.length, new Set(world.fired).size]).toEqual([harm, at, [], 3, 3])
    }
  }
})
