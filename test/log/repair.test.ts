import { describe, expect, test } from 'vitest'
import { claimPath, indexPath, lossPath, segmentPath } from '../../src/log/path.ts'
import { acceptLosses, mendFile, remakeIndexes } from '../../src/log/repair.ts'
import { verify, type Verification } from '../../src/log/verify/verify.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import type { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { deposit } from '../actor/harness.ts'
import { A, B, pieces, recordsOf, smash, threeSegments, written, X, Y } from './damaged-log.ts'
import { addEvent, openLog, writeEvent } from './noted.ts'
import { copyOfDisk, emptyDisk, openPurses, writeSmallLog } from './small-log.ts'

const clock = new SimulatedClock()

function check(disk: SimulatedDisk): Promise<Verification> {
  return verify({ storage: new SimulatedStorage(disk), clock })
}

async function acceptLoss(disk: SimulatedDisk, file: string): Promise<void> {
  const { survey, identity, findings } = await check(disk)
  expect(findings.kept.some(({ remedy }) => remedy.includes(`--accept-loss ${file}`))).toBe(true)
  const before = disk.files.get(file)?.live
  const repairs = await acceptLosses({ storage: new SimulatedStorage(disk), clock, identity, survey }, file)
  expect(repairs).toHaveLength(1)
  expect(disk.files.get(file)?.live).toEqual(before)
}

async function expectClean(disk: SimulatedDisk): Promise<void> {
  const { findings } = await check(disk)
  expect(findings.kept.filter(({ severity }) => severity === 'damage')).toEqual([])
}

describe('a loss that was accepted', () => {
  test('opens the shard, serves what survives through later lives, and refuses the stream with the hole', async () => {
    const disk = await written([A], [B], [X], [A], [B], [Y], [A])
    smash(disk, (await recordsOf(disk, 4))[0]!)
    const { findings } = await check(disk)
    expect(findings.kept).toEqual([
      expect.objectContaining({
        file: segmentPath(1, 1),
        meaning: expect.stringContaining('shard 0 lost something') as string,
      }),
      expect.objectContaining({
        meaning: expect.stringContaining('shard 0 had seq 3 there: 1 of its events') as string,
      }),
      expect.objectContaining({ problem: `event 2 of ${A} cannot be read` }),
    ])
    expect((await openPurses(copyOfDisk(disk))).log.refusedShards.size).toBe(1)
    await acceptLoss(disk, segmentPath(1, 1))
    for (const life of [1, 2, 3]) {
      await expectClean(disk)
      const harness = await openPurses(disk)
      expect(harness.log.refusedShards.size).toBe(0)
      expect(await harness.query(A, 'balance')).toMatchObject({ kind: 'failed', failure: { code: 'LogCorrupt' } })
      expect(await harness.ask(deposit(B, 1))).toMatchObject({ kind: 'accepted', version: 2 + life })
      expect(await harness.query(B, 'balance')).toMatchObject({ value: 2 + life })
      expect(await harness.query(X, 'balance')).toMatchObject({ value: 1 })
      if (life !== 2) await harness.worker.close()
    }
    await expectClean(disk)
  })

  test('keeps what survives also where what stood behind it was in the page cache alone, and power is lost', async () => {
    for (let seed = 0; seed < 5; seed += 1) {
      const disk = emptyDisk()
      let dies = false
      const log = await openLog(disk, [0, 1], ({ name }) => (dies && name === 'sync' ? 'die-before' : 'none'))
      const lost = addEvent(log, 0, log.positions.next())
      addEvent(log, 0, log.positions.next())
      await log.append(log.cut())
      dies = true
      await writeEvent(log, 1).catch(() => undefined)
      const file = disk.files.get(segmentPath(1, 1))!
      for (const bit of [0, 2, 5]) for (let at = 40; at < 60; at += 1) file.flip(lost.offset + at, bit)
      await acceptLoss(disk, segmentPath(1, 1))
      disk.losePower(new SeededRandom(seed))
      const heir = await openLog(disk, [0, 1])
      expect(heir.refusedShards.size).toBe(0)
      expect(heir.ownedShards.find(({ shard }) => shard === 0)).toMatchObject({ seq: 2 })
    }
  })

  test('leaves a stream alone that has a snapshot behind the hole', async () => {
    const disk = await written([A], [A], [X], [A], [A], [A])
    smash(disk, (await recordsOf(disk, 2))[0]!)
    await acceptLoss(disk, segmentPath(1, 1))
    const harness = await openPurses(disk)
    expect(await harness.query(A, 'balance')).toMatchObject({ value: 5 })
    await expectClean(disk)
  })

  test('at the end of what a dead worker wrote lets its shards go on from there', async () => {
    const disk = await written([A], [X], [A], [X])
    smash(disk, (await recordsOf(disk, 3))[0]!)
    expect((await openPurses(copyOfDisk(disk))).log.refusedShards.size).toBe(1)
    await acceptLoss(disk, segmentPath(1, 1))
    const harness = await openPurses(disk)
    expect(await harness.ask(deposit(A, 1))).toMatchObject({ kind: 'accepted', version: 2 })
    expect(await harness.query(X, 'balance')).toMatchObject({ value: 2 })
    await harness.worker.close()
    await expectClean(disk)
  })

  test.each([1, 2, 3])('of the file of segment %i lets the shards open', async (segment) => {
    const disk = await threeSegments()
    disk.files.delete(segmentPath(1, segment))
    disk.files.delete(indexPath(1, segment))
    await acceptLoss(disk, segmentPath(1, segment))
    const harness = await openPurses(disk)
    expect(harness.log.refusedShards.size).toBe(0)
    await harness.ask(deposit('purse/new', 7))
    expect(await harness.query('purse/new', 'balance')).toMatchObject({ value: 7 })
    await harness.worker.close()
    await expectClean(disk)
  })

  test('of an opening says which events do not count any more', async () => {
    const disk = await written([A], [X])
    await (await openPurses(disk)).worker.close()
    const harness = await openPurses(disk)
    await harness.ask(deposit(X, 5))
    await harness.ask(deposit(A, 5))
    const piece = (await pieces(disk, 3, 1))[0]
    const opening = piece?.kind === 'batch' ? piece.batch.records.find(({ shard }) => shard === 1)! : undefined
    smash(disk, opening!.address.offset, segmentPath(3, 1))
    expect([...(await openPurses(copyOfDisk(disk))).log.refusedShards.keys()]).toEqual([1])
    await acceptLoss(disk, segmentPath(3, 1))
    const { findings } = await check(disk)
    expect(findings.kept.map(({ meaning }) => meaning)).toContainEqual(
      expect.stringContaining(`it is event 2 of ${X} (Deposited, seq 2 of shard 1)`),
    )
    const heir = await openPurses(disk)
    expect(await heir.query(X, 'balance')).toMatchObject({ value: 1 })
    expect(await heir.query(A, 'balance')).toMatchObject({ value: 6 })
    await heir.worker.close()
    await expectClean(disk)
  })

  test('of a header alone loses nothing, and verify knows what the openings behind it began', async () => {
    const disk = await written([A], [X])
    const [first] = await recordsOf(disk, 0)
    disk.files.get(segmentPath(1, 1))!.live.fill(0xaa, first! - 48, first! - 46)
    await acceptLoss(disk, segmentPath(1, 1))
    const { findings, events } = await check(disk)
    expect(findings.kept.map(({ problem }) => problem)).toEqual([expect.stringContaining('was accepted as lost')])
    expect(events).toBe(2)
    const harness = await openPurses(disk)
    expect(await harness.query(A, 'balance')).toMatchObject({ value: 1 })
    expect(await harness.query(X, 'balance')).toMatchObject({ value: 1 })
  })

  test('is not one that comes later', async () => {
    const disk = await written([A], [B], [X], [A], [B], [Y], [A], [B], [X], [A])
    smash(disk, (await recordsOf(disk, 4))[0]!)
    await acceptLoss(disk, segmentPath(1, 1))
    smash(disk, (await recordsOf(disk, 7))[0]!)
    expect([...(await openPurses(copyOfDisk(disk))).log.refusedShards.keys()]).toEqual([0])
    await acceptLoss(disk, segmentPath(1, 1))
    await expectClean(disk)
    disk.files.get(lossPath(1, 1))!.flip(10, 1)
    expect((await check(disk)).findings.kept[0]).toMatchObject({ severity: 'damage', file: lossPath(1, 1) })
    expect((await openPurses(disk)).log.refusedShards.size).toBe(2)
  })
})

