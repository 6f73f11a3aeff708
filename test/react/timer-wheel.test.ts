import { expect, test } from 'vitest'
import { TimerWorld } from './timer-world.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** All that is set is fired, or none of what is fired was set once more. */
function isSettled(world: TimerWorld): void {
  expect([...world.pending]).toEqual([])
  expect(new Set(world.fired).size).toBe(world.fired.length)
  expect(world.early).toEqual([])
}

test('a timer fires once, when its time has come', async () => {
  const world = new TimerWorld()
  world.set(1, 2_000)
  await world.wait(1_900)
  expect(world.fired).toEqual([])
  await world.wait(300)
  expect(world.fired).toHaveLength(1)
  await world.wait(HOUR)
  expect(world.fired).toHaveLength(1)
  expect(world.warnings).toEqual([])
  isSettled(world)
})

test('one that is due already fires at once', async () => {
  const world = new TimerWorld()
  world.set(1, -DAY)
  await world.wait(SECOND)
  expect(world.fired).toHaveLength(1)
})

test('timers of hours and days fire when their time has come, and leave no bucket open', async () => {
  const world = new TimerWorld()
  for (const [i, ms] of [30 * SECOND, 5 * MINUTE, 61 * MINUTE, 5 * HOUR, 30 * HOUR].entries()) world.set(i, ms)
  await world.wait(5 * MINUTE - 1)
  expect(world.fired).toHaveLength(1)
  await world.wait(HOUR)
  expect(world.fired).toHaveLength(3)
  await world.wait(30 * HOUR)
  expect(world.fired).toHaveLength(5)
  expect(world.count('Opened')).toBeGreaterThan(4)
  expect(world.openBuckets()).toEqual({})
  isSettled(world)
})

test('a timer that was cancelled does nothing, and one that was replaced fires at its new time alone', async () => {
  const world = new TimerWorld()
  world.set(1, 10 * SECOND)
  world.set(2, 10 * SECOND)
  await world.wait(5 * SECOND)
  world.cancel(1)
  world.set(2, 10 * SECOND)
  await world.wait(9 * SECOND)
  expect(world.fired).toEqual([])
  await world.wait(2 * SECOND)
  expect(world.fired).toHaveLength(1)
  await world.wait(5 * MINUTE)
  expect(world.fired).toHaveLength(1)
  isSettled(world)
})

test('what came due while nobody ran fires late', async () => {
  const world = new TimerWorld()
  for (let i = 0; i < 40; i += 1) world.set(i, i * 5 * HOUR)
  await world.wait(SECOND)
  world.life.crash()
  world.skewMs += 7 * DAY
  world.crash()
  await world.wait(MINUTE)
  expect(world.fired).toHaveLength(34)
  await world.wait(3 * DAY)
  expect(world.fired).toHaveLength(40)
  isSettled(world)
})

test('more timers of one minute than may be held in memory wait in the log, and fire in the order of their times', async () => {
  const world = new TimerWorld({ heldMax: 16 })
  // Backwards, so that those due first are read last.
  for (let i = 0; i < 200; i += 1) world.set(i, 3 * MINUTE - i * 100)
  let most = 0
  for (let ms = 0; ms < 4 * MINUTE; ms += 50) {
    await world.wait(50)
    most = Math.max(most, world.life.held)
  }
  expect(most).toBeLessThanOrEqual(16)
  expect(world.firedAt.filter(({ lateMs }) => lateMs > 1_500)).toEqual([])
  isSettled(world)
})

test('many timers of one moment, of which few have room in memory, are read from their bucket twice, bit by bit', async () => {
  const world = new TimerWorld({ heldMax: 64 })
  world.commandBytesMax = 1_500
  for (let i = 0; i < 600; i += 1) world.set(i, 10 * MINUTE)
  await world.wait(9 * MINUTE - SECOND)
  const [pages, puts] = [world.pages, world.count('Put')]
  await world.wait(5 * MINUTE)
  expect(world.fired).toHaveLength(600)
  isSettled(world)
  // A page has three of them. Read wholly each time that would be some two thousand.
  expect(puts).toBeGreaterThan(200)
  expect(world.pages - pages).toBeLessThan(puts)
})

test('timers that are overdue and come faster than they fire are each fired once', async () => {
  const world = new TimerWorld({ heldMax: 64 })
  let fires = 0
  world.onFire = () => (fires += 1)
  for (let i = 0; i < 2_000; i += 1) world.set(i, -HOUR - ((i * 7_919) % 55_000))
  await world.wait(5 * MINUTE)
  expect(world.fired).toHaveLength(2_000)
  expect(fires).toBe(2_000)
  isSettled(world)
})

