import fs from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { lockDirectory } from '../../src/node/directory-lock.ts'
import type { Cancel } from '../../src/log/clock.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { turn } from '../actor/simulated-bank.ts'
import { temporaryFolder } from '../temporary.ts'

const ELSEWHERE = { pid: 7, host: 'elsewhere', startedAt: '1' }
/** In two containers of one image, say, whose processes are all number 1. */
const NAMESAKE = { pid: process.pid, host: hostname(), startedAt: '1', place: 'another container' }

/** Knows how many wait; how much time passes while none does depends on the disk. */
class CountingClock extends SimulatedClock {
  waiting = 0

  override afterAlive(ms: number, callback: () => void): Cancel {
    this.waiting += 1
    return super.afterAlive(ms, () => {
      this.waiting -= 1
      callback()
    })
  }
}

/** A directory with these locks of others, and this process's try to take it while time passes, from when all are watched. */
async function tryToLock(
  beat: (lock: string, seconds: number) => void,
  holders: Readonly<Record<string, object>> = { lock: ELSEWHERE },
) {
  const dataDir = temporaryFolder()
  const lock = join(dataDir, 'lock')
  for (const [name, holder] of Object.entries(holders)) {
    fs.writeFileSync(join(dataDir, name), JSON.stringify(holder))
  }
  const clock = new CountingClock()
  const warnings: string[] = []
  let isOver = false
  const locking = lockDirectory({ dataDir, clock, onWarning: (message) => warnings.push(message) })
  const settled = locking.then(
    (unlock) => ((isOver = true), { unlock, error: undefined }),
    (error: unknown) => ((isOver = true), { unlock: () => undefined, error }),
  )
  await expect.poll(() => clock.waiting, { message: 'they are watched together' }).toBe(Object.keys(holders).length)
  for (let ms = 0; !isOver; ms += 100) {
    beat(lock, ms / 1000)
    clock.advance(100)
    await turn()
  }
  return { ...(await settled), lock, clock, warnings }
}

test('a lock of another host that is touched from time to time is in use', async () => {
  const { error, lock, warnings } = await tryToLock((path, seconds) => {
    if (seconds % 2 === 0) fs.utimesSync(path, seconds, seconds)
  })
  expect(error).toMatchObject({ code: 'DataDirectoryInUse', details: { pid: 7, host: 'elsewhere' } })
  expect((error as Error).message).toContain(`remove ${lock}`)
  expect(JSON.parse(fs.readFileSync(lock, 'utf8'))).toEqual(ELSEWHERE)
  expect(warnings).toEqual([])
})

test('a lock of another host that nobody touches is taken over, after a while and with a warning', async () => {
  const { unlock, error, lock, clock, warnings } = await tryToLock(() => undefined)
  expect(error).toBeUndefined()
  expect(clock.monotonic()).toBeGreaterThanOrEqual(10_000)
  expect(warnings).toEqual([expect.stringContaining('is taken over from process 7 on elsewhere')])
  expect(JSON.parse(fs.readFileSync(lock, 'utf8'))).toMatchObject({ pid: process.pid })
  await unlock()
  expect(fs.readdirSync(join(lock, '..'))).toEqual([])
})

test('a container of the same name is not taken for this one, though its process has the same number', async () => {
  const holders = { lock: NAMESAKE }
  const alive = await tryToLock((path, seconds) => {
    if (seconds % 2 === 0) fs.utimesSync(path, seconds, seconds)
  }, holders)
  expect(alive.error).toMatchObject({ code: 'DataDirectoryInUse', details: { pid: process.pid } })
  expect((alive.error as Error).message).toContain('another machine or container of that name')
  expect(JSON.parse(fs.readFileSync(alive.lock, 'utf8'))).toEqual(NAMESAKE)
  const dead = await tryToLock(() => undefined, holders)
  expect(dead.error).toBeUndefined()
  expect(dead.clock.monotonic()).toBeGreaterThanOrEqual(10_000)
  await dead.unlock()
})

