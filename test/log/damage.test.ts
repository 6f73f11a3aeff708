import { describe, expect, test } from 'vitest'
import { BatchBuilder } from '../../src/log/batch.ts'
import { flawOf } from '../../src/log/damage.ts'
import { indexPath, segmentPath } from '../../src/log/path.ts'
import { RecordKind } from '../../src/log/record.ts'
import { OpenIndex } from '../../src/log/segment-index.ts'
import { hash64 } from '../../src/log/stream.ts'
import { closingParts } from '../../src/log/take-over.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import type { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { deposit, type Harness } from '../actor/harness.ts'
import { A, B, pieces, recordsOf, smash, threeSegments, write, written, X, Y } from './damaged-log.ts'
import { emptyDisk, openPurses } from './small-log.ts'

async function refused(disk: SimulatedDisk): Promise<{ shards: number[]; harness: Harness }> {
  const harness = await openPurses(disk)
  for (const error of harness.log.refusedShards.values()) {
    expect(error).toMatchObject({ code: 'LogCorrupt', details: { path: expect.stringMatching(/\.log$/) as string } })
    expect(error.message).toContain('penhold verify')
  }
  return { shards: [...harness.log.refusedShards.keys()].toSorted((a, b) => a - b), harness }
}

describe('a batch of a dead worker that cannot be read keeps those shards closed that it may have touched', () => {
  test('a shard that goes on behind it without a gap is served, one that has lost an event is not', async () => {
    const disk = await written([A], [X], [A], [X], [B], [Y])
    smash(disk, (await recordsOf(disk, 3))[0]!)
    const { shards, harness } = await refused(disk)
    expect(shards).toEqual([0])
    expect(await harness.query(X, 'balance')).toMatchObject({ value: 2 })
    expect(await harness.query(Y, 'balance')).toMatchObject({ value: 1 })
    expect(await harness.query(A, 'balance')).toMatchObject({ kind: 'failed', failure: { code: 'LogCorrupt' } })
  })

  test('a shard of which nothing follows is not served, as nobody can tell', async () => {
    const disk = await written([A], [X], [A], [A])
    smash(disk, (await recordsOf(disk, 3))[0]!)
    expect((await refused(disk)).shards).toEqual([0, 1])
  })

  test('what is whole in the batch counts', async () => {
    const disk = await written([A], [X], [A, X], [B], [Y])
    const [first] = await recordsOf(disk, 3)
    smash(disk, first!)
    const { shards, harness } = await refused(disk)
    expect(shards).toEqual([0])
    expect(await harness.query(X, 'balance')).toMatchObject({ value: 2 })
  })

  test('a shard whose opening stood there is not taken for one that was never opened', async () => {
    const disk = await written([A], [X])
    const piece = (await pieces(disk, 1, 1))[0]
    const openings = piece?.kind === 'batch' ? piece.batch.records : []
    smash(disk, openings.find(({ shard }) => shard === 1)!.address.offset)
    expect((await refused(disk)).shards).toEqual([1])
  })

  test('it stays so for the owners after, who read the journal again as a sealed one', async () => {
    const disk = await written([A], [X], [A], [X], [B], [Y])
    smash(disk, (await recordsOf(disk, 3))[0]!)
    for (const balance of [3, 4, 5]) {
      const { shards, harness } = await refused(disk)
      expect(shards).toEqual([0])
      await write(harness, [[X]])
      expect(await harness.query(X, 'balance')).toMatchObject({ value: balance })
      await harness.worker.close()
    }
  })
})

