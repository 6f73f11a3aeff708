/** Small logs to be harmed in chosen places. */
import { FilePool } from '../../src/log/file-pool.ts'
import { segmentPath } from '../../src/log/path.ts'
import { readSegment, type SegmentPiece } from '../../src/log/scan.ts'
import { hash64, StreamPlacement } from '../../src/log/stream.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import type { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { deposit, open, type Harness } from '../actor/harness.ts'
import { emptyDisk, openPurses, Purse } from './small-log.ts'

const placement = new StreamPlacement('test', 2)
/** Streams of each of the two shards. */
const [OF_0, OF_1] = [0, 1].map((shard) =>
  Array.from({ length: 40 }, (_, i) => `purse/${i}`).filter((name) => placement.shardOf(name) === shard),
) as [string[], string[]]
export const A: string = OF_0[0]!
export const B: string = OF_0[1]!
export const X: string = OF_1[0]!
export const Y: string = OF_1[1]!

/** A worker that writes a batch for each group of streams, one deposit each, and is then killed. */
export async function written(...batches: (readonly string[])[]): Promise<SimulatedDisk> {
  const disk = emptyDisk()
  const harness = await open(disk, new SimulatedClock(), { aggregates: [Purse], segmentBytes: 65_536 })
  await write(harness, batches)
  return disk
}

export async function write(harness: Harness, batches: readonly (readonly string[])[]): Promise<void> {
  for (const streams of batches) await Promise.all(streams.map((stream) => harness.ask(deposit(stream, 1))))
}

export async function pieces(disk: SimulatedDisk, journal: number, segment: number): Promise<SegmentPiece[]> {
  const files = new FilePool(new SimulatedStorage(disk))
  const found: SegmentPiece[] = []
  for await (const piece of readSegment(files, { journal, segment, cluster: hash64('test', 0) })) found.push(piece)
  return found
}

/** Where the records of the batch begin; the first batch has the openings. */
export async function recordsOf(disk: SimulatedDisk, batch: number, segment = 1, journal = 1): Promise<number[]> {
  const piece = (await pieces(disk, journal, segment))[batch]
  return piece?.kind === 'batch' ? piece.batch.records.map(({ address }) => address.offset) : []
}

/** Overwrites what no single bit makes good. */
export function smash(disk: SimulatedDisk, offset: number, path = segmentPath(1, 1)): void {
  disk.files.get(path)!.live.fill(0xaa, offset + 20, offset + 60)
}

/** A killed worker whose journal has three segments. One shard has its last event in the first one's last batch. */
export async function threeSegments(): Promise<SimulatedDisk> {
  const disk = emptyDisk()
  const harness = await openPurses(disk)
  let [next, other] = [A, X]
  while (!disk.files.has(segmentPath(1, 2))) {
    await write(harness, [[next]])
    ;[next, other] = [other, next]
  }
  while (!disk.files.has(segmentPath(1, 3))) await write(harness, [[next]])
  await write(harness, [[next]])
  return disk
}
