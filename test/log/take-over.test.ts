import { expect, test } from 'vitest'
import type { Log } from '../../src/log/log.ts'
import { NOWHERE } from '../../src/log/record.ts'
import { claimPath, indexPath, journalPath, openedPath, segmentPath, shardPath } from '../../src/log/path.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import type { Plan, StepName } from '../../src/testing/simulated-storage.ts'
import { turn } from '../actor/simulated-bank.ts'
import { openLog, streamOf, writeEvent } from './noted.ts'
import { copyOfDisk } from './small-log.ts'

/** Shard 0 was last owned by the writer of journal 1, shard 1 by that of journal 2. */
async function diskOfTwoOwners(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk()
  for (const shard of [0, 1]) {
    const log = await openLog(disk, [shard])
    await writeEvent(log, shard)
    await log.close()
  }
  return disk
}

function strike(step: StepName, path: string): Plan {
  return ({ name, path: at }) => (name === step && at === path ? 'fail' : 'none')
}

test.each<[string, StepName, string]>([
  ['a segment cannot be read', 'read', segmentPath(1, 1)],
  ['a segment cannot be opened', 'openRead', segmentPath(1, 1)],
  ['a journal cannot be listed', 'list', journalPath(1)],
  ['a fence cannot be raised', 'createMark', `${journalPath(1)}/000001.fence`],
  ['a claim cannot be read', 'openRead', claimPath(0, 1)],
  ['a claim cannot be made', 'createExclusive', claimPath(0, 2)],
  ['claims cannot be listed', 'list', shardPath(0)],
  ['an opening cannot be marked', 'createMark', openedPath(0, 2)],
  ['an older mark cannot be removed', 'remove', openedPath(0, 1)],
])(
  'where %s, the shards that need it are refused with the file and the reason, and the others are served',
  async (...given) => {
    const [, step, path] = given
    const disk = await diskOfTwoOwners()
    const log = await openLog(disk, [0, 1], strike(step, path))
    expect([...log.refusedShards.keys()]).toEqual([0])
    const error = log.refusedShards.get(0)!
    expect(error).toMatchObject({ code: 'LogCorrupt', outcome: 'none', retryable: false })
    expect(error.message).toContain(path.split('/', 2).join('/'))
    expect(error.message).toContain('failed')
    expect(log.ownedShards.map(({ shard, seq }) => [shard, seq])).toEqual([[1, 1]])
    await log.close()
    const mended = await openLog(disk, [0, 1])
    expect(mended.ownedShards.map(({ shard, seq }) => [shard, seq])).toEqual([
      [0, 1],
      [1, 1],
    ])
  },
)

test('a segment that a claim needs and that is gone is not taken for one that was never written', async () => {
  const disk = await diskOfTwoOwners()
  disk.files.delete(segmentPath(1, 1))
  const log = await openLog(disk, [0, 1])
  expect(log.refusedShards.get(0)).toMatchObject({ code: 'LogCorrupt', details: { path: segmentPath(1, 1) } })
  expect(log.ownedShards.map(({ shard }) => shard)).toEqual([1])
})

test.each([
  ['gone', (disk: SimulatedDisk) => disk.files.delete(segmentPath(1, 1))],
  ['damaged', (disk: SimulatedDisk) => disk.files.get(segmentPath(1, 1))!.flip(100, 1)],
])('a segment of an owner long before that is %s, with its index lost, is not passed over', async (_, harm) => {
  const disk = await diskOfTwoOwners()
  await (await openLog(disk, [0, 1])).close()
  for (const path of disk.files.keys()) if (path.endsWith('.idx')) disk.files.delete(path)
  harm(disk)
  const log = await openLog(disk, [0, 1])
  expect(log.refusedShards.get(0)).toMatchObject({ code: 'LogCorrupt', details: { path: segmentPath(1, 1) } })
  expect(log.ownedShards.map(({ shard, seq }) => [shard, seq])).toEqual([[1, 1]])
  expect(await log.eventTypes()).toEqual(new Set(['a/Noted@1']))
})