describe('what is known for certain is mended', () => {
  test('claims that are lost are written again from the journals that opened their epochs', async () => {
    const { disk } = await writeSmallLog(1)
    const path = claimPath(1, 3)
    const { live } = disk.files.get(path)!
    disk.files.delete(path)
    const { survey, identity, findings } = await check(disk)
    expect(findings.kept).toMatchObject([{ severity: 'damage', file: path, problem: 'the claim is missing' }])
    await mendFile({ storage: new SimulatedStorage(disk), clock, identity, survey }, path)
    expect(JSON.parse(Buffer.from(disk.files.get(path)!.live).toString().split('\n')[0]!)).toEqual({
      ...(JSON.parse(Buffer.from(live).toString().split('\n')[0]!) as object),
      node: 'penhold repair',
    })
    await expectClean(disk)
  })

  test('claims that are right, or that nobody needs any more, are left alone', async () => {
    const { disk } = await writeSmallLog(1)
    const { survey, identity } = await check(disk)
    const options = { storage: new SimulatedStorage(disk), clock, identity, survey }
    const before = new Map([...disk.files].map(([path, { live }]) => [path, live]))
    for (const epoch of [1, 2, 3]) expect(await mendFile(options, claimPath(0, epoch))).toBeUndefined()
    expect(new Map([...disk.files].map(([path, { live }]) => [path, live]))).toEqual(before)
    await expectClean(disk)
  })

  test('indexes that are missing are made again', async () => {
    const { disk } = await writeSmallLog(4)
    const before = new Map([...disk.files].map(([path, { live }]) => [path, live.length]))
    for (const journal of [1, 2, 3]) disk.files.delete(indexPath(journal, 1))
    const { survey, identity, findings } = await check(disk)
    expect(findings).toMatchObject({ damages: 0 })
    await remakeIndexes({ storage: new SimulatedStorage(disk), clock, identity, survey })
    expect(new Map([...disk.files].map(([path, { live }]) => [path, live.length]))).toEqual(before)
    await expectClean(disk)
  })

  test('nothing is made up for what is not known', async () => {
    const disk = await written([A], [X], [A])
    smash(disk, (await recordsOf(disk, 2))[0]!)
    const { survey, identity } = await check(disk)
    const options = { storage: new SimulatedStorage(disk), clock, identity, survey }
    expect(await mendFile(options, segmentPath(1, 1))).toBeUndefined()
    expect(await mendFile(options, 'lock')).toBeUndefined()
    expect(await acceptLosses(options, claimPath(0, 1))).toEqual([])
    expect([...disk.files.keys()].some((path) => path.startsWith('repaired'))).toBe(false)
  })
})
