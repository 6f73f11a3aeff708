import { expect, test } from 'vitest'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { Log } from '../../src/log/log.ts'
import { deposit, open } from './harness.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('what is decided and not on disk is counted from the head, and its age grows, until its sync ends', async () => {
  const [disk, clock] = [new SimulatedDisk(), new SimulatedClock()]
  let gate: Promise<void> | undefined
  const plan = async ({ name }: { name: string }) => (name === 'sync' ? (await gate, 'none') : 'none') as 'none'
  const { log, ask } = await open(disk, clock, { plan, own: [0, 1] })
  clock.advance(1_000)
  const undurable = (): number => log.ownedShards.reduce((sum, one) => sum + one.undurable, 0)
  await ask(deposit('account/1', 1))
  const before = log.ownedShards.reduce((sum, { seq }) => sum + seq, 0)
  expect(log.lag).toEqual({ records: 0, bytes: 0, oldestMs: 0 })

  const sync = Promise.withResolvers<void>()
  gate = sync.promise
  const asked = [ask(deposit('account/1', 1)), ask(deposit('account/2', 1))]
  await turn()
  clock.advance(70)
  // These wait in the batch behind the one that is being written.
  asked.push(ask(deposit('account/1', 1)), ask(deposit('account/1', 1)))
  await turn()
  clock.advance(5)
  expect(log.lag).toMatchObject({ records: 4, oldestMs: 75 })
  expect(log.lag.bytes).toBeGreaterThan(400)
  expect(undurable()).toBe(4)
  expect(log.ownedShards.reduce((sum, { seq }) => sum + seq, 0)).toBe(before)
  sync.resolve()
  await Promise.all(asked)
  expect(log.lag).toEqual({ records: 0, bytes: 0, oldestMs: 0 })
  expect(undurable()).toBe(0)
  expect(log.ownedShards.reduce((sum, { seq }) => sum + seq, 0)).toBe(before + 4)
})

test('whether there is room again is tried when somebody asks: nobody need send a command for it', async () => {
  const [disk, clock] = [new SimulatedDisk(), new SimulatedClock()]
  const { log, worker, ask } = await open(disk, clock)
  disk.room = 0
  let reply = await ask(deposit('account/1', 1))
  while (reply.kind === 'accepted') reply = await ask(deposit('account/1', 1))
  expect(reply).toMatchObject({ kind: 'failed', failure: { code: 'StorageFull' } })
  await worker.examine()
  expect(log.isFull).toBe(true)
  disk.room = Number.POSITIVE_INFINITY
  expect(log.isFull).toBe(true)
  await worker.examine()
  expect(log.isFull).toBe(false)
  expect(await ask(deposit('account/1', 1))).toMatchObject({ kind: 'accepted' })
  await worker.close()
})

test('commands that come while room is sought wait for that: its zeroes do not come over what they write', async () => {
  const [disk, clock] = [new SimulatedDisk(), new SimulatedClock()]
  const write = Promise.withResolvers<void>()
  let isNext = false
  const plan = async ({ name }: { name: string }): Promise<'none'> => {
    const isGated = isNext && name === 'write'
    if (isGated) isNext = false
    if (isGated) await write.promise
    return 'none'
  }
  const { log, worker, ask } = await open(disk, clock, { plan })
  disk.room = 0
  let balance = 0
  while ((await ask(deposit('account/1', 1))).kind === 'accepted') balance += 1
  disk.room = Number.POSITIVE_INFINITY
  isNext = true
  const examined = [worker.examine(), worker.examine()]
  await turn()
  const asked = [ask(deposit('account/1', 1)), ask(deposit('account/1', 1))]
  for (let turns = 0; turns < 20; turns += 1) await turn()
  write.resolve()
  await Promise.all(examined)
  expect((await Promise.all(asked)).map(({ kind }) => kind)).toEqual(['accepted', 'accepted'])
  expect(log.isFull).toBe(false)
  await worker.close()
  const { query } = await open(disk, clock)
  expect(await query('account/1', 'balance')).toMatchObject({ value: balance + 2 })
})

test('what somebody else has claimed does not count from the moment that somebody asks', async () => {
  const [disk, clock] = [new SimulatedDisk(), new SimulatedClock()]
  const { log, worker } = await open(disk, clock, { own: [0, 1] })
  const storage = new SimulatedStorage(disk)
  const options = { clusterId: 'test', shards: 2, own: [1], segmentBytes: 4096, node: 'other' }
  await Log.open({ storage, clock, ...options })
  expect(log.ownedShards.map(({ shard }) => shard)).toEqual([0, 1])
  await worker.examine()
  expect(log.ownedShards.map(({ shard }) => shard)).toEqual([0])
})

test('a journal whose file is gone from its place is noticed', async () => {
  const disk = new SimulatedDisk()
  const { log } = await open(disk, new SimulatedClock())
  expect(log.isInPlace).toBe(true)
  for (const path of disk.files.keys()) if (path.startsWith('journals/')) disk.files.delete(path)
  expect(log.isInPlace).toBe(false)
})