test('nobody waits for an index to be written, which is there in the end', async () => {
  const disk = new SimulatedDisk()
  await writeEvent(await openLog(disk, [0]), 0)
  const gate = Promise.withResolvers<'none'>()
  const log = await openLog(disk, [0], ({ name, path }) =>
    name === 'replace' && path === indexPath(1, 1) ? gate.promise : 'none',
  )
  expect(log.ownedShards.map(({ shard, seq }) => [shard, seq])).toEqual([[0, 1]])
  expect(disk.files.has(indexPath(1, 1))).toBe(false)
  let isClosed = false
  const closed = log.close().then(() => (isClosed = true))
  await turn()
  expect(isClosed).toBe(false)
  gate.resolve('none')
  await closed
  expect(disk.files.has(indexPath(1, 1))).toBe(true)
})

/** A writer of shard 0 whose events stand in a segment each, of which none has an index. */
async function diskWithoutIndexes(events: number): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0])
  let previous = NOWHERE
  for (let version = 1; version <= events; version += 1) {
    previous = await writeEvent(former, 0, { version, previous })
    former.rollOver()
    await former.append(former.cut())
    await former.indexed()
  }
  for (const path of disk.files.keys()) if (path.endsWith('.idx')) disk.files.delete(path)
  return disk
}

test('what was read of segments without an index stays in memory until that is written, and no longer', async () => {
  const disk = await diskWithoutIndexes(3)
  const opened: string[] = []
  const heir = await openLog(disk, [0], ({ name, path }) => {
    if (name === 'read') opened.push(path)
    return 'none'
  })
  await turn()
  opened.length = 0
  const records = await Array.fromAsync(heir.back(heir.placement.stream(streamOf(heir, 0))))
  expect(records.map(({ version }) => version)).toEqual([3, 2, 1])
  expect(opened).toContain(indexPath(1, 3))
})

test('a shard that was refused is taken over as soon as what kept it closed is mended', async () => {
  const disk = await diskWithoutIndexes(3)
  const segment = disk.files.get(segmentPath(1, 2))!
  segment.flip(60, 3)
  const heir = await openLog(disk, [0])
  expect([...heir.refusedShards.keys()]).toEqual([0])
  expect(await heir.inherit([0])).toEqual([])
  segment.flip(60, 3)
  expect(await heir.inherit([0])).toMatchObject([{ seq: 3 }])
})

test('so it is where it had another owner since, whose history leads to what was harmed', async () => {
  const disk = await diskWithoutIndexes(3)
  const former = await openLog(disk, [0])
  await writeEvent(former, 0, { nth: 1 })
  await former.close()
  for (const path of disk.files.keys()) if (path.endsWith('.idx')) disk.files.delete(path)
  const segment = disk.files.get(segmentPath(1, 2))!
  segment.flip(60, 3)
  const heir = await openLog(disk, [0])
  expect(heir.refusedShards.get(0)).toMatchObject({ details: { path: segmentPath(1, 2) } })
  expect(await heir.inherit([0])).toEqual([])
  segment.flip(60, 3)
  expect(await heir.inherit([0])).toMatchObject([{ seq: 4 }])
})

test('whoever takes over one shard after the other reads the indexes of their journal once', async () => {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0, 1])
  let previous = NOWHERE
  for (let version = 1; version <= 40; version += 1) {
    former.rollOver()
    previous = await writeEvent(former, 0, { version, previous })
    await former.indexed()
  }
  const read: string[] = []
  const heir = await openLog(disk, [0], ({ name, path }) => {
    if (name === 'read' && path.startsWith(journalPath(1)) && path.endsWith('.idx')) read.push(path)
    return 'none'
  })
  const closed = new Set(read)
  // The last one is read anew each time, as whoever lives may write there, and its index is written down again.
  closed.delete(read.toSorted().at(-1)!)
  expect(closed.size).toBeGreaterThanOrEqual(20)
  read.length = 0
  expect(await heir.inherit([1])).toMatchObject([{ seq: 0 }])
  expect(read.filter((path) => closed.has(path))).toEqual([])
})

