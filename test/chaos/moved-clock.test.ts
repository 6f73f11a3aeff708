import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { moveClock } from './moved-clock.ts'

const HOUR_MS = 3_600_000
const MODULE = new URL('moved-clock.ts', import.meta.url).href
const TELL = `
const { parentPort } = require('node:worker_threads')
import('${MODULE}').then(() => parentPort.on('message', () => parentPort.postMessage([Date.now(), new Date().getTime()])))`

/** How far the wall clock is from where it was at first; by the clock that nobody moves. */
const origin = Date.now() - performance.now()
const movedBy = (now: number): number => Math.round((now - origin - performance.now()) / HOUR_MS) + 0

test('a clock that is moved is moved in all threads, those that are there and those to come, and back again', async () => {
  const seen = async (thread: Worker): Promise<readonly number[]> => {
    thread.postMessage('tell')
    const [times] = (await once(thread, 'message')) as [number[]]
    return times.map(movedBy)
  }
  const start = (): Worker => {
    const thread = new Worker(TELL, { eval: true })
    onTestFinished(async () => void (await thread.terminate()))
    return thread
  }
  const before = start()
  expect(await seen(before)).toEqual([0, 0])
  moveClock(2 * HOUR_MS)
  expect([Date.now(), new Date().getTime()].map(movedBy)).toEqual([2, 2])
  expect(await seen(before)).toEqual([2, 2])
  expect(await seen(start())).toEqual([2, 2])
  moveClock(-3 * HOUR_MS)
  expect(await seen(before)).toEqual([-3, -3])
  expect(new Date(0).getTime()).toBe(0)
  moveClock(0)
  expect(movedBy(Date.now())).toBe(0)
})
