import { expect, test } from 'vitest'
import { Committer } from '../../src/actor/committer.ts'
import { Log } from '../../src/log/log.ts'
import { MemoryStorage } from '../../src/log/memory-storage.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

const SHARDS = 100

test('whoever waits for the look has it taken for all shards, however many are to be looked up', async () => {
  const storage = new MemoryStorage()
  const clock = new SimulatedClock()
  const open = (own: readonly number[]): Promise<Log> => {
    const data = { storage, clock, clusterId: 'test', shards: SHARDS, segmentBytes: 1 << 20 }
    return Log.open({ ...data, own, node: 'node' })
  }
  const log = await open(Array.from({ length: SHARDS }, (_, shard) => shard))
  const lost: number[] = []
  const nothing = (): void => undefined
  const committer = new Committer({
    log,
    clock,
    onReplied: nothing,
    onVoid: nothing,
    onShardsLost: (shards) => lost.push(...shards),
    onRoom: nothing,
    onBroken: nothing,
  })
  await committer.looked()
  expect(lost).toEqual([])
  await open([3, 40, 99])
  await committer.looked()
  expect(lost).toEqual([3, 40, 99])
  expect(log.look()).toEqual([])
})
