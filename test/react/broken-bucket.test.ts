/** A bucket whose stream cannot be read or written, as it is damaged, keeps no other from being taken up, nor from being put into. */
import { expect, test } from 'vitest'
import { TimerWorld } from './timer-world.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

test('what is in another bucket fires when it is time, and that one when it is mended', async () => {
  const world = new TimerWorld()
  world.set(1, 3 * HOUR)
  await world.wait(1_000)
  const [broken] = Object.keys(world.openBuckets())
  world.isBroken = (stream) => stream.endsWith(`-${broken}`)
  world.crash()
  world.skewMs += 3 * HOUR
  await world.wait(10_000)
  expect(world.life.trouble).toContain('is broken')
  for (const [i, ms] of [-MINUTE, 10_000, 5 * MINUTE, 70 * MINUTE].entries()) world.set(10 + i, ms)
  await world.wait(75 * MINUTE)
  expect(world.fired).toHaveLength(4)
  expect(world.firedAt.filter(({ lateMs }) => lateMs > MINUTE + 2_000)).toEqual([])
  expect(world.life.trouble).toContain('is broken')
  world.isBroken = () => false
  await world.wait(MINUTE)
  expect(world.fired).toHaveLength(5)
  await world.wait(5 * MINUTE)
  expect(world.openBuckets()).toEqual({})
  expect(world.life.trouble).toBeUndefined()
})

test('what is set for a bucket that is broken goes into another, and nothing is said of it any more once it is mended', async () => {
  const world = new TimerWorld()
  world.set(1, 3 * MINUTE)
  world.set(2, 3 * MINUTE + 50_000)
  await world.wait(1_000)
  const [broken] = Object.keys(world.openBuckets())
  world.isBroken = (stream) => stream.endsWith(`-${broken}`)
  world.set(3, 3 * MINUTE + 1)
  await world.wait(3 * MINUTE + 20_000)
  expect(world.firedAt).toHaveLength(1)
  expect(world.firedAt[0]!.lateMs).toBeLessThan(2_000)
  expect(world.life.trouble).toContain('is broken')
  world.isBroken = () => false
  await world.wait(12_000)
  expect(world.fired).toHaveLength(2)
  expect(world.openBuckets()).toHaveProperty(broken!)
  expect(world.life.trouble).toBeUndefined()
  await world.wait(3 * MINUTE)
  expect(world.fired).toHaveLength(3)
  expect(world.openBuckets()).toEqual({})
})

test('where all buckets are broken no more of them are opened for that', async () => {
  const world = new TimerWorld()
  world.set(1, 3 * MINUTE)
  await world.wait(1_000)
  world.isBroken = (stream) => stream.startsWith('$due/')
  world.set(2, 3 * MINUTE + 1)
  await world.wait(2 * MINUTE)
  expect(Object.keys(world.openBuckets())).toHaveLength(2)
  world.isBroken = () => false
  await world.wait(6 * MINUTE)
  expect(world.fired).toHaveLength(2)
  expect(world.openBuckets()).toEqual({})
})