test('the share of a node in a container of the same name stays, and its holder is not said to work on a copy', async () => {
  const dataDir = temporaryFolder()
  fs.writeFileSync(join(dataDir, 'lock.a'), JSON.stringify(NAMESAKE))
  const { place: _, ...old } = NAMESAKE
  fs.writeFileSync(join(dataDir, 'lock.b'), JSON.stringify(old))
  const clock = new SimulatedClock()
  const unlock = await lockDirectory({ dataDir, clock, onWarning: () => undefined, shareAs: 'c' })
  // One that says no place was made by a version that looks for none.
  expect(fs.readdirSync(dataDir)).toEqual(['lock.a', 'lock.c'])
  await unlock()
  expect(fs.readdirSync(dataDir)).toEqual(['lock.a'])
})

test('however many killed nodes of other hosts have left their shares, they are watched together', async () => {
  const left = Array.from({ length: 9 }, (_, i) => [`lock.${i}`, ELSEWHERE] as const)
  const { unlock, error, lock, warnings } = await tryToLock(() => undefined, Object.fromEntries(left))
  expect(error).toBeUndefined()
  expect(warnings).toHaveLength(9)
  await unlock()
  expect(fs.readdirSync(join(lock, '..'))).toEqual([])
})

test('whoever holds the lock touches it', async () => {
  const dataDir = temporaryFolder()
  const lock = join(dataDir, 'lock')
  const clock = new SimulatedClock()
  const unlock = await lockDirectory({ dataDir, clock, onWarning: () => undefined })
  for (let beats = 0; beats < 3; beats += 1) {
    fs.utimesSync(lock, 0, 0)
    clock.advance(2_000)
    await expect.poll(() => fs.statSync(lock).mtimeMs).toBeGreaterThan(0)
  }
  await unlock()
})

test('a lock that cannot be read is an error, and stays', async () => {
  const dataDir = temporaryFolder()
  fs.mkdirSync(join(dataDir, 'lock'))
  const locking = lockDirectory({ dataDir, clock: new SimulatedClock(), onWarning: () => undefined })
  await expect(locking).rejects.toMatchObject({ code: 'DataDirectoryUnusable', details: { dataDir } })
  expect(fs.readdirSync(dataDir)).toEqual(['lock'])
})

const own = { pid: process.pid, host: hostname(), startedAt: '' }

test.each([
  '',
  'null',
  '[]',
  '1',
  '{}',
  JSON.stringify({ ...own, pid: '1/../self' }),
  JSON.stringify({ ...own, pid: 0 }),
])('a lock that holds nonsense is taken over: %j', async (nonsense) => {
  const dataDir = temporaryFolder()
  fs.writeFileSync(join(dataDir, 'lock'), nonsense)
  const unlock = await lockDirectory({ dataDir, clock: new SimulatedClock(), onWarning: () => undefined })
  await unlock()
  expect(fs.readdirSync(dataDir)).toEqual([])
})

test('nodes of a cluster share a directory; a process that is alone and a share keep each other out', async () => {
  const dataDir = temporaryFolder()
  const options = { dataDir, clock: new SimulatedClock(), onWarning: () => undefined }
  const inUse = { code: 'DataDirectoryInUse', details: { pid: process.pid } }
  const shares = [await lockDirectory({ ...options, shareAs: 'a' }), await lockDirectory({ ...options, shareAs: 'b' })]
  await expect(lockDirectory(options)).rejects.toMatchObject(inUse)
  for (const unlock of shares) await unlock()
  expect(fs.readdirSync(dataDir)).toEqual([])
  const unlock = await lockDirectory(options)
  await expect(lockDirectory({ ...options, shareAs: 'c' })).rejects.toMatchObject(inUse)
  await unlock()
  // What a killed node has left keeps nobody out.
  fs.writeFileSync(join(dataDir, 'lock.d'), JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), startedAt: '1' }))
  const share = await lockDirectory({ ...options, shareAs: 'e' })
  expect(fs.readdirSync(dataDir)).toEqual(['lock.e'])
  await share()
  expect(fs.readdirSync(dataDir)).toEqual([])
})
