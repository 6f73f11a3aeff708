/** Rows of the two shards of one journal, which are read together. */
import { setImmediate } from 'node:timers/promises'
import { expect } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import type { Log } from '../../src/log/log.ts'
import { hash64 } from '../../src/log/stream.ts'
import type { TailSource } from '../../src/log/tail.ts'
import type { AcceptedLoss } from '../../src/read/all.ts'
import { KnownTails } from '../../src/read/known-tails.ts'
import { ShardRow } from '../../src/read/shard-row.ts'
import { SharedJournals } from '../../src/read/shared-journals.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { openLog, writeEvent } from '../log/noted.ts'

const KEPT_BYTES = 2_000

/**
 * A log with two shards, its worker's or one that is given, beside others, and the rows of both; the bytes that they read
 * are counted.
 */
export async function startRows(disk: SimulatedDisk = new SimulatedDisk(), given?: Log, ...others: readonly Log[]) {
  const log = given ?? (await openLog(disk, [0, 1]))
  const clock = new SimulatedClock()
  const storage = new SimulatedStorage(disk)
  const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
  const tails = new KnownTails({ catalog, clock, workers: () => sources })
  const sources = [log, ...others].map((one): TailSource => ({
    nextTail: async (known, ms) => {
      const until = clock.monotonic() + ms
      while (known?.end.offset === one.head.end.offset && clock.monotonic() < until) await setImmediate()
      const { journal, end, position } = one.head
      return { journal, end, position, ownership: one.ownership, shards: one.openedShards }
    },
    tailAbove: () => Promise.reject(new Error('not asked')),
  }))
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
  const losses: AcceptedLoss[] = []
  /** Up to where each row has come. */
  const places = [0, 0]
  /** While it is held, a row takes nothing. */
  const held = [Promise.resolve(), Promise.resolve()]
  const positions: number[] = []
  const follow = async (shard: number, position = 0): Promise<void> => {
    const row = new ShardRow(
      shard,
      { position, shard },
      { catalog, tails, journals, onLoss: (loss) => losses.push(loss) },
    )
    for await (const { events, place } of row.pages(stop.signal)) {
      places[shard] = place.position
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
  return { disk, log, follow, seen, held, until, stop, positions, places, losses, bytesRead: () => bytesRead }
}

export async function writeEvents(log: Log, shard: number, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await writeEvent(log, shard)
}

export function upTo(seq: number): number[] {
  return Array.from({ length: seq }, (_, i) => i + 1)
}
