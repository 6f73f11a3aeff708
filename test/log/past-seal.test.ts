import { expect, test } from 'vitest'
import { Log } from '../../src/log/log.ts'
import { indexPath, segmentPath } from '../../src/log/path.ts'
import { NOWHERE, RecordKind, type Address } from '../../src/log/record.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { encode } from '../../src/log/codec.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage, type Plan } from '../../src/testing/simulated-storage.ts'

const clock = new SimulatedClock()

function openLog(disk: SimulatedDisk, own: readonly number[], plan?: Plan): Promise<Log> {
  const storage = new SimulatedStorage(disk, plan)
  return Log.open({ storage, clock, clusterId: 'test', shards: 2, own, segmentBytes: 65_536, node: 'test' })
}

function streamOf(log: Log, shard: number): string {
  const id = Array.from({ length: 100 }, (_, i) => i).find((i) => log.placement.shardOf(`a/${i}`) === shard)
  return `a/${id}`
}

async function write(log: Log, shard: number, version: number, previous: Address = NOWHERE): Promise<Address> {
  const address = log.add(log.placement.stream(streamOf(log, shard)), {
    kind: RecordKind.event,
    epoch: 0,
    seq: 0,
    version,
    payloadHash: 0,
    position: log.positions.next(),
    previous,
    time: 0,
    eventId: new Uint8Array(16),
    commandId: sliceOf(new Uint8Array(16)),
    typeVersion: 1,
    type: Buffer.from('Noted'),
    data: sliceOf(encode({})),
    metadata: encode({}),
  })
  await log.append(log.cut())
  return address
}

/** Shard 0 has an event in journal 1, and another one past its seal there that only an index knows of. */
async function diskWithGhost(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk()
  let isDying = false
  const first = await openLog(disk, [0, 1], ({ name, path }) =>
    isDying && name === 'sync' && path === segmentPath(1, 1) ? 'die-before' : 'none',
  )
  const ofShard0 = await write(first, 0, 1)
  const ofShard1 = await write(first, 1, 1)
  // Shard 0 gets another owner, and the first one, which has not noticed, writes on and dies before its sync.
  await openLog(disk, [0])
  isDying = true
  await expect(write(first, 0, 2, ofShard0)).rejects.toThrow()
  // Whoever takes shard 1 over reads the journal to its end, which is in memory alone, and writes the index down.
  await write(await openLog(disk, [1]), 1, 2, ofShard1)
  disk.files.get(indexPath(1, 1))!.sync()
  disk.files.get(indexPath(1, 1))!.isNameDurable = true
  disk.losePower(new SeededRandom(1))
  return disk
}

async function versionsOf(log: Log, shard: number): Promise<number[]> {
  const records = await Array.fromAsync(log.back(log.placement.stream(streamOf(log, shard))))
  return records.map(({ version }) => version)
}

test('an index that knows of what an owner wrote past its seal, and that is gone, hides nothing before the seal', async () => {
  const heir = await openLog(await diskWithGhost(), [0, 1])
  expect(await versionsOf(heir, 0)).toEqual([1])
  expect(await versionsOf(heir, 1)).toEqual([2, 1])
})

test('damage before the seal is not taken for the end of what stands there', async () => {
  const disk = await diskWithGhost()
  // Two bits: one alone is set right.
  disk.files.get(segmentPath(1, 1))!.flip(100, 1)
  disk.files.get(segmentPath(1, 1))!.flip(130, 1)
  const heir = await openLog(disk, [0, 1])
  await expect(versionsOf(heir, 0)).rejects.toMatchObject({ code: 'LogCorrupt', details: { path: segmentPath(1, 1) } })
})
