import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import { IndexFile } from '../../src/log/index-file.ts'
import { indexPath, segmentPath } from '../../src/log/path.ts'
import type { Address } from '../../src/log/record.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { hash64 } from '../../src/log/stream.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage, type Plan } from '../../src/testing/simulated-storage.ts'
import { deposit, open, type Harness } from '../actor/harness.ts'
import { addEvent, openLog, streamOf, writeEvent } from './noted.ts'
import { emptyDisk, openPurses } from './small-log.ts'

test('an index that was made of a living journal does not hide what its writer wrote behind it', async () => {
  const disk = emptyDisk()
  let wake = (): void => undefined
  const isAwake = new Promise<'none'>((resolve) => (wake = () => resolve('none')))
  // It has its journal, and is stopped in the middle of its claims.
  const opening = openPurses(disk, new SimulatedClock(), ({ path }) =>
    path.includes('shards/00001/') ? isAwake : 'none',
  )
  while (!disk.files.has('shards/00000/0000000001.claim')) await Promise.resolve()
  // Another claims what it has claimed, reads its journal, and makes an index of it.
  await openPurses(disk)
  expect(disk.files.has(indexPath(1, 1))).toBe(true)
  wake()
  const first: Harness = await opening
  let balance = 0
  while (!disk.files.has(segmentPath(1, 2))) {
    for (const stream of ['purse/a', 'purse/b', 'purse/c', 'purse/d']) {
      if (!first.log.owns(first.log.placement.stream(stream).shard)) continue
      expect(await first.ask(deposit(stream, 1))).toMatchObject({ kind: 'accepted' })
      balance += 1
    }
  }
  const heir = await openPurses(disk)
  let found = 0
  for (const stream of ['purse/a', 'purse/b', 'purse/c', 'purse/d'])
    found += ((await heir.query(stream, 'balance')) as { value: number }).value
  expect(found).toBe(balance)
})

/** A segment ends with its second event, and whoever wrote it writes nothing more. */
async function endSegment(disk: SimulatedDisk, plan?: Plan): Promise<Address> {
  const log = await openLog(disk, [0], plan)
  const first = await writeEvent(log, 0)
  log.rollOver()
  const second = await writeEvent(log, 0, { version: 2, previous: first })
  await log.indexed()
  return second
}

test('an index of a batch that was in the page cache alone, and is gone, keeps no shard closed', async () => {
  const disk = new SimulatedDisk()
  let syncs = 0
  const diesAtSecond: Plan = ({ name, path }) =>
    name === 'sync' && path === segmentPath(1, 1) && (syncs += 1) === 3 ? 'die-before' : 'none'
  await expect(endSegment(disk, diesAtSecond)).rejects.toThrow()
  // Whoever takes the shard over makes the index, and dies before it has carried the batch.
  const dies: Plan = ({ name, path }) => (name === 'sync' && path === segmentPath(2, 1) ? 'die-before' : 'none')
  await expect(openLog(disk, [0], dies)).rejects.toThrow()
  const index = disk.files.get(indexPath(1, 1))!
  index.sync()
  index.isNameDurable = true
  disk.losePower(new SeededRandom(1))
  const heir = await openLog(disk, [0])
  const records = await Array.fromAsync(heir.back(heir.placement.stream(streamOf(heir, 0))))
  expect(records.map(({ version }) => version)).toEqual([1])
})

test('a segment that ends before a seal, as a power loss took what stood there, is read once in a minute and not for each shard', async () => {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0])
  await writeEvent(log, 0)
  const { offset } = log.head.end
  const clock = new SimulatedClock()
  const storage = new SimulatedStorage(disk)
  const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
  for (let shard = 0; shard < 8; shard += 1) expect((await catalog.index(1, 1, offset + 80)).end).toBe(offset)
  expect(catalog.indexesRebuilt).toBe(1)
  // What was only not to be seen yet is found.
  await writeEvent(log, 0)
  clock.advance(60_000)
  expect((await catalog.index(1, 1, offset + 80)).end).toBe(log.head.end.offset)
  // A seal further on is another question.
  expect((await catalog.index(1, 1, log.head.end.offset + 80)).end).toBe(log.head.end.offset)
  expect(catalog.indexesRebuilt).toBe(3)
})

test('a batch that was on the disk, as the index of its writer tells, and is gone, is damage', async () => {
  const disk = new SimulatedDisk()
  const { offset } = await endSegment(disk)
  disk.files.get(segmentPath(1, 1))!.truncate(offset + 8)
  const heir = await openLog(disk, [0])
  expect(heir.refusedShards.get(0)).toMatchObject({ code: 'LogCorrupt', details: { path: segmentPath(1, 1) } })
})