test('an index that cannot be read is made again from its segment', async () => {
  const disk = await diskOfTwoOwners()
  await (await openLog(disk, [0, 1])).close()
  const log = await openLog(disk, [0, 1], strike('read', indexPath(1, 1)))
  expect(log.ownedShards.map(({ shard }) => shard)).toEqual([0, 1])
  expect(await log.eventTypes()).toEqual(new Set(['a/Noted@1']))
})

test('what fails for everyone, or in the own journal, ends the worker', async () => {
  const disk = await diskOfTwoOwners()
  await expect(openLog(disk, [0, 1], strike('write', segmentPath(3, 1)))).rejects.toMatchObject({
    name: 'JournalBroken',
  })
  await expect(openLog(disk, [0, 1], strike('sync', segmentPath(3, 1)))).rejects.toMatchObject({
    name: 'JournalBroken',
  })
  const full: Plan = ({ name }) => (name === 'createMark' ? 'full' : 'none')
  await expect(openLog(disk, [0, 1], full)).rejects.toMatchObject({ code: 'StorageFull' })
})

test('a shard whose claims are gone is refused, as often as one tries, and not taken for a new one', async () => {
  const disk = await diskOfTwoOwners()
  const claim = disk.files.get(claimPath(0, 1))!
  disk.files.delete(claimPath(0, 1))
  disk.files.delete(openedPath(0, 1))
  for (let start = 0; start < 3; start += 1) {
    const log = await openLog(disk, [0, 1])
    expect(log.refusedShards.get(0)).toMatchObject({
      code: 'LogCorrupt',
      message: expect.stringContaining(
        'the claims of those who wrote for shard 0 in journals/00000001 are missing',
      ) as string,
    })
    expect(log.ownedShards.map(({ shard }) => shard)).toEqual([1])
    await log.close()
  }
  disk.files.set(claimPath(0, 1), claim)
  const mended = await openLog(disk, [0, 1])
  expect(mended.ownedShards.map(({ shard, seq }) => [shard, seq])).toEqual([
    [0, 1],
    [1, 1],
  ])
})

test('a torn tail is counted, and told with its place', async () => {
  const disk = await diskOfTwoOwners()
  const owner = await openLog(disk, [0])
  await writeEvent(owner, 0)
  await owner.abandon()
  const file = disk.files.get(segmentPath(3, 1))!
  const { end } = { end: file.live.findLastIndex((byte) => byte !== 0) + 1 }
  const at = Math.ceil(end / 8) * 8
  file.write(at, Uint8Array.of(80, 78, 72, 49, 7, 7, 7, 7))
  const heir = await openLog(disk, [0, 1])
  expect([...heir.found.tornTails]).toEqual([[segmentPath(3, 1), at]])
  expect(heir.found.indexesRebuilt).toBe(0)
})

test('a segment of somewhere else in place of the last one is no torn tail: the shard is refused', async () => {
  const disk = await diskOfTwoOwners()
  const file = disk.files.get(segmentPath(1, 1))!
  file.write(0, disk.files.get(segmentPath(2, 1))!.live)
  disk.files.delete(indexPath(1, 1))
  const log = await openLog(disk, [0, 1])
  expect(log.refusedShards.get(0)).toMatchObject({
    code: 'LogCorrupt',
    message: expect.stringContaining('what stands there is of journals/00000002/000001.log') as string,
  })
  expect(log.found.tornTails.size).toBe(0)
  expect(log.ownedShards.map(({ shard }) => shard)).toEqual([1])
})

