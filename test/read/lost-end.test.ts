import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import type { Log } from '../../src/log/log.ts'
import { acceptLoss, type Loss } from '../../src/log/losses.ts'
import { indexPath, segmentPath } from '../../src/log/path.ts'
import type { Address } from '../../src/log/record.ts'
import { hash64 } from '../../src/log/stream.ts'
import { AllReader, BEGINNING, type AcceptedLoss } from '../../src/read/all.ts'
import { recordsOf } from '../../src/read/journal-records.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { smash } from '../log/damaged-log.ts'
import { addEvent, openLog, writeEvent } from '../log/noted.ts'

/** Everything that there is, by shard and `seq`, as the owner of both shards has it. */
async function readAll(
  disk: SimulatedDisk,
  owner: Log,
  {
    after = BEGINNING,
    upTo = [] as readonly number[],
    isWanted = undefined as ((type: string) => boolean) | undefined,
  } = {},
) {
  const seen: string[] = []
  const losses: AcceptedLoss[] = []
  const { head } = owner
  const reigns = new Map([0, 1].map((shard) => [shard, owner.reigns(shard)]))
  const ends = new Map([[head.journal, head.end]])
  const [storage, clock] = [new SimulatedStorage(disk), new SimulatedClock()]
  const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
  const reader = new AllReader(catalog, { after, onLoss: (loss) => losses.push(loss), isWanted })
  for (const position of [...upTo, head.position]) {
    const pages = await Array.fromAsync(reader.advance({ reigns, ends, position }))
    seen.push(...pages.flat().map(({ shard, seq }) => `${shard}/${seq}`))
  }
  return { seen, losses }
}

/** The journal ends there. */
function cutAt(disk: SimulatedDisk, { journal, segment, offset }: Address): void {
  disk.files.get(segmentPath(journal, segment))!.truncate(offset)
}

async function accept(disk: SimulatedDisk, place: Address, loss: Loss): Promise<void> {
  await acceptLoss(new SimulatedStorage(disk), place, loss)
}

test('whoever reads everything misses the end of a segment, though nothing of its shard follows', async () => {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0, 1])
  await writeEvent(log, 0)
  const { offset } = log.head.end
  const lost = addEvent(log, 0, log.positions.next())
  log.rollOver()
  await log.append(log.cut())
  await writeEvent(log, 1)
  expect((await readAll(disk, log)).seen).toEqual(['0/1', '0/2', '1/1'])
  cutAt(disk, lost)
  await expect(readAll(disk, log)).rejects.toMatchObject({ code: 'LogCorrupt' })
  await accept(disk, lost, { from: offset })
  expect((await readAll(disk, log)).seen).toEqual(['0/1', '1/1'])
})

/**
 * An owner of both shards has carried over the second event of shard 0, has written so many more and one of shard 1, and was
 * taken over from in its turn: what it wrote last was carried over.
 */
async function takenOver(more = 1) {
  const disk = new SimulatedDisk()
  const first = await openLog(disk, [0])
  await writeEvent(first, 0)
  const upTo = [first.head.position]
  await writeEvent(first, 0)
  const former = await openLog(disk, [0, 1])
  const opened = former.head.end
  const [third] = await Array.fromAsync({ length: more }, () => writeEvent(former, 0))
  const inDoubt = await writeEvent(former, 1)
  const heir = await openLog(disk, [0, 1])
  expect((await readAll(disk, heir)).seen).toEqual(['0/1', '0/2', ...(more > 0 ? ['0/3'] : []), '1/1'])
  return { disk, heir, opened, third: third!, inDoubt, upTo }
}

test('and that of a journal which was taken over from', async () => {
  const { disk, heir, opened, third, upTo } = await takenOver()
  cutAt(disk, third)
  await expect(readAll(disk, heir)).rejects.toMatchObject({ code: 'LogCorrupt' })
  await expect(readAll(disk, heir, { upTo })).rejects.toMatchObject({ code: 'LogCorrupt' })
  await accept(disk, third, { from: opened.offset })
  const losses = [{ shard: 0, firstSeq: 3, lastSeq: 3 }]
  expect(await readAll(disk, heir)).toEqual({ seen: ['0/1', '0/2', '1/1'], losses })
})

