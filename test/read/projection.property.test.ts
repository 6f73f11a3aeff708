/**
 * Effectively once: whatever fails, whoever is stopped and fights, in every generation each event takes effect once, in
 * order, or is parked with all that follows it in its stream; and in the end nothing is missing.
 */
import fc from 'fast-check'
import { test } from 'vitest'
import { ProjectionWorld, RETRIES, type Step, type Trouble } from './projection-world.ts'
import { inTime } from '../in-time.ts'

const trouble: fc.Arbitrary<Trouble> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ kind: 'none' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('times' as const), times: fc.integer({ min: 1, max: RETRIES }) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'for-now' as const }) },
)
const process = fc.nat(1)
const stream = fc.nat(4)
const fault = fc.constantFrom('lost' as const, 'unheard' as const, 'moved' as const, 'slow' as const, 'fine' as const)

function does<Name extends Step['do']>(...names: readonly Name[]): fc.Arbitrary<Name> {
  return fc.constantFrom(...names)
}

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: does('add'), stream, trouble, isBeside: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: does('add-ignored'), stream }) },
  { weight: 8, arbitrary: fc.record({ do: does('wait'), ms: fc.integer({ min: 50, max: 2_000 }) }) },
  { weight: 4, arbitrary: fc.record({ do: does('faults'), faults: fc.array(fault, { minLength: 1, maxLength: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ do: does('away'), isAway: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: does('feed-fails') }) },
  { weight: 2, arbitrary: fc.record({ do: does('restart'), process, isForced: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: does('lanes'), process, shards: fc.uniqueArray(fc.nat(2)) }) },
  { weight: 1, arbitrary: fc.record({ do: does('pause'), process }) },
  { weight: 2, arbitrary: fc.record({ do: does('resume'), process }) },
  { weight: 1, arbitrary: fc.record({ do: does('mend') }) },
  { weight: 4, arbitrary: fc.record({ do: does('retry'), process, stream, isRebuild: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: does('skip'), process, stream, isRebuild: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: does('rebuild', 'rebuild', 'resume-rebuild', 'abort-rebuild', 'promote', 'roll-back'),
      process,
    }),
  },
)

test.each([
  { order: 'all', onFailure: 'halt' },
  { order: 'all', onFailure: 'park' },
  { order: 'shard', onFailure: 'halt' },
  { order: 'shard', onFailure: 'park' },
] as const)('each event takes effect once ($order, $onFailure)', { timeout: 120_000 }, async ({ order, onFailure }) => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { minLength: 5, maxLength: 40 }), async (steps) => {
      const world = new ProjectionWorld({ order, onFailure })
      await world.start()
      for (const step of steps) await world.take(step)
      await world.end()
    }),
    { numRuns: Number(globalThis.process.env['PENHOLD_RUNS'] ?? 150), ...inTime() },
  )
})

test('an attempt of a rebuild that was under way while its projection was resumed halts it, until that is resumed again', async () => {
  const wait = (ms: number): Step => ({ do: 'wait', ms })
  const steps: Step[] = [
    { do: 'add', stream: 0, trouble: { kind: 'for-now' }, isBeside: false },
    { do: 'faults', faults: ['lost'] },
    wait(51),
    wait(1_951),
    { do: 'rebuild', process: 0 },
    wait(50),
    { do: 'pause', process: 1 },
    wait(50),
    { do: 'faults', faults: ['lost', 'lost', 'lost', 'slow'] },
    { do: 'resume', process: 0 },
    { do: 'retry', process: 0, stream: 0, isRebuild: false },
    { do: 'faults', faults: ['lost'] },
    wait(50),
    { do: 'restart', process: 1, isForced: false },
    { do: 'rebuild', process: 0 },
  ]
  const world = new ProjectionWorld({ order: 'all', onFailure: 'halt' })
  await world.start()
  for (const step of steps) await world.take(step)
  await world.end()
})