describe('one flipped bit is told from a write that a crash interrupted', () => {
  test('in the last batch it loses nothing: an heir carries it over as it was written', async () => {
    const disk = await written([A], [X], [A, X])
    const [first] = await recordsOf(disk, 3)
    disk.files.get(segmentPath(1, 1))!.flip(first! + 40, 5)
    for (const balance of [2, 3, 4]) {
      const { shards, harness } = await refused(disk)
      expect(shards).toEqual([])
      expect(await harness.query(A, 'balance')).toMatchObject({ value: balance })
      expect(await harness.query(X, 'balance')).toMatchObject({ value: balance })
      await write(harness, [[A, X]])
    }
  })

  test('in a batch with another behind it, it keeps the shard of its record closed', async () => {
    const disk = await written([A], [X], [A, X], [B], [Y])
    const [first] = await recordsOf(disk, 3)
    disk.files.get(segmentPath(1, 1))!.flip(first! + 40, 5)
    const { shards, harness } = await refused(disk)
    expect(shards).toEqual([0])
    expect(await harness.query(X, 'balance')).toMatchObject({ value: 2 })
  })

  test('in the header of a batch it touches no record, and all is served', async () => {
    const disk = await written([A], [X], [A, X])
    const [first] = await recordsOf(disk, 3)
    for (let at = first! - 48; at < first!; at += 5) disk.files.get(segmentPath(1, 1))!.flip(at, at % 8)
    expect((await pieces(disk, 1, 1)).at(-1)).toMatchObject({ kind: 'end', isTorn: true })
    for (let at = first! - 48; at < first!; at += 5) disk.files.get(segmentPath(1, 1))!.flip(at, at % 8)
    for (let at = first! - 48; at < first!; at += 1) {
      disk.files.get(segmentPath(1, 1))!.flip(at, at % 8)
      const flipped = (await pieces(disk, 1, 1)).find(({ kind }) => kind === 'flipped')
      expect(flipped, `byte ${at}`).toMatchObject({ flipped: { offset: at, mask: 1 << (at % 8), harmed: undefined } })
      disk.files.get(segmentPath(1, 1))!.flip(at, at % 8)
    }
    disk.files.get(segmentPath(1, 1))!.flip(first! - 40, 0)
    const { shards, harness } = await refused(disk)
    expect(shards).toEqual([])
    expect(await harness.query(A, 'balance')).toMatchObject({ value: 2 })
    expect(await harness.query(X, 'balance')).toMatchObject({ value: 2 })
  })

  test('a batch of which sectors are missing is torn, and its commands never were', async () => {
    const disk = await written([A], [X], [A, X])
    const [first] = await recordsOf(disk, 3)
    disk.files.get(segmentPath(1, 1))!.live.fill(0, first! + 100, first! + 300)
    const { shards, harness } = await refused(disk)
    expect(shards).toEqual([])
    expect(await harness.query(A, 'balance')).toMatchObject({ value: 1 })
  })
})

describe('a segment file that is lost is noticed', () => {
  test.each([1, 2, 3])('segment %i of three', async (segment) => {
    const disk = await threeSegments()
    disk.files.delete(segmentPath(1, segment))
    disk.files.delete(indexPath(1, segment))
    expect((await refused(disk)).shards).toEqual([0, 1])
  })

  test('the last one also where nothing was written into it yet', async () => {
    const disk = emptyDisk()
    const harness = await openPurses(disk)
    while (!disk.files.has(segmentPath(1, 2))) await write(harness, [[A], [X]])
    expect(disk.files.get(segmentPath(1, 2))!.live).toHaveLength(0)
    disk.files.delete(segmentPath(1, 2))
    expect((await refused(disk)).shards).toEqual([0, 1])
  })

  test('a crash between the making of the next segment and the last batch of the one before is no loss', async () => {
    const disk = emptyDisk()
    let onStopped = (): void => undefined
    const stopped = new Promise<'stopped'>((resolve) => (onStopped = () => resolve('stopped')))
    let balance = 0
    const harness = await openPurses(disk, new SimulatedClock(), ({ name }) => {
      if (name !== 'write' || !disk.files.has(segmentPath(1, 2))) return 'none'
      onStopped()
      return new Promise(() => undefined)
    })
    while ((await Promise.race([harness.ask(deposit(A, 1)), stopped])) !== 'stopped') balance += 1
    expect(disk.files.has(segmentPath(1, 2))).toBe(true)
    const { shards, harness: heir } = await refused(disk)
    expect(shards).toEqual([])
    expect(await heir.query(A, 'balance')).toMatchObject({ value: balance })
  })
})

describe('a segment of an owner long before, without its index, whose last batch is damaged', () => {
  test('is not taken for one that ends early: the next segment shows that it did not', async () => {
    const disk = await threeSegments()
    await (await openPurses(disk)).worker.close()
    const batches = await pieces(disk, 1, 1)
    const last = batches.findLast(({ kind }) => kind === 'batch')
    const records = last?.kind === 'batch' ? last.batch.records : []
    smash(disk, records[0]!.address.offset)
    expect((await refused(disk)).shards).toEqual([])
    disk.files.delete(indexPath(1, 1))
    const { shards } = await refused(disk)
    expect(shards).toEqual([records[0]!.shard])
  })
})

test('a shard whose seq jumps where nothing is damaged is refused', () => {
  const builder = new BatchBuilder(hash64('test', 0))
  builder.begin({ journal: 1, segment: 1, offset: 0, number: 1 })
  for (const seq of [1, 3]) {
    builder.add(
      { shard: 0, hash: { high: 1, low: 2 }, bytes: Buffer.from(A) },
      { ...closingParts(0), kind: RecordKind.event, seq, version: seq, position: seq, type: Buffer.from('Noted') },
    )
  }
  const index = new OpenIndex(1, 1)
  for (const record of builder.records()) index.addRecord(record)
  expect(index.isSound).toBe(false)
  expect(flawOf(0, [index])).toMatchObject({ problem: 'shard 0 goes from seq 1 to 3' })
  expect(flawOf(1, [index])).toBeUndefined()
})
