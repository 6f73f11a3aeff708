import { expect, test } from 'vitest'
import { Log } from '../../src/log/log.ts'
import { MemoryStorage } from '../../src/log/memory-storage.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

const SHARDS = 100

/** Memory that tells which folders of shards are listed, once it is told to, and does something else meanwhile. */
class ListedStorage extends MemoryStorage {
  listed: string[] = []
  meanwhile: () => Promise<void> = async () => undefined

  override async list(path: string): Promise<readonly string[]> {
    const names = await super.list(path)
    if (!path.startsWith('shards/')) return names
    this.listed.push(path)
    const { meanwhile } = this
    this.meanwhile = async () => undefined
    await meanwhile()
    return names
  }
}

async function start() {
  const storage = new ListedStorage()
  const open = (own: readonly number[]): Promise<Log> => {
    const data = { storage, clock: new SimulatedClock(), clusterId: 'test', shards: SHARDS, segmentBytes: 1 << 20 }
    return Log.open({ ...data, own, node: 'node' })
  }
  const log = await open(Array.from({ length: SHARDS }, (_, shard) => shard))
  return { storage, log, claim: (shard: number) => open([shard]) }
}

test('where somebody has claimed a shard, those alone are looked up that somebody waits for, each once', async () => {
  const { storage, log, claim } = await start()
  expect(log.look([3, 3, 7])).toEqual([])
  await claim(7)
  expect(log.look([3, 3])).toEqual([3])
  storage.listed = []
  expect(await log.lostShards([3])).toEqual([])
  expect(storage.listed).toEqual(['shards/00003'])
  expect(log.look([3])).toEqual([])
  expect(log.look([3, 7])).toEqual([7])
  expect(await log.lostShards([7])).toEqual([7])
  expect([log.owns(3), log.owns(7)]).toEqual([true, false])
  // The others are not forgotten.
  expect(log.look()).toHaveLength(SHARDS - 2)
  await log.lostShards(log.look())
  expect(log.look()).toEqual([])
})

test('a shard that is being looked up counts as looked up for nobody else before that is done', async () => {
  const { storage, log, claim } = await start()
  await claim(7)
  expect(log.look([3])).toEqual([3])
  storage.meanwhile = async () => expect(log.look([3])).toEqual([3])
  await log.lostShards([3])
  expect(log.look([3])).toEqual([])
})

test('a claim that comes while its shard is looked up is not missed', async () => {
  const { storage, log, claim } = await start()
  await claim(7)
  expect(log.look([3])).toEqual([3])
  storage.meanwhile = async () => {
    await claim(3)
    expect(log.look([3])).toEqual([3])
  }
  expect(await log.lostShards([3])).toEqual([])
  expect(log.look([3])).toEqual([3])
  expect(await log.lostShards([3])).toEqual([3])
})
