import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createRef, type RefHost } from '../../src/cluster/ref.ts'
import { Router } from '../../src/cluster/router.ts'
import { defineCluster } from '../../src/index.ts'
import { IdSource } from '../../src/log/identity.ts'
import { StreamPlacement } from '../../src/log/stream.ts'
import { startInline, type WorkerHandle } from '../../src/node/worker-handle.ts'
import { blocking, type FileCalls } from '../../src/platform/file-calls.ts'
import { FileStorage } from '../../src/platform/file-storage.ts'
import { systemClock } from '../../src/platform/system.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'

const CALLS = 60

test('whichever call of a take-over fails, whoever waits for it is told', async () => {
  const ends = { served: 0, broken: 0 }
  for (let failing = 0; failing < CALLS; failing += 1) {
    const plan = { isArmed: false, calls: 0 }
    const storage = new SimulatedStorage(new SimulatedDisk(), () => {
      if (!plan.isArmed) return 'none'
      plan.calls += 1
      return plan.calls > failing ? 'fail' : 'none'
    })
    const definition = { name: 'bank', aggregates: [Account], dataDir: 'none', workers: 'inline', shards: 2 } as const
    const worker = await startInline(
      {
        storage,
        clock: new SimulatedClock(),
        random: new SeededRandom(1),
        config: defineCluster({ ...definition, segmentBytes: 64 * 1024 }),
        clusterId: 'test',
        shards: [],
        quarantined: [],
      },
      { onLost: () => undefined, onWarning: () => undefined, onEnd: () => undefined },
    )
    plan.isArmed = true
    const owned = await worker.takeOver([0, 1])
    if (owned === undefined) ends.broken += 1
    if (owned?.length === 2) ends.served += 1
  }
  expect(ends.served).toBeGreaterThan(0)
  expect(ends.broken).toBeGreaterThan(0)
})

const SHARDS = 2

/** The real calls, of which all from one on fail, once armed. Those that close do not: what they fail at is closed. */
function failingCalls(failing: number): { readonly calls: FileCalls; readonly arm: () => void } {
  let isArmed = false
  let made = 0
  const struck = (name: string): boolean => {
    if (!isArmed || name === 'close') return false
    made += 1
    return made > failing
  }
  const entries = Object.entries(blocking).map(([name, call]) => {
    const failable = (...args: readonly unknown[]): unknown =>
      struck(name)
        ? Promise.reject(Object.assign(new Error(`${name} failed`), { code: 'EIO' }))
        : (call as (...given: readonly unknown[]) => unknown)(...args)
    return [name, failable]
  })
  return { calls: Object.fromEntries(entries) as FileCalls, arm: () => void (isArmed = true) }
}

function openFiles(folder: string): readonly string[] {
  return fs.readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      const path = fs.readlinkSync(join('/proc/self/fd', descriptor))
      return path.startsWith(folder) ? [path] : []
    } catch {
      // The one that was open to list them.
      return []
    }
  })
}

async function startOverFiles(dataDir: string, calls: FileCalls): Promise<{ worker: WorkerHandle; ended: boolean[] }> {
  const ended: boolean[] = []
  const definition = { name: 'bank', aggregates: [Account], dataDir, workers: 'inline', shards: SHARDS } as const
  const worker = await startInline(
    {
      storage: new FileStorage(dataDir, calls),
      clock: systemClock,
      random: new SeededRandom(1),
      config: defineCluster({ ...definition, segmentBytes: 64 * 1024 }),
      clusterId: 'test',
      shards: [],
      quarantined: [],
    },
    { onLost: () => undefined, onWarning: () => undefined, onEnd: () => void ended.push(true) },
  )
  return { worker, ended }
}

/** Asks accounts of a worker for deposits, until one is not answered well. */
async function deposit(worker: WorkerHandle, deposits: number): Promise<void> {
  const placement = new StreamPlacement('test', SHARDS)
  const router = new Router({
    clock: systemClock,
    shards: SHARDS,
    underWayMax: 100,
    timeoutMs: 100,
    onBadFrame: () => undefined,
  })
  const host: RefHost = {
    ids: new IdSource(systemClock, new SeededRandom(2)),
    commandBytesMax: 1_000_000,
    shardOf: (stream) => placement.shardOf(stream),
    send: ({ shard }, message, outcome, options) => router.send(shard, message, outcome, options),
    observe: () => undefined,
    onTellFailed: () => undefined,
  }
  router.attach('worker', worker.link)
  for (let shard = 0; shard < SHARDS; shard += 1) router.assign(shard, 'worker')
  const account = createRef(host, Account, 'a')
  try {
    await account.ask('open', { owner: 'Ada' }).catch(() => undefined)
    for (let i = 0; i < deposits; i += 1) await account.ask('deposit', { amount: 1 })
  } catch {
    // Its log broke.
  } finally {
    router.close()
  }
}

test.each(['close', 'terminate'] as const)('whichever call fails, %s gives all files back', async (end) => {
  const ends = { broken: 0, whole: 0 }
  for (let failing = 0; failing < 100; failing += 3) {
    const dataDir = temporaryFolder()
    const { worker: former } = await startOverFiles(dataDir, blocking)
    await former.takeOver([0, 1])
    await deposit(former, 3)
    const { calls, arm } = failingCalls(failing)
    const { worker, ended } = await startOverFiles(dataDir, calls)
    arm()
    await worker.takeOver([0, 1]).catch(() => undefined)
    if (ended.length === 0) await deposit(worker, 5)
    await worker[end]().catch(() => undefined)
    await former.terminate()
    expect([failing, openFiles(dataDir)]).toEqual([failing, []])
    ends[ended.length > 0 ? 'broken' : 'whole'] += 1
  }
  expect(Math.min(ends.broken, ends.whole)).toBeGreaterThan(0)
})