test('a clock that is set forward is noticed, and one that is set back keeps nothing from firing when it is time', async () => {
  const world = new TimerWorld()
  world.set(1, 30 * SECOND)
  world.set(2, 90 * MINUTE)
  await world.wait(SECOND)
  world.skewMs += 40 * SECOND
  await world.wait(1_100)
  expect(world.fired).toHaveLength(1)
  world.skewMs += 80 * MINUTE
  await world.wait(MINUTE)
  world.skewMs -= 3 * HOUR
  world.set(3, 5 * MINUTE)
  await world.wait(5 * MINUTE + SECOND)
  expect(world.fired).toHaveLength(2)
  await world.wait(4 * HOUR)
  expect(world.fired).toHaveLength(3)
  isSettled(world)
})

test('what is overdue fires at once, whatever the clock of whoever takes over', async () => {
  const world = new TimerWorld()
  world.set(1, -DAY)
  world.isBroken = (stream) => stream.endsWith(':1')
  await world.wait(200)
  expect(world.count('Put')).toBe(1)
  world.life.crash()
  world.skewMs -= 2 * HOUR
  world.isBroken = () => false
  world.crash()
  await world.wait(5 * SECOND)
  expect(world.fired).toHaveLength(1)
  isSettled(world)
})

test('a timer that could not be fired is tried again, though the clock was set back meanwhile', async () => {
  for (const afterMs of [SECOND, 30 * SECOND]) {
    const world = new TimerWorld()
    world.set(1, -DAY)
    world.isBroken = (stream) => stream.endsWith(':1')
    await world.wait(afterMs)
    world.skewMs -= 2 * HOUR
    world.isBroken = () => false
    await world.wait(MINUTE + 5 * SECOND)
    expect(world.fired).toHaveLength(1)
    isSettled(world)
  }
})

test('one that was put off is tried again at once by whoever takes over, by any clock', async () => {
  const world = new TimerWorld()
  world.set(1, -DAY)
  world.isBroken = (stream) => stream.endsWith(':1')
  await world.wait(30 * SECOND)
  expect(world.count('Put')).toBe(2)
  world.life.crash()
  world.skewMs -= 2 * HOUR
  world.isBroken = () => false
  world.crash()
  await world.wait(5 * SECOND)
  expect(world.fired).toHaveLength(1)
  isSettled(world)
})

test('one that is put off again goes into another bucket than the one that it was taken from', async () => {
  const world = new TimerWorld()
  world.set(1, -DAY)
  world.isBroken = (stream) => stream.endsWith(':1')
  for (let lives = 0; lives < 4; lives += 1) {
    await world.wait(30 * SECOND)
    world.crash()
  }
  await world.wait(3 * MINUTE)
  world.isBroken = () => false
  await world.wait(2 * MINUTE)
  expect(world.fired).toHaveLength(1)
  isSettled(world)
})

test('those that are overdue share their buckets, which are put into for a minute and then closed', async () => {
  const world = new TimerWorld()
  for (let i = 0; i < 60; i += 1) {
    world.set(i, -i * HOUR)
    await world.wait(5 * SECOND)
  }
  expect(world.fired).toHaveLength(60)
  expect(world.count('Opened')).toBeGreaterThan(3)
  expect(world.count('Opened')).toBeLessThan(8)
  await world.wait(2 * MINUTE)
  expect(world.openBuckets()).toEqual({})
})

test('a bucket of what is overdue is put into no more after a minute, though it never is empty', async () => {
  const world = new TimerWorld({ heldMax: 4_096 })
  for (let i = 0; i < 2_000; i += 1) {
    world.set(i, -DAY)
    await world.wait(100)
    if (i % 4 === 0) world.faults.push('slow')
  }
  expect(world.count('Opened')).toBeGreaterThan(2)
  await world.wait(3 * MINUTE)
  expect(world.openBuckets()).toEqual({})
  isSettled(world)
})

test('what is put into finer buckets while the clock is set back is not put where it came from, and closed with it', async () => {
  for (const ms of [50, 100, 150, 200, 250]) {
    const world = new TimerWorld({ heldMax: 4_096 })
    for (let i = 0; i < 1_100; i += 1) world.set(i, 30 * MINUTE)
    await world.wait(10 * SECOND)
    world.skewMs = Date.UTC(2026, 0, 1, 23, 58, 59)
    await world.wait(ms)
    world.skewMs -= 30 * MINUTE
    await world.wait(10 * SECOND)
    expect(world.openBuckets()).not.toEqual({})
    await world.wait(HOUR)
    expect(world.fired).toHaveLength(1_100)
    isSettled(world)
  }
})