test('a newest claim that is lost is missed, and an older one is not taken for it', async () => {
  const disk = await diskOfTwoOwners()
  const heir = await openLog(disk, [0])
  await writeEvent(heir, 0)
  await heir.close()
  const claim = disk.files.get(claimPath(0, 2))!
  expect(disk.files.has(claimPath(0, 1))).toBe(true)
  disk.files.delete(claimPath(0, 2))
  for (let start = 0; start < 2; start += 1) {
    const log = await openLog(disk, [0, 1])
    expect(log.refusedShards.get(0)).toMatchObject({ code: 'LogCorrupt', details: { path: claimPath(0, 2) } })
    expect(log.ownedShards.map(({ shard }) => shard)).toEqual([1])
    await log.close()
  }
  disk.files.set(claimPath(0, 2), claim)
  expect((await openLog(disk, [0])).ownedShards).toMatchObject([{ shard: 0, epoch: 3, seq: 2 }])
})

test.each<[string, (log: Log) => Promise<void>]>([
  ['killed', () => Promise.resolve()],
  ['killed after its segment was ended', (log) => endSegment(log)],
  ['closed', (log) => log.close()],
])('whoever takes over from a writer that was %s goes on above what that one has marked', async (_, end) => {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0])
  await writeEvent(former, 0)
  const promised = former.positions.last + 4096 * 60_000
  former.mark(promised)
  await former.append(former.cut())
  expect(former.positions.next()).toBeGreaterThan(promised)
  await end(former)
  // Its clock is a minute behind the mark.
  const heir = await openLog(disk, [0])
  expect(heir.positions.next()).toBeGreaterThan(promised)
  expect(heir.ownedShards).toMatchObject([{ shard: 0, seq: 1 }])
})

async function endSegment(log: Log): Promise<void> {
  log.rollOver()
  await log.append(log.cut())
  await log.indexed()
}

test('what power loss leaves of a last batch is no damage, though it be the batch but for one bit', async () => {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0, 1])
  const opened = former.head.end.offset
  const first = await writeEvent(former, 0)
  const second = former.head.end.offset
  await writeEvent(former, 0, { version: 2, previous: first })
  const versions = async (log: Log): Promise<number[]> => {
    const records = await Array.fromAsync(log.back(log.placement.stream(streamOf(log, 0))))
    return records.map(({ version }) => version)
  }
  for (const [from, to, expected] of [
    [0, opened, []],
    [second, former.head.end.offset, [2, 1]],
  ] as const) {
    for (let at = from; at < to; at += 1) {
      const left = copyOfDisk(disk)
      const file = left.files.get(segmentPath(1, 1))!
      if (to === opened) file.truncate(opened)
      const set = [0, 1, 2, 3, 4, 5, 6, 7].find((bit) => (file.live[at]! & (1 << bit)) !== 0)
      if (set === undefined) continue
      file.flip(at, set)
      const heir = await openLog(left, [0, 1])
      expect([...heir.refusedShards], `byte ${at}`).toEqual([])
      expect(await versions(heir), `byte ${at}`).toEqual(expected)
      // It stands where it counts as it was written.
      expect(await versions(await openLog(left, [0, 1])), `byte ${at}`).toEqual(expected)
    }
  }
})

test('an opening that is in doubt stands in no history: what power may take nobody looks for', async () => {
  const disk = new SimulatedDisk()
  await writeEvent(await openLog(disk, [0]), 0)
  // Both carry what was written, and the first one dies with the batch that says so in no place but the page cache.
  let isDying = false
  const dying = await openLog(disk, [1], ({ name }) => (isDying && name === 'write' ? 'die-after' : 'none'))
  for (const inheritance of await dying.inherit([0])) dying.open(inheritance)
  isDying = true
  await expect(dying.append(dying.cut())).rejects.toThrow()
  const heir = await openLog(disk, [0])
  expect(heir.ownedShards).toMatchObject([{ shard: 0, epoch: 3, seq: 1 }])
  expect(heir.reigns(0).map(({ epoch, journal }) => [epoch, journal])).toEqual([
    [1, 1],
    [3, 3],
  ])
})
