import { expect, test } from 'vitest'
import { Committer } from '../../src/actor/committer.ts'
import { Tails } from '../../src/actor/tails.ts'
import { raiseFence } from '../../src/log/claim.ts'
import { Log } from '../../src/log/log.ts'
import { MemoryStorage } from '../../src/log/memory-storage.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { openLog } from '../log/noted.ts'
import { deposit, open } from './harness.ts'

const MS = 500
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function start() {
  const [disk, clock] = [new SimulatedDisk(), new SimulatedClock()]
  const opened = await open(disk, clock, { own: [0, 1] })
  clock.advance(1_000)
  return { ...opened, disk, clock, tails: opened.worker.tails }
}

test('a reader is told as soon as more is durable, and after a while that there is nothing', async () => {
  const { tails, clock, ask } = await start()
  const first = await tails.next(undefined, MS)
  expect(first.shards.map(({ shard }) => shard)).toEqual([0, 1])
  let told: unknown
  const next = tails.next(first, MS).then((tail) => (told = tail))
  await turn()
  expect(told).toBeUndefined()
  const reply = await ask(deposit('account/1', 1))
  await next
  expect(told).toMatchObject({ journal: first.journal, position: (reply as { position: number }).position })
  const last = await tails.next(undefined, MS)
  const idle = tails.next(last, MS)
  await turn()
  clock.advance(MS)
  expect(await idle).toEqual(last)
})

test('a shard that somebody has claimed is not told of, though nothing was written since', async () => {
  const { tails, disk } = await start()
  const before = await tails.next(undefined, MS)
  await openLog(disk, [0])
  const tail = await tails.next(before, MS)
  expect(tail.shards.map(({ shard }) => shard)).toEqual([1])
  expect(tail.ownership).toBeGreaterThan(before.ownership)
})

test('a promise stands in the journal before anybody counts on it, and nothing comes below it', async () => {
  const { tails, log, ask } = await start()
  await ask(deposit('account/1', 1))
  const position = log.head.position + 4096 * 60_000
  const tail = await tails.above(position)
  expect(tail.position).toBe(position)
  expect(log.head.position).toBe(position)
  const end = tail.end
  // It has promised as much: nothing need be written.
  expect((await tails.above(position)).end).toEqual(end)
  expect(await ask(deposit('account/1', 1))).toMatchObject({ position: position + 1 })
})

test('a promise needs no record of its own where one that says as much is on its way', async () => {
  const { tails, log, ask } = await start()
  const records = log.lag.records
  const asked = ask(deposit('account/1', 1))
  await turn()
  const [tail] = await Promise.all([tails.above(log.positionAdded), asked])
  expect(records).toBe(0)
  expect(tail.position).toBe(log.positionAdded)
})

test('where there is no room for a promise whoever asks for it is told so', async () => {
  const { tails, disk, log, ask } = await start()
  disk.room = 0
  let reply = await ask(deposit('account/1', 1))
  while (reply.kind === 'accepted') reply = await ask(deposit('account/1', 1))
  const { position } = log.head
  await expect(tails.above(position + 1)).rejects.toMatchObject({ code: 'StorageFull' })
  expect(await tails.next(undefined, MS)).toMatchObject({ position })
})

test('a worker that closes lets nobody wait, and writes no marks any more', async () => {
  const { tails, worker, log, clock } = await start()
  const waiting = tails.next(await tails.next(undefined, MS), MS)
  await turn()
  await worker.close()
  clock.advance(MS)
  await waiting
  const { position } = log.head
  expect(await tails.above(position + 1)).toMatchObject({ position })
})

/** Storage that does something else while shard 0 is looked up, if that does not look it up itself. */
class WatchedStorage extends MemoryStorage {
  meanwhile: () => Promise<unknown> = async () => undefined

  override async list(path: string): Promise<readonly string[]> {
    const names = await super.list(path)
    if (path !== 'shards/00000') return names
    const { meanwhile } = this
    this.meanwhile = async () => undefined
    await meanwhile()
    this.meanwhile = meanwhile
    return names
  }
}

async function startMany(shards: number) {
  const [storage, clock] = [new WatchedStorage(), new SimulatedClock()]
  const claim = (own: readonly number[]): Promise<Log> =>
    Log.open({ storage, clock, clusterId: 'test', shards, segmentBytes: 1 << 20, own, node: 'node' })
  const log = await claim(Array.from({ length: shards }, (_, shard) => shard))
  const nothing = (): void => undefined
  const callbacks = { onReplied: nothing, onVoid: nothing, onShardsLost: nothing, onRoom: nothing, onBroken: nothing }
  const committer = new Committer({ log, clock, ...callbacks })
  return { storage, log, claim, tails: new Tails({ log, clock, committer }) }
}

test('a reader need not wait until nothing moves: what has left by the end of a look is not told of', async () => {
  const { storage, log, tails } = await startMany(50)
  let left = 50
  // With every look one more is handed over.
  storage.meanwhile = async () => {
    log.release([(left -= 1)])
    await raiseFence(storage, log.journal)
  }
  await storage.meanwhile()
  const tail = await tails.next(undefined, MS)
  expect(tail.shards).toHaveLength(48)
  const next = await tails.next(tail, MS)
  expect(next.shards).toHaveLength(47)
  expect(next.ownership).toBeGreaterThan(tail.ownership)
})

test('a worker that cannot see who owns its shards tells nobody that they are its own', async () => {
  const { storage, claim, tails } = await startMany(2)
  await claim([1])
  storage.meanwhile = () => Promise.reject(new Error('the folder cannot be read'))
  expect(await tails.next(undefined, MS)).toMatchObject({ shards: [] })
})