test.each(['Noted', 'Rare'])('but for a last batch that was in doubt, by whoever wants %s alone', async (wanted) => {
  for (const more of [0, 1]) {
    const { disk, heir, inDoubt, upTo } = await takenOver(more)
    const isWanted = (type: string): boolean => type === `a/${wanted}@1`
    cutAt(disk, inDoubt)
    await readAll(disk, heir, { isWanted })
    await readAll(disk, heir, { isWanted, upTo })
  }
})

test('but for a last batch that was in doubt, as power takes it', async () => {
  const { disk, heir, inDoubt, upTo } = await takenOver(0)
  cutAt(disk, inDoubt)
  const losses: AcceptedLoss[] = []
  expect(await readAll(disk, heir, { upTo })).toEqual({ seen: ['0/1', '0/2', '1/1'], losses })
})

test('what was taken over from before the place where somebody begins is nothing to go on from', async () => {
  const { disk, heir, inDoubt } = await takenOver()
  cutAt(disk, inDoubt)
  await writeEvent(heir, 0)
  heir.rollOver()
  await heir.append(heir.cut())
  await writeEvent(heir, 1)
  const after = { position: heir.head.position, shard: 1 }
  await writeEvent(heir, 0)
  expect((await readAll(disk, heir, { after, upTo: [after.position] })).seen).toEqual(['0/5'])
})

test('what was accepted as lost before the last event that was read excuses nothing behind it', async () => {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0, 1])
  await writeEvent(former, 0)
  const second = await writeEvent(former, 0)
  const third = await writeEvent(former, 0)
  await writeEvent(former, 1)
  const path = segmentPath(former.journal, 1)
  smash(disk, second.offset, path)
  await accept(disk, second, { from: second.offset - 200, to: third.offset + 10_000 })
  const heir = await openLog(disk, [0, 1])
  await writeEvent(heir, 0)
  const lost = await writeEvent(heir, 0)
  await writeEvent(heir, 1)
  const owner = await openLog(disk, [0, 1])
  const losses = [{ shard: 0, firstSeq: 2, lastSeq: 2 }]
  expect(await readAll(disk, owner)).toMatchObject({ losses })
  cutAt(disk, lost)
  await expect(readAll(disk, owner)).rejects.toMatchObject({ code: 'LogCorrupt' })
})

test('nothing is missed by who goes on at the end of a segment', async () => {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0, 1])
  await writeEvent(log, 0)
  const { offset } = log.head.end
  log.rollOver()
  await log.append(log.cut())
  await writeEvent(log, 1)
  const [storage, clock] = [new SimulatedStorage(disk), new SimulatedClock()]
  const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
  const { journal, end: to } = log.head
  const size = disk.files.get(segmentPath(journal, 1))!.live.length
  const runsFrom = (from: number) =>
    Array.fromAsync(recordsOf(catalog, { journal, from: { segment: 1, offset: from }, to, isDurable: true }))
  expect((await runsFrom(offset)).map(({ isPart }) => isPart)).toEqual([undefined, undefined])
  expect((await runsFrom(size)).map(({ isPart }) => isPart)).toEqual([undefined])
})

test('whoever wants few types misses it as well, where such a one may have stood there', async () => {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0, 1])
  await writeEvent(log, 0)
  const { offset } = log.head.end
  const lost = addEvent(log, 0, log.positions.next(), { type: 'Rare' })
  log.rollOver()
  await log.append(log.cut())
  await writeEvent(log, 1)
  await log.indexed()
  const isWanted = (type: string): boolean => type === 'a/Rare@1'
  expect((await readAll(disk, log, { isWanted })).seen).toContain('0/2')
  cutAt(disk, lost)
  disk.files.delete(indexPath(log.head.journal, 1))
  await expect(readAll(disk, log, { isWanted })).rejects.toMatchObject({ code: 'LogCorrupt' })
  await accept(disk, lost, { from: offset })
  await readAll(disk, log, { isWanted })
})

