import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import type { Log } from '../../src/log/log.ts'
import { hash64 } from '../../src/log/stream.ts'
import type { TailSource } from '../../src/log/tail.ts'
import { OwnTails } from '../../src/read/own-tails.ts'
import { ShardRow } from '../../src/read/shard-row.ts'
import { SharedJournals } from '../../src/read/shared-journals.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { openLog, writeEvent } from '../log/noted.ts'

const KEPT_BYTES = 2_000

/** A log with two shards, and the rows of both; the bytes that they read are counted. */
async function start() {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0, 1])
  const clock = new SimulatedClock()
  const storage = new SimulatedStorage(disk)
  const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
  const tails = new OwnTails({ catalog, clock, workers: () => [source] })
  const source: TailSource = {
    nextTail: async (known, ms) => {
      const until = clock.monotonic() + ms
      while (known?.end.offset === log.head.end.offset && clock.monotonic() < until) await setImmediate()
      const { journal, end, position } = log.head
      return { journal, end, position, ownership: log.ownership, shards: log.openedShards }
    },
    tailAbove: () => Promise.reject(new Error('not asked')),
  }
  let bytesRead = 0
  const { files } = catalog
  const read = files.read.bind(files)
  files.read = async (path, offset, length) => {
    const bytes = await read(path, offset, length)
    bytesRead += bytes?.length ?? 0
    return bytes
  }
  const journals = new SharedJournals({ catalog, clock, tails, keptBytes: KEPT_BYTES })
  const stop = new AbortController()
  const seen: number[][] = [[], []]
  /** While it is held, a row takes nothing. */
  const held = [Promise.resolve(), Promise.resolve()]
  const positions: number[] = []
  const follow = async (shard: number, position = 0): Promise<void> => {
    const row = new ShardRow(shard, { position, shard }, { catalog, tails, journals, onLoss: () => undefined })
    for await (const { events } of row.pages(stop.signal)) {
      for (const event of events) {
        seen[shard]!.push(event.seq)
        positions.push(event.position)
      }
      await held[shard]
    }
  }
  const until = async (isSo: () => boolean): Promise<void> => {
    for (let round = 0; round < 2_000 && !isSo(); round += 1) {
      await setImmediate()
      clock.advance(20)
    }
    expect(isSo()).toBe(true)
  }
  return { log, follow, seen, held, until, stop, positions, bytesRead: () => bytesRead }
}

async function write(log: Log, shard: number, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await writeEvent(log, shard)
}

function upTo(seq: number): number[] {
  return Array.from({ length: seq }, (_, i) => i + 1)
}

test('one that stands still holds up no other, and goes on where it was', async () => {
  const { log, follow, seen, held, until, stop, bytesRead } = await start()
  const release = Promise.withResolvers<void>()
  held[0] = release.promise
  await write(log, 0, 1)
  const rows = [follow(0), follow(1)]
  await until(() => seen[0]!.length === 1)
  for (let i = 0; i < 30; i += 1) {
    await write(log, 0, 1)
    await write(log, 1, 1)
  }
  await until(() => seen[1]!.length === 30)
  expect(seen).toEqual([[1], upTo(30)])
  held[0] = Promise.resolve()
  release.resolve()
  await until(() => seen[0]!.length === 31)
  await write(log, 0, 1)
  await until(() => seen[0]!.length === 32)
  expect(seen).toEqual([upTo(32), upTo(30)])
  // It reads with the others again.
  const [before, { end }] = [bytesRead(), log.head]
  await write(log, 0, 50)
  await until(() => seen[0]!.length === 82)
  expect(bytesRead() - before).toBeLessThan((log.head.end.offset - end.offset) * 1.2)
  stop.abort()
  await Promise.all(rows)
})

test('a journal is read once for all', async () => {
  const alone = await start()
  for (let i = 0; i < 200; i += 1) for (const shard of [0, 1]) await write(alone.log, shard, 1)
  const row = alone.follow(1)
  await alone.until(() => alone.seen[1]!.length === 200)
  alone.stop.abort()
  await row

  const both = await start()
  for (let i = 0; i < 200; i += 1) for (const shard of [0, 1]) await write(both.log, shard, 1)
  const rows = [both.follow(0), both.follow(1)]
  await both.until(() => both.seen.every(({ length }) => length === 200))
  both.stop.abort()
  await Promise.all(rows)
  // But for the openings, which each looks at.
  expect(both.bytesRead()).toBeLessThan(alone.bytesRead() * 1.3)
})

test('whoever goes on behind any event gets all that follows, in whichever segment', async () => {
  const { log, follow, seen, until, stop, positions } = await start()
  for (let segment = 0; segment < 4; segment += 1) {
    await write(log, 0, 3)
    log.rollOver()
    await log.append(log.cut())
  }
  const rows = [follow(0)]
  await until(() => seen[0]!.length === 12)
  const places = [...positions]
  for (const [index, position] of places.entries()) {
    seen[0] = []
    rows.push(follow(0, position))
    if (index < 11) await until(() => seen[0]!.at(-1) === 12)
    expect(seen[0]).toEqual(upTo(12).slice(index + 1))
  }
  stop.abort()
  await Promise.all(rows)
})
