/** Bad files that were found, by name: what is wrong in them stands behind checks that are right. */
import { describe, expect, test } from 'vitest'
import { BatchBuilder, readBatch } from '../../src/log/batch.ts'
import { Catalog } from '../../src/log/catalog.ts'
import { decode, encode } from '../../src/log/codec.ts'
import { FilePool } from '../../src/log/file-pool.ts'
import type { Head } from '../../src/log/index-head.ts'
import { claimPath, indexPath, segmentPath } from '../../src/log/path.ts'
import { Block, NOWHERE } from '../../src/log/record.ts'
import { readSegment } from '../../src/log/scan.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { hash64, StreamPlacement } from '../../src/log/stream.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { CLUSTER, diskOf, logImage, openLog } from './log-directory.ts'
import { recordPlaces } from './record-fields.ts'
import { resealClaim, resealIndex, resealSegment } from './reseal.ts'

const SEGMENT = { journal: 3, segment: 1 }

async function harmed(path: string, content: Uint8Array): Promise<SimulatedDisk> {
  return diskOf(new Map([...(await logImage()), [path, content]]))
}

async function segmentOf({ journal, segment }: typeof SEGMENT): Promise<Buffer> {
  return Buffer.from((await logImage()).get(segmentPath(journal, segment))!)
}

describe('claims with a check that is right', () => {
  test.each([
    ['null', 'null'],
    ['no JSON', '{"shard":0'],
    ['a journal that is no number', '{"shard":0,"epoch":3,"journal":{},"node":"n"}'],
    ['a journal beyond all numbers', '{"shard":0,"epoch":3,"journal":1e300,"node":"n"}'],
  ])('%s: the shard is refused, the others are served', async (_, json) => {
    const disk = await harmed(claimPath(0, 3), Buffer.from(resealClaim(`${json}\n`)))
    const log = await openLog(new SimulatedStorage(disk))
    expect(log.refusedShards.get(0)).toMatchObject({ code: 'LogCorrupt' })
    expect(log.ownedShards.map(({ shard }) => shard)).toEqual([1])
  })

  test('a name that is a greater number than there can be is no claim', async () => {
    const disk = await harmed(claimPath(0, 2 ** 60), Buffer.from('x'))
    expect((await openLog(new SimulatedStorage(disk))).ownedShards.map(({ epoch }) => epoch)).toEqual([4, 4])
  })
})

describe('indexes with a check that is right', () => {
  test.each<[string, (head: Head) => unknown]>([
    ['a head that is null', () => null],
    ['without sections', (head) => ({ ...head, sections: undefined })],
    ['event types that are numbers', (head) => ({ ...head, eventTypes: [1] })],
    ['an end that is no number', (head) => ({ ...head, end: 'x' })],
    ['a last batch behind the end', (head) => ({ ...head, lastBatchOffset: head.end })],
    ['batches that count backwards', (head) => ({ ...head, firstBatchNumber: head.lastBatchNumber + 1 })],
    ['a section that is longer than the file', (head) => withSection(head, { entries: 2 ** 40 })],
    ['a section without a filter', (head) => withSection(head, { filterBytes: 0 })],
    ['a section without openings', (head) => withSection(head, { opened: undefined })],
    ['an opening behind the end', (head) => withSection(head, { opened: [[1, head.end]] })],
  ])('%s: made again from the segment', async (_, change) => {
    const bytes = Buffer.from((await logImage()).get(indexPath(1, 1))!)
    const headBytes = bytes.readUInt32LE(8)
    const head = encode(change(decode(bytes, 16, 16 + headBytes) as Head))
    bytes.writeUInt32LE(head.length, 8)
    const changed = Buffer.concat([bytes.subarray(0, 16), head, bytes.subarray(16 + headBytes)])
    resealIndex(changed)
    const storage = new SimulatedStorage(await harmed(indexPath(1, 1), changed))
    const catalog = new Catalog({ storage, clock: new SimulatedClock(), cluster: hash64(CLUSTER, 0), shards: 2 })
    expect([...(await catalog.index(1, 1, 0)).eventTypes]).toEqual(['a/Noted@1', 'b/Noted@1'])
    expect(catalog.indexesRebuilt).toBe(1)
  })

  function withSection(head: Head, more: object): unknown {
    return { ...head, sections: head.sections.map((section) => ({ ...section, ...more })) }
  }
})

