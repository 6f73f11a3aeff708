import { expect, test } from 'vitest'
import type { Log } from '../../src/log/log.ts'
import type { LogRecord } from '../../src/log/record.ts'
import { indexPath, segmentPath } from '../../src/log/path.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { smash } from './damaged-log.ts'
import { addEvent, openLog, streamOf, writeEvent } from './noted.ts'

/** Shard 0 has an event in journal 1, and another one past its seal there that only an index knows of. */
async function diskWithGhost(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk()
  let isDying = false
  const first = await openLog(disk, [0, 1], ({ name, path }) =>
    isDying && name === 'sync' && path === segmentPath(1, 1) ? 'die-before' : 'none',
  )
  const ofShard0 = await writeEvent(first, 0)
  const ofShard1 = await writeEvent(first, 1)
  // Shard 0 gets another owner, and the first one, which has not noticed, writes on and dies before its sync.
  await openLog(disk, [0])
  isDying = true
  await expect(writeEvent(first, 0, { version: 2, previous: ofShard0 })).rejects.toThrow()
  // Whoever takes shard 1 over reads the journal to its end, which is in memory alone, and writes the index down.
  await writeEvent(await openLog(disk, [1]), 1, { version: 2, previous: ofShard1 })
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

test('nor is one flipped bit there, which hides nothing of other shards', async () => {
  const disk = await diskWithGhost()
  const heir = await openLog(disk, [0, 1])
  const segment = disk.files.get(segmentPath(1, 1))!
  const [{ address }] = (await Array.fromAsync(heir.back(heir.placement.stream(streamOf(heir, 0))))) as [LogRecord]
  const other = await openLog(disk, [0, 1])
  segment.flip(address.offset + 20, 1)
  for (let times = 0; times < 2; times += 1) {
    await expect(versionsOf(other, 0)).rejects.toMatchObject({ details: { path: segmentPath(1, 1) } })
  }
  expect(await versionsOf(other, 1)).toEqual([2, 1])
  segment.flip(address.offset + 20, 1)
  expect(await versionsOf(other, 0)).toEqual([1])
})

/** A batch that says nothing: the one before it is no longer the last, which an heir would carry into its own journal. */
async function writeMark(log: Log): Promise<void> {
  log.mark(log.positions.next())
  await log.append(log.cut())
}

/** The shard comes back to the log's own journal, from an owner that it had lost it to. */
async function takeBack(log: Log, shard: number): Promise<void> {
  expect(await log.lostShards([shard])).toEqual([shard])
  const [inheritance] = await log.inherit([shard])
  log.open(inheritance!)
  await log.append(log.cut())
  expect(await log.serve(inheritance!)).toBe(true)
  await writeMark(log)
}

test('what an owner wrote past its seal hides nothing, where the shard had come back to its journal before', async () => {
  const disk = new SimulatedDisk()
  const first = await openLog(disk, [0])
  const previous = await writeEvent(first, 0)
  await writeMark(first)
  await writeMark(await openLog(disk, [0]))
  // In its second reign it writes of another stream, before it loses the shard again and does not notice.
  await takeBack(first, 0)
  await writeEvent(first, 0, { nth: 1 })
  await writeMark(first)
  await writeMark(await openLog(disk, [0]))
  await writeEvent(first, 0, { version: 2, previous })
  await takeBack(first, 0)
  expect(await versionsOf(first, 0)).toEqual([1])
  expect(first.reigns(0).map(({ epoch }) => epoch)).toEqual([1, 3, 5])
  const heir = await openLog(disk, [0])
  expect(await versionsOf(heir, 0)).toEqual([1])
})

test.each([
  ['that cannot be read', smash],
  [
    'with one wrong bit',
    (disk: SimulatedDisk, offset: number, path: string) => disk.files.get(path)!.flip(offset + 40, 0),
  ],
])('a record %s behind the seal keeps no shard closed, though others follow that can be read', async (_, harm) => {
  const disk = new SimulatedDisk()
  const first = await openLog(disk, [0, 1])
  await writeEvent(first, 0)
  first.rollOver()
  await first.append(first.cut())
  const [harmed] = [1, 2].map((nth) => addEvent(first, 0, first.positions.next(), { nth }))
  await first.append(first.cut())
  // It carries both over. The one before, which has another shard still, writes on.
  const second = await openLog(disk, [0])
  await writeMark(second)
  await writeEvent(first, 1)
  harm(disk, harmed!.offset, segmentPath(1, 2))
  disk.files.delete(indexPath(1, 2))
  const third = await openLog(disk, [0])
  expect([...third.refusedShards.values()]).toEqual([])
  const names = [0, 1, 2].map((nth) => streamOf(third, 0, nth))
  const records = await Promise.all(names.map((name) => Array.fromAsync(third.back(third.placement.stream(name)))))
  expect(records.flat().map(({ seq }) => seq)).toEqual([1, 2, 3])
})
