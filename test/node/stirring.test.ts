import { expect, test } from 'vitest'
import { Stirring } from '../../src/node/stirring.ts'
import { blocking } from '../../src/platform/file-calls.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

function open() {
  const clock = new SimulatedClock()
  const stirs = { count: 0, isOverdue: false }
  const stirring = new Stirring(clock, (isOverdue) => {
    stirs.count += 1
    stirs.isOverdue = isOverdue
  })
  const sync = Promise.withResolvers<void>()
  const calls = stirring.watch({ ...blocking, dataSync: () => sync.promise, size: async (file) => file })
  const stirsWithin = (ms: number): number => {
    const before = stirs.count
    clock.advance(ms)
    return stirs.count - before
  }
  return { clock, stirs, calls, sync, stirsWithin }
}

test('a thread that has nothing to do stirs', () => {
  expect(open().stirsWithin(1_000)).toBeGreaterThan(0)
})

test('each call that returns is a stir, and hands on what it was given', async () => {
  const { calls, stirs } = open()
  expect(await calls.size(7)).toBe(7)
  expect(stirs.count).toBe(1)
})

test('a call that does not return is overdue, whatever else returns, until it does', async () => {
  const { calls, sync, stirs, stirsWithin } = open()
  const syncing = calls.dataSync(1, 1)
  expect(stirsWithin(2_000)).toBeGreaterThan(0)
  expect(stirs.isOverdue, 'a disk may take its time').toBe(false)
  stirsWithin(1_000)
  expect(stirs.isOverdue).toBe(true)
  await calls.size(7)
  expect(stirs.isOverdue).toBe(true)
  sync.resolve()
  await syncing
  expect(stirs.isOverdue).toBe(false)
})

test('a call that fails is a stir too', async () => {
  const { calls, sync, stirs } = open()
  const syncing = calls.dataSync(1, 1)
  sync.reject(new Error('EIO'))
  await expect(syncing).rejects.toThrow('EIO')
  expect(stirs.count).toBe(1)
})