test('and where it stood in the last segment of an owner that closed', async () => {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0, 1])
  await writeEvent(former, 0)
  const { journal, end } = former.head
  const lost = await writeEvent(former, 0, { type: 'Rare' })
  await former.close()
  const heir = await openLog(disk, [0, 1])
  await writeEvent(heir, 1)
  const isWanted = (type: string): boolean => type === 'a/Rare@1'
  expect((await readAll(disk, heir, { isWanted })).seen).toContain('0/2')
  cutAt(disk, lost)
  disk.files.delete(indexPath(journal, 1))
  await expect(readAll(disk, heir, { isWanted })).rejects.toMatchObject({ code: 'LogCorrupt' })
  await accept(disk, lost, { from: end.offset })
  expect((await readAll(disk, heir, { isWanted })).losses).toEqual([{ shard: 0, firstSeq: 2, lastSeq: 2 }])
})

test('but for the end of an owner that closed, as power takes it', async () => {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0, 1])
  await writeEvent(former, 0)
  const { journal, segment, offset } = { journal: former.head.journal, ...former.head.end }
  await former.close()
  const heir = await openLog(disk, [0, 1])
  await writeEvent(heir, 1)
  cutAt(disk, { journal, segment, offset })
  disk.files.delete(indexPath(journal, 1))
  const isWanted = (type: string): boolean => type === 'a/Rare@1'
  expect(await readAll(disk, heir, { isWanted })).toMatchObject({ losses: [] })
  expect(await readAll(disk, heir)).toEqual({ seen: ['0/1', '1/1'], losses: [] })
})

const HARMS = [
  ['what cannot be read', smash],
  [
    'one flipped bit',
    (disk: SimulatedDisk, offset: number, path: string) => disk.files.get(path)!.flip(offset + 40, 0),
  ],
] as const

test.each(HARMS)('%s of a journal long before the place where somebody begins stops nobody', async (_, harm) => {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0, 1])
  await writeEvent(former, 0)
  const harmed = await writeEvent(former, 0)
  former.mark(former.positions.next())
  await former.append(former.cut())
  await former.close()
  const heir = await openLog(disk, [0, 1])
  await writeEvent(heir, 0)
  const after = { position: heir.head.position, shard: 0 }
  await writeEvent(heir, 0)
  harm(disk, harmed.offset, segmentPath(former.journal, 1))
  for (const isIndexGone of [false, true]) {
    if (isIndexGone) disk.files.delete(indexPath(former.journal, 1))
    expect((await readAll(disk, heir, { after })).seen).toEqual(['0/4'])
  }
  await expect(readAll(disk, heir)).rejects.toMatchObject({ code: 'LogCorrupt' })
})

/** The second event of a shard, behind which its owner has written nothing but a mark, and where somebody begins before it. */
async function lastEvent() {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0, 1])
  await writeEvent(log, 0)
  const after = { position: log.head.position, shard: 0 }
  const last = await writeEvent(log, 0)
  log.mark(log.positions.next())
  await log.append(log.cut())
  return { disk, log, last, after }
}

test.each(HARMS)('but for %s of a journal that is still written', async (_, harm) => {
  const { disk, log, last, after } = await lastEvent()
  harm(disk, last.offset, segmentPath(log.journal, 1))
  await expect(readAll(disk, log, { after })).rejects.toMatchObject({ code: 'LogCorrupt' })
})

test('and for what cannot be read of one that somebody took over from behind that place', async () => {
  const { disk, log, last, after } = await lastEvent()
  const heir = await openLog(disk, [0, 1])
  smash(disk, last.offset, segmentPath(log.journal, 1))
  await expect(readAll(disk, heir, { after })).rejects.toMatchObject({ code: 'LogCorrupt' })
})
