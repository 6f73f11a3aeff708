import fc from 'fast-check'
import { expect, test } from 'vitest'
import { projectionPlans } from './plan.ts'
import { PROJECTION_TRIALS } from './try-seed.ts'
import { inTime } from '../../in-time.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 40),
}

test('each event takes effect once and in order, and whoever asks sees their own', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(projectionPlans, async (plan) => {
      expect((await PROJECTION_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    { ...parameters, ...inTime() },
  )
})

test('the same seed of projections goes the same way, to the letter', { timeout: 120_000 }, async () => {
  const traces: number[] = []
  for (const seed of [1, 2, 3]) {
    const { trace } = await PROJECTION_TRIALS.trySeed(seed)
    expect((await PROJECTION_TRIALS.trySeed(seed)).trace, `seed ${seed}`).toBe(trace)
    traces.push(trace)
  }
  expect(new Set(traces).size, 'different seeds go different ways').toBe(traces.length)
})

/** Each breaks a rule, which this seed notices; with the rule it passes. */
const CASES: readonly { readonly mutant: string; readonly seed: number }[] = [
  { mutant: 'reply-before-sync', seed: 68 },
  { mutant: 'watermark-ignored', seed: 1 },
  { mutant: 'promise-without-mark', seed: 25 },
  { mutant: 'former-owners-forgotten', seed: 20 },
  { mutant: 'checkpoint-before-effect', seed: 1 },
  { mutant: 'effect-before-checkpoint', seed: 1 },
  { mutant: 'place-not-compared', seed: 33 },
  { mutant: 'rest-of-batch-forgotten', seed: 2 },
  { mutant: 'moves-unheard', seed: 2 },
  { mutant: 'failure-goes-past', seed: 1 },
  { mutant: 'parked-streams-forgotten', seed: 2 },
  { mutant: 'retried-backwards', seed: 1 },
  { mutant: 'retried-stays-parked', seed: 2 },
  { mutant: 'pause-forgotten', seed: 6 },
  { mutant: 'swap-without-holding', seed: 36 },
  { mutant: 'live-before-level', seed: 2 },
  { mutant: 'record-not-compared', seed: 12 },
  { mutant: 'handler-without-end', seed: 53 },
  { mutant: 'live-with-parked', seed: 52 },
  { mutant: 'query-does-not-wait', seed: 1 },
]

test.for(CASES)('$mutant is noticed (seed $seed)', { timeout: 120_000 }, async ({ mutant, seed }) => {
  const mutation = PROJECTION_TRIALS.mutants.find(({ name }) => name === mutant)!
  expect(await PROJECTION_TRIALS.tryMutant(mutation, seed)).not.toEqual([])
})