describe('segments with checks that are right', () => {
  test('a chain that leads back to itself is no chain, and nobody walks it for ever', async () => {
    const bytes = await segmentOf(SEGMENT)
    for (const at of recordPlaces(bytes)) {
      if (bytes.readUInt32LE(at + 48) === 0) continue
      for (const [i, number] of [SEGMENT.journal, SEGMENT.segment, at].entries()) {
        bytes.writeUInt32LE(number, at + 48 + i * 4)
      }
    }
    resealSegment(bytes, SEGMENT)
    const log = await openLog(new SimulatedStorage(await harmed(segmentPath(3, 1), bytes)))
    const stream = log.placement.stream('a/1')
    await expect(log.tail(stream, () => false)).rejects.toMatchObject({ code: 'LogCorrupt' })
    await expect(Array.fromAsync(log.back(stream))).rejects.toMatchObject({ code: 'LogCorrupt' })
  })

  test('an opening that is none: the shard is refused', async () => {
    const bytes = await segmentOf(SEGMENT)
    const opening = recordPlaces(bytes).find((at) => bytes[at + 8] === 3)!
    const shard = bytes.readUInt16LE(opening + 10)
    // `{ shard, epoch, reigns, carried }` has `reignX` instead.
    bytes.write('X', bytes.indexOf('reigns', opening) + 5)
    resealSegment(bytes, SEGMENT)
    const log = await openLog(new SimulatedStorage(await harmed(segmentPath(3, 1), bytes)))
    expect(log.refusedShards.get(shard)).toMatchObject({ code: 'LogCorrupt' })
    expect(log.ownedShards).toHaveLength(1)
  })

  test('a last batch with a record of another epoch between those to carry: the shard is refused, nothing is written', async () => {
    const image = await logImage()
    const path = [...image.keys()]
      .filter(
        (name) =>
          name.startsWith('journals/00000003') &&
          name.endsWith('.log') &&
          recordPlaces(Buffer.from(image.get(name)!)).length > 0,
      )
      .at(-1)!
    const bytes = Buffer.from(image.get(path)!)
    const segment = Number(path.slice(-10, -4))
    const last = recordPlaces(bytes).slice(-6)
    bytes.writeUInt32LE(2, last.find((at) => bytes[at + 8] === 1 && bytes.readUInt16LE(at + 10) === 0)! + 12)
    resealSegment(bytes, { journal: 3, segment })
    const log = await openLog(new SimulatedStorage(await harmed(path, bytes)))
    expect(log.refusedShards.get(0)).toMatchObject({ code: 'LogCorrupt' })
    expect(log.ownedShards.map(({ shard }) => shard)).toEqual([1])
  })

  test.each<[string, number, number]>([
    ['with more data than it has bytes', 104, 0x7f],
    ['with a seq beyond 53 bits', 39, 0xff],
    ['with a position beyond 53 bits', 47, 0xff],
  ])('a record %s makes its batch none', (_, at, value) => {
    const bytes = Buffer.from(batchAt(0))
    bytes[48 + at] = value
    resealSegment(bytes, { journal: 1, segment: 1 })
    const identity = { journal: 1, segment: 1, offset: 0, cluster: hash64(CLUSTER, 0) }
    expect(readBatch(new Block(Uint8Array.from(batchAt(0))), 0, identity).kind).toBe('batch')
    expect(readBatch(new Block(Uint8Array.from(bytes)), 0, identity)).toEqual({ kind: 'none' })
  })

  test("what looks like batches' beginnings within events is not read on its word", async () => {
    const fake = Buffer.from(batchAt(0).subarray(0, 48))
    fake.writeUInt32LE(32 * 1024 * 1024, 4)
    // As an event's data could hold it: without the hash of the cluster's id, which no user knows.
    fake.fill(7, 40)
    const torn = Buffer.concat(Array.from({ length: 2_000 }, () => fake))
    const disk = diskOf(new Map([[segmentPath(1, 1), Buffer.concat([batchAt(0), torn])]]))
    let reads = 0
    const storage = new SimulatedStorage(disk, ({ name }) => {
      if (name === 'read') reads += 1
      return 'none'
    })
    const identity = { journal: 1, segment: 1, cluster: hash64(CLUSTER, 0) }
    const pieces = await Array.fromAsync(readSegment(new FilePool(storage), identity))
    expect(pieces.at(-1)).toMatchObject({ kind: 'end', isTorn: true })
    // The header of each, and the body of none.
    expect(reads).toBeLessThan(2_010)
  })

  function batchAt(offset: number): Buffer {
    const builder = new BatchBuilder(hash64(CLUSTER, 0))
    builder.begin({ journal: 1, segment: 1, offset, number: 1 })
    const parts = {
      kind: 1 as const,
      epoch: 1,
      seq: 1,
      version: 1,
      payloadHash: 0,
      position: 1,
      time: 1,
      typeVersion: 1,
    }
    const id = new Uint8Array(16)
    const bytes = { eventId: id, commandId: sliceOf(id), type: id.subarray(0, 1), data: sliceOf(encode(1)) }
    builder.add(new StreamPlacement(CLUSTER, 2).stream('a/1'), {
      ...parts,
      ...bytes,
      previous: NOWHERE,
      metadata: new Uint8Array(),
    })
    return Buffer.from(builder.finish(false))
  }
})
