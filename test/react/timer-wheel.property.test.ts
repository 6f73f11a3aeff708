/**
 * No timer is lost and none fires twice in effect or before its time, whatever is done to those who run them: they crash
 * between any two steps, hand over, go on beside their successor, and lose what they send; and the clock is set.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TimerWorld, type Fault } from './timer-world.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

type Step =
  | { readonly do: 'set'; readonly timer: number; readonly inMs: number }
  | { readonly do: 'cancel'; readonly timer: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'faults'; readonly faults: readonly Fault[] }
  | { readonly do: 'jump'; readonly ms: number }
  | { readonly do: 'away'; readonly ms: number }
  | { readonly do: 'haunt'; readonly ms: number; readonly laneMs: number }
  | { readonly do: 'crash' | 'hand-over' }

const timer = fc.nat(11)
const inMs = fc.oneof(
  fc.integer({ min: -5_000, max: 90_000 }),
  fc.integer({ min: 0, max: 20 * MINUTE }),
  fc.integer({ min: 0, max: 30 * HOUR }),
)
const short = fc.oneof(fc.nat(30), fc.nat(500), fc.nat(30_000))

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant('set' as const), timer, inMs }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), timer }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: short }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(10 * MINUTE) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('faults' as const),
      faults: fc.array(fc.constantFrom<Fault>('fine', 'fine', 'slow', 'lost', 'unheard'), { maxLength: 8 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('jump' as const), ms: fc.integer({ min: -2 * HOUR, max: 5 * HOUR }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('away' as const), ms: fc.nat(2 * DAY) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('crash' as const, 'hand-over' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('haunt' as const), ms: fc.nat(2 * MINUTE), laneMs: fc.nat(400) }),
  },
)

async function take(world: TimerWorld, given: Step): Promise<void> {
  switch (given.do) {
    case 'set':
      return world.set(given.timer, given.inMs)
    case 'cancel':
      return world.cancel(given.timer)
    case 'wait':
      return await world.wait(given.ms)
    case 'faults':
      return void world.faults.push(...given.faults)
    case 'jump':
      world.skewMs += given.ms
      return
    case 'away':
      world.life.crash()
      world.skewMs += given.ms
      return world.crash()
    case 'crash':
      return world.crash()
    case 'hand-over':
      return world.handOver()
    case 'haunt':
      world.laneBeginsAfterMs = given.laneMs
      return world.haunt(given.ms)
  }
}

async function settle(world: TimerWorld, waitMs: number): Promise<void> {
  world.faults.length = 0
  // Those that went on beside their successors are still there.
  await world.wait(waitMs)
  expect([...world.pending]).toEqual([])
  expect(new Set(world.fired).size).toBe(world.fired.length)
  expect(world.early).toEqual([])
}

test('no timer is lost, and none fires twice in effect or before its time', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.constantFrom(4, 64), async (steps, heldMax) => {
      const world = new TimerWorld({ heldMax })
      for (const each of steps) await take(world, each)
      const last = Math.max(world.now, ...world.pending.values())
      await settle(world, last - world.now + 10 * MINUTE)
    }),
    { numRuns: 40 },
  )
})

/** What has every step in it: facts placed, coarse buckets split, read, fired and closed; timers cancelled, replaced and overdue. */
async function scenario(world: TimerWorld): Promise<void> {
  world.set(1, 1_000)
  world.set(2, 70_000)
  world.set(3, 8 * MINUTE)
  await world.wait(500)
  world.set(4, 8 * MINUTE + 1)
  world.set(5, 2 * MINUTE)
  world.cancel(2)
  await world.wait(90_000)
  world.set(5, 2 * MINUTE)
  await world.wait(9 * MINUTE)
  for (let i = 10; i < 20; i += 1) world.set(i, 2 * HOUR + i)
  await world.wait(200)
  world.life.crash()
  world.skewMs += DAY
  world.crash()
  await world.wait(MINUTE)
}

test('whoever runs timers crashes at each step, and no timer is lost or fires twice in effect', async () => {
  const whole = new TimerWorld()
  await scenario(whole)
  await settle(whole, 5 * MINUTE)
  expect(whole.steps).toBeGreaterThan(40)
  for (let at = 1; at <= whole.steps; at += 1) {
    for (const when of ['before', 'after'] as const) {
      const world = new TimerWorld()
      world.crashAt = { step: at, when }
      await scenario(world)
      await settle(world, 5 * MINUTE)
      expect([when, at, world.fired.length]).toEqual([when, at, 14])
    }
  }
})
