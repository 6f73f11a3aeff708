import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FilePool } from '../../src/log/file-pool.ts'
import { encodeIndex, IndexFile } from '../../src/log/index-file.ts'
import { indexPath } from '../../src/log/path.ts'
import { OpenIndex } from '../../src/log/segment-index.ts'
import type { StreamHash } from '../../src/log/stream.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { inTime } from '../in-time.ts'
import { putFile } from './small-log.ts'

/** Hashes as they are, and such as stand all at one end, or have much in common, where a guess is wrong. */
const SPREADS: Readonly<Record<string, (i: number, n: number) => StreamHash>> = {
  evenly: (i) => ({ high: Math.imul(i + 1, 0x9e3779b1) >>> 0, low: Math.imul(i, 0x85ebca6b) >>> 0 }),
  'at the beginning': (i) => ({ high: i, low: 0 }),
  'at the end': (i, n) => ({ high: 2 ** 32 - n + i, low: 2 ** 32 - 1 }),
  'at both ends': (i, n) => ({ high: i % 2 === 0 ? i : 2 ** 32 - n + i, low: i }),
  'in one place': (i) => ({ high: 2 ** 31, low: i * 3 }),
}

async function written(hashes: readonly StreamHash[]): Promise<IndexFile> {
  const index = new OpenIndex(1, 1)
  index.add({ offset: 0, number: 1, length: 2 ** 30, isLast: true })
  index.extents.set(0, {
    shard: 0,
    seqBefore: 0,
    seqLast: hashes.length,
    positionFirst: 1,
    positionLast: 1,
    lastRecord: 1,
    opened: [],
  })
  hashes.forEach(({ high, low }, i) => index.streams.set(high, low, 8 * (i + 1)))
  const disk = new SimulatedDisk()
  putFile(
    disk,
    indexPath(1, 1),
    await encodeIndex(
      index,
      () => 0,
      async () => undefined,
    ),
  )
  return (await IndexFile.open(new FilePool(new SimulatedStorage(disk)), 1, 1))!
}

const size = fc.oneof(fc.constantFrom(0, 1, 127, 128, 129, 255, 256, 257, 300, 10_000), fc.nat(700))

test('an index on disk finds what was put there, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(size, fc.constantFrom(...Object.keys(SPREADS)), fc.nat(), async (n, spread, salt) => {
      const hashes = Array.from({ length: n }, (_, i) => SPREADS[spread]!(i, n))
      const index = await written(hashes)
      const model = new Map(hashes.map(({ high, low }, i) => [`${high} ${low}`, 8 * (i + 1)]))
      const step = Math.max(1, Math.floor(n / 400))
      for (let i = salt % step; i < n; i += step) {
        const { high, low } = hashes[i]!
        for (const hash of [
          { high, low },
          { high, low: (low + 1) % 2 ** 32 },
          { high: (high + 1) % 2 ** 32, low },
        ]) {
          expect(await index.find(0, hash)).toBe(model.get(`${hash.high} ${hash.low}`))
        }
      }
    }),
    { numRuns: Number(process.env['PENHOLD_RUNS'] ?? 60), ...inTime() },
  )
})