test('whoever set a timer and cannot be told is told later, and holds others up for a bounded time', async () => {
  const world = new TimerWorld({ heldMax: 8 })
  for (let i = 0; i < 20; i += 1) world.set(i, SECOND)
  world.isBroken = (stream) => /:1?[0-8]$/.test(stream)
  await world.wait(MINUTE)
  expect(world.fired).toHaveLength(2)
  expect(world.warnings.length).toBeGreaterThan(0)
  const puts = world.count('Put')
  await world.wait(10 * MINUTE)
  // Each of the 18 is put off once in a minute or so.
  expect(world.count('Put') - puts).toBeLessThan(200)
  world.isBroken = () => false
  await world.wait(2 * MINUTE)
  expect(world.fired).toHaveLength(20)
  isSettled(world)
})

test('timers that were set at one place and taken over at another are known to both', async () => {
  const world = new TimerWorld()
  for (let i = 0; i < 10; i += 1) world.set(i, i * MINUTE)
  await world.wait(100)
  world.haunt(6 * MINUTE)
  for (let i = 10; i < 20; i += 1) world.set(i, (i - 10) * MINUTE)
  await world.wait(16 * MINUTE)
  expect(world.fired).toHaveLength(20)
  isSettled(world)
})

test('what a predecessor puts into a bucket that was read already is found before that is closed', async () => {
  const world = new TimerWorld()
  world.set(1, 5 * SECOND)
  await world.wait(100)
  world.laneBeginsAfterMs = 400
  world.haunt(300)
  await world.wait(100)
  world.set(2, 20 * SECOND)
  await world.wait(3 * MINUTE)
  expect(world.fired).toHaveLength(2)
  isSettled(world)
})

test('a predecessor opens no bucket that its successor would not know', async () => {
  for (let ms = 0; ms < 60; ms += 4) {
    const world = new TimerWorld()
    await world.wait(100)
    world.laneBeginsAfterMs = 400
    world.haunt(300)
    await world.wait(ms)
    world.set(1, 20 * SECOND)
    world.set(2, 20 * MINUTE)
    await world.wait(25 * MINUTE)
    expect(world.fired).toHaveLength(2)
    isSettled(world)
  }
})

test('a timer that comes to its bucket when that is closed fires', async () => {
  for (let steps = 0; steps < 8; steps += 1) {
    const world = new TimerWorld()
    world.set(1, SECOND)
    await world.wait(MINUTE - 100)
    world.set(2, 0)
    world.faults.push(...Array.from({ length: steps }, () => 'fine' as const), 'slow')
    await world.wait(2 * MINUTE)
    expect(world.fired).toHaveLength(2)
    isSettled(world)
  }
})

test('timers that are too much for one command are put into buckets by fewer at a time', async () => {
  const world = new TimerWorld()
  world.commandBytesMax = 1_500
  for (let i = 0; i < 40; i += 1) world.set(i, 20 * MINUTE + i)
  await world.wait(21 * MINUTE)
  expect(world.fired).toHaveLength(40)
  // All of one bucket, which is put into many.
  const start = Math.ceil(world.now / (64 * DAY)) * 64 * DAY
  for (let i = 0; i < 60; i += 1) world.set(i, start - world.now + i * DAY)
  await world.wait(SECOND)
  expect(Object.keys(world.openBuckets()).length).toBeLessThan(4)
  world.skewMs += start - world.now
  await world.wait(MINUTE)
  expect(Object.keys(world.openBuckets()).length).toBeGreaterThan(50)
  world.skewMs += 64 * DAY
  await world.wait(5 * MINUTE)
  expect(world.fired).toHaveLength(100)
  expect(world.warnings).toEqual([])
  isSettled(world)
})

test('who does not serve the shard any more fires nothing, and holds nothing in memory', async () => {
  const world = new TimerWorld()
  for (let i = 0; i < 20; i += 1) world.set(i, 20 * SECOND + i * SECOND)
  // One of them has failed, and waits to be tried again.
  world.set(20, 0)
  world.isBroken = (stream) => stream.endsWith(':20')
  await world.wait(SECOND)
  const former = world.life
  expect(former.held).toBe(21)
  world.handOver()
  world.isBroken = () => false
  await world.wait(100)
  expect(former.held).toBe(0)
  const { asked } = former
  await world.wait(MINUTE)
  expect(former.asked).toBe(asked)
  expect(world.fired).toHaveLength(21)
  isSettled(world)
})
