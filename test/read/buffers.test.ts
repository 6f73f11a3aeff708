import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import type { LogRecord } from '../../src/log/record.ts'
import { toRecordedEvent } from '../../src/log/recorded-event.ts'
import { hash64 } from '../../src/log/stream.ts'
import { Bell } from '../../src/read/bell.ts'
import { toPages } from '../../src/read/feed-event.ts'
import { KnownTails } from '../../src/read/known-tails.ts'
import { SharedJournals } from '../../src/read/shared-journals.ts'
import { Source } from '../../src/read/source.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { openLog, writeEvent } from '../log/noted.ts'

const MIB = 1024 * 1024

function recordOf(position: number, length: number, version = 1): LogRecord {
  const id = { bytes: new Uint8Array(16), start: 0 }
  const event = { version, position, length, shard: 3, seq: position, stream: 'a/1', category: 'a', type: 'A', time: 0 }
  return { ...event, eventIdSlice: id, commandId: id } as unknown as LogRecord
}

test('events are decoded page by page, large ones one by one, and each page says where it ends', () => {
  let decoded = 0
  const decode = (record: LogRecord) => ((decoded += 1), toRecordedEvent(record, record.type, undefined))
  const place = { position: 99, shard: 65_535 }
  const large = [1, 2, 3].map((position) => recordOf(position, 16 * MIB))
  const pages = toPages({ events: large, place }, { decode })
  expect(pages.next().value).toMatchObject({
    events: [{ position: 1 }],
    place: { position: 1, shard: 3 },
    bytes: 16 * MIB,
  })
  expect(decoded).toBe(1)
  expect([...pages].map((page) => page.place)).toEqual([{ position: 2, shard: 3 }, place])
  const small = Array.from({ length: 10_000 }, (_, i) => recordOf(i + 1, 1_024))
  const all = [...toPages({ events: small, place }, { decode })]
  expect(all.flatMap(({ events }) => events.map(({ position }) => position))).toEqual(small.map((one) => one.position))
  expect(Math.max(...all.map(({ bytes }) => bytes))).toBeLessThanOrEqual(MIB)
  expect([...toPages({ events: [recordOf(1, 200, 0)], place }, { decode })]).toEqual([{ events: [], place, bytes: 0 }])
})

test('a source of $all reads large events ahead one by one', async () => {
  let read = 0
  async function* pieces(): AsyncGenerator<readonly LogRecord[]> {
    for (;;) yield [recordOf((read += 1), 16 * MIB)]
  }
  const source = new Source(pieces())
  await source.fill()
  expect(read).toBe(1)
  source.take(1)
  await source.fill()
  expect(read).toBe(2)
})

test('what readings of journals keep has a bound, all together', async () => {
  const disk = new SimulatedDisk()
  const clock = new SimulatedClock()
  const catalog = new Catalog({ storage: new SimulatedStorage(disk), clock, cluster: hash64('test', 0), shards: 2 })
  const logs = [await openLog(disk, [0]), await openLog(disk, [1])]
  let length = 0
  for (const [shard, log] of logs.entries()) {
    const { offset } = await writeEvent(log, shard)
    for (let i = 0; i < 100; i += 1) await writeEvent(log, shard)
    length = (log.head.end.offset - offset) / 101
  }
  const tails = new KnownTails({ catalog, clock, workers: () => [] })
  const keptBytes = 40 * length
  const journals = new SharedJournals({ catalog, clock, tails, keptBytes })
  const readers = logs.map(({ journal, head }, shard) => {
    const part = { shard, from: { segment: 1, offset: 0 }, after: 0, until: head.end, bell: new Bell() }
    return journals.join(journal, part)
  })
  for (let i = 0; i < 50; i += 1) await setImmediate()
  const kept = readers.map((reader) => reader.take(Number.POSITIVE_INFINITY).events.length)
  expect(kept.every((events) => events > 5)).toBe(true)
  expect((kept[0]! + kept[1]!) * length).toBeLessThan(1.5 * keptBytes)
  for (const reader of readers) reader.leave()
})