test('an index that is replaced while somebody has it open hides nothing, and its segment is not read for that', async () => {
  const disk = emptyDisk()
  const [clock, segmentBytes] = [new SimulatedClock(), 1 << 20]
  const writer = await open(disk, clock, { segmentBytes })
  const { log } = writer
  const streams = Array.from({ length: 2_000 }, (_, i) => log.placement.stream(`account/${i}`))
  const write = (shard: number): Promise<unknown> =>
    Promise.all(streams.filter((one) => one.shard === shard).map(({ name }) => writer.ask(deposit(name, 1))))
  await write(1)
  const { end } = log.head
  const files: string[] = []
  const storage = new SimulatedStorage(disk, ({ name, path }) => {
    if (name === 'openRead') files.push(path)
    return 'none'
  })
  const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
  // Made while the segment is still written to.
  await catalog.index(log.journal, 1, end.offset)
  const index = await catalog.index(log.journal, 1, end.offset)
  expect(index).toBeInstanceOf(IndexFile)
  const wanted = streams.filter(({ shard }) => shard === 1)
  const find = (): Promise<unknown> => Promise.all(wanted.map((stream) => catalog.find(index, stream)))
  const found = await find()
  await write(0)
  log.rollOver()
  await writer.ask(deposit(streams[0]!.name, 1))
  await log.indexed()
  // As when others are read, so many that it does not stay open.
  const path = indexPath(log.journal, 1)
  await catalog.files.forget(path)
  files.length = 0
  expect(await find()).toEqual(found)
  expect(files).toEqual([path])
})

test('an index that somebody who has read less puts in the place of a newer one is not taken for that', async () => {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0])
  const first = await writeEvent(log, 0)
  const before = log.head.end.offset
  const options = { clock: new SimulatedClock(), cluster: hash64('test', 0), shards: 2 }
  await new Catalog({ ...options, storage: new SimulatedStorage(disk) }).index(1, 1, before)
  const path = indexPath(1, 1)
  const older = disk.files.get(path)!
  await writeEvent(log, 0, { version: 2, previous: first })
  disk.files.delete(path)
  const meanwhile: Plan = ({ name }) => {
    if (name === 'openRead' && disk.files.has(path)) disk.files.set(path, older)
    return 'none'
  }
  const catalog = new Catalog({ ...options, storage: new SimulatedStorage(disk, meanwhile) })
  expect(await catalog.index(1, 1, log.head.end.offset)).toMatchObject({ end: log.head.end.offset })
})

test('what is harmed in a segment whose index is gone as well is told as often as it is asked for', async () => {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0])
  const { offset } = await writeEvent(former, 0)
  former.rollOver()
  await former.append(former.cut())
  await former.indexed()
  const heir = await openLog(disk, [0])
  const index = disk.files.get(indexPath(1, 1))!
  index.live.fill(0xaa, index.live.length - 16)
  disk.files.get(segmentPath(1, 1))!.flip(offset + 20, 1)
  const read = (): Promise<unknown> => Array.fromAsync(heir.back(heir.placement.stream(streamOf(heir, 0))))
  for (let times = 0; times < 2; times += 1) {
    await expect(read()).rejects.toMatchObject({ code: 'LogCorrupt', details: { path: segmentPath(1, 1) } })
  }
})

test('the end that a segment has lost since its index was read is missed where the index is harmed as well', async () => {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0])
  const first = await writeEvent(former, 0)
  const second = await writeEvent(former, 0, { version: 2, previous: first })
  former.rollOver()
  await former.append(former.cut())
  await former.indexed()
  const heir = await openLog(disk, [0])
  const index = disk.files.get(indexPath(1, 1))!
  index.live.fill(0xaa, index.live.length - 16)
  disk.files.get(segmentPath(1, 1))!.truncate(second.offset)
  const read = (): Promise<unknown> => Array.fromAsync(heir.back(heir.placement.stream(streamOf(heir, 0))))
  for (let times = 0; times < 2; times += 1) {
    await expect(read()).rejects.toMatchObject({ code: 'LogCorrupt', details: { path: segmentPath(1, 1) } })
  }
})

test('what is smashed in a segment whose index is harmed as well is missed by each shard that had its newest there', async () => {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0, 1])
  const older = [await writeEvent(former, 0), await writeEvent(former, 1)]
  const newest = older.map((previous, shard) =>
    addEvent(former, shard, former.positions.next(), { version: 2, previous }),
  )
  await former.append(former.cut())
  former.rollOver()
  await former.append(former.cut())
  await former.indexed()
  const heir = await openLog(disk, [0, 1])
  const index = disk.files.get(indexPath(1, 1))!
  index.live.fill(0xaa, index.live.length - 16)
  const { live } = disk.files.get(segmentPath(1, 1))!
  for (const { offset } of newest) live.fill(0xaa, offset + 20, offset + 60)
  // Shard 1 is the last in the index.
  for (const shard of [1, 0, 1, 0]) {
    const read = Array.fromAsync(heir.back(heir.placement.stream(streamOf(heir, shard))))
    await expect(read, `shard ${shard}`).rejects.toMatchObject({ code: 'LogCorrupt' })
  }
})

test.each<[string, (entry: DataView, older: Address) => void]>([
  ['has another hash', (entry) => entry.setUint8(0, entry.getUint8(0) ^ 1)],
  ['leads to an older record', (entry, { offset }) => entry.setUint32(8, offset, true)],
])('an entry of an index that %s since it was read first hides nothing', async (_, harm) => {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0])
  const first = await writeEvent(former, 0)
  await writeEvent(former, 0, { version: 2, previous: first })
  former.rollOver()
  await former.append(former.cut())
  await former.indexed()
  const heir = await openLog(disk, [0])
  const versions = async (): Promise<number[]> => {
    const records = await Array.fromAsync(heir.back(heir.placement.stream(streamOf(heir, 0))))
    return records.map(({ version }) => version)
  }
  expect(await versions()).toEqual([2, 1])
  // It has one, at the end.
  const { buffer, byteLength } = disk.files.get(indexPath(1, 1))!.live
  harm(new DataView(buffer, byteLength - 12), first)
  expect(await versions()).toEqual([2, 1])
})
