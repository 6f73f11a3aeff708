import fc from 'fast-check'
import { expect, test } from 'vitest'
import { diskFault, parameters, strikeAt } from './disk-faults.ts'
import { SimulatedStreams, type Wish } from './simulated-streams.ts'
import { inTime } from '../in-time.ts'

const wish: fc.Arbitrary<Wish> = fc.record({
  stream: fc.constantFrom('simple/1', 'simple/2', 'partitioned/1', 'partitioned/2'),
  // Many at once, so that snapshots come into it.
  events: fc.constantFrom(1, 2, 3, 210),
  expected: fc.constantFrom('any', 'any', 'believed', 'believed', 'no-stream', 'stream-exists'),
  wrong: fc.constantFrom(0, 0, 0, 1),
  aggregate: fc.integer({ min: 1, max: 2 }),
})
test(
  'appends find the versions that they expect, once each, through crashes and power loss at any step (I2, I4, I5)',
  { timeout: 120_000 },
  async () => {
    const story = fc.record({
      wishes: fc.array(wish, { minLength: 1, maxLength: 40, size: 'max' }),
      segmentBytes: fc.constantFrom(4096, 65_536),
      chunk: fc.integer({ min: 1, max: 10 }),
      faults: fc.array(diskFault, { maxLength: 5 }),
      seed: fc.noShrink(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
    })
    const sum = { accepted: 0, refused: 0 }
    await fc.assert(
      fc.asyncProperty(story, async ({ wishes, segmentBytes, chunk, faults, seed }) => {
        const streams = new SimulatedStreams(wishes, { segmentBytes, seed })
        for (const { at, kind, losesPower } of faults) {
          await streams.live(strikeAt(at, kind), chunk)
          if (losesPower) streams.disk.losePower(streams.random)
        }
        for (let tries = 0; streams.replies.size < wishes.length && tries < 3; tries += 1) {
          await streams.live(() => 'none', chunk)
        }
        expect(streams.replies.size, 'every append is answered in the end').toBe(wishes.length)
        streams.disk.losePower(streams.random)
        const { accepted, refused } = await streams.check()
        sum.accepted += accepted
        sum.refused += refused
      }),
      { ...parameters, ...inTime() },
    )
    expect(sum.accepted, 'some are accepted, and some refused').toBeGreaterThan(0)
    expect(sum.refused).toBeGreaterThan(0)
  },
)
