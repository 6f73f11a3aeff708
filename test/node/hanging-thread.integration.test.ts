/** A worker's thread that hangs in a call to the disk: here the opening of a pipe in a file's place, which waits for a writer. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { claimPath } from '../../src/log/path.ts'
import { startThreaded, type WorkerHandle } from '../../src/node/worker-handle.ts'
import { temporaryFolder } from '../temporary.ts'

const hasPipes = process.platform !== 'win32'

/** A worker, and what lets it go on. */
async function startHanging() {
  const dataDir = temporaryFolder()
  const handle = await startThreaded(
    {
      configUrl: new URL('troublesome.config.ts', import.meta.url),
      overrides: { dataDir },
      clusterId: 'hanging',
      rehearses: false,
      shards: [],
      quarantined: [],
    },
    { onWarning: () => undefined, onLost: () => undefined, onEnd: () => undefined },
  )
  const pipe = join(dataDir, claimPath(0, 1))
  fs.mkdirSync(dirname(pipe), { recursive: true })
  execFileSync('mknod', [pipe, 'p'])
  const letGo = (): void => fs.closeSync(fs.openSync(pipe, fs.constants.O_RDWR))
  return { handle, letGo }
}

/** For so many looks, a second apart, a thread does nothing at all that hangs: the machine lets one wait for a moment. */
const LOOKS = 5

async function hangs(handle: WorkerHandle): Promise<void> {
  let [seen, looks] = [-1, 0]
  const isStill = (): boolean => {
    const { stirs } = handle.progress()!
    looks = stirs === seen ? looks + 1 : 0
    seen = stirs
    return looks === LOOKS
  }
  await expect.poll(isStill, { interval: 1_000, timeout: 60_000 }).toBe(true)
}

test.skipIf(!hasPipes)('nobody who waits for a thread that is given up waits until it has ended', async () => {
  const { handle, letGo } = await startHanging()
  const taking = handle.takeOver([0])
  await hangs(handle)
  let hasEnded = false
  const ending = handle.terminate().then(() => (hasEnded = true))
  onTestFinished(async () => {
    letGo()
    await ending
  })
  expect(await taking).toBeUndefined()
  expect(await handle.status()).toBeUndefined()
  expect(hasEnded, 'a thread that does not end was under test').toBe(false)
})
