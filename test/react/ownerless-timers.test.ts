import { expect, test } from 'vitest'
import { TimerWorld } from './timer-world.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

test('a timer whose owner no config has waits in the log, is told once, and costs nothing while it waits', async () => {
  const world = new TimerWorld()
  world.knows = (type) => type !== '$other'
  world.set(1, 2 * SECOND)
  for (let timer = 2; timer < 10; timer += 1) world.set(timer, timer * SECOND, '$other')
  world.set(10, -HOUR, '$other')
  await world.wait(5 * MINUTE)
  expect(world.fired).toHaveLength(1)
  expect([...world.life.ownerless]).toEqual([['$other', 9]])
  const facts = world.lastPosition
  await world.wait(5 * HOUR)
  // Whoever takes over and does not have it either leaves them where they are.
  for (let life = 0; life < 3; life += 1) {
    world.handOver()
    await world.wait(5 * MINUTE)
    expect([...world.life.ownerless]).toEqual([['$other', 9]])
  }
  expect(world.lastPosition - facts).toBe(world.count('Began') - 1)
  expect(world.warnings).toEqual(Array.from({ length: 4 }, () => 'nobody has $other'))
  expect(world.fired).toHaveLength(1)

  world.knows = () => true
  world.handOver()
  await world.wait(5 * MINUTE)
  expect(world.fired).toHaveLength(10)
  expect([...world.pending]).toEqual([])
  expect([...world.life.ownerless]).toEqual([])
  expect(world.openBuckets()).toEqual({})
})

test('of several owners one comes back, and the timers of the others go on waiting', async () => {
  const world = new TimerWorld({ heldMax: 8 })
  world.knows = () => false
  for (let timer = 0; timer < 20; timer += 1) world.set(timer, timer * SECOND, timer % 2 === 0 ? '$other' : '$timer')
  await world.wait(3 * MINUTE)
  expect(new Map(world.life.ownerless)).toEqual(
    new Map([
      ['$other', 10],
      ['$timer', 10],
    ]),
  )
  world.knows = (type) => type === '$other'
  world.crash()
  await world.wait(3 * MINUTE)
  expect(world.fired).toHaveLength(10)
  expect([...world.life.ownerless]).toEqual([['$timer', 10]])
  world.crash()
  await world.wait(3 * MINUTE)
  expect(world.fired).toHaveLength(10)
  world.knows = () => true
  world.crash()
  await world.wait(3 * MINUTE)
  expect(new Set(world.fired).size).toBe(20)
  expect(world.fired).toHaveLength(20)
  expect(world.openBuckets()).toEqual({})
})

test('none is lost, whichever step the node that finds no owner dies in', async () => {
  for (const when of ['before', 'after'] as const) {
    for (let step = 1; step <= 40; step += 1) {
      const world = new TimerWorld()
      world.knows = (type) => type !== '$other'
      world.crashAt = { step, when }
      for (let timer = 0; timer < 4; timer += 1) world.set(timer, timer * SECOND, timer < 2 ? '$other' : '$timer')
      await world.wait(2 * MINUTE)
      expect(world.fired).toHaveLength(2)
      world.knows = () => true
      world.crashAt = { step: world.steps + step, when }
      world.handOver()
      await world.wait(2 * MINUTE)
      expect([...world.pending], `${when} step ${step}`).toEqual([])
      expect(world.fired).toHaveLength(4)
    }
  }
})
