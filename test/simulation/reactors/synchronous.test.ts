import fc from 'fast-check'
import { expect, test } from 'vitest'
import { synchronousPlans } from './plan.ts'
import { SYNCHRONOUS_TRIALS } from './try-seed.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 15),
  interruptAfterTimeLimit: 60_000,
}

test('whoever is told that nothing is unsettled finds the effect there', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(synchronousPlans, async (plan) => {
      expect((await SYNCHRONOUS_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    parameters,
  )
})

/** Each breaks a rule, which this seed notices; with the rule it passes. */
const CASES: readonly { readonly mutant: string; readonly seed: number }[] = [
  { mutant: 'reply-before-the-reactor', seed: 1 },
  { mutant: 'failure-not-reported', seed: 6 },
  { mutant: 'read-is-tried', seed: 1 },
  { mutant: 'parked-is-done', seed: 6 },
  { mutant: 'left-is-done', seed: 2 },
]

test.for(CASES)('$mutant is noticed (seed $seed)', { timeout: 120_000 }, async ({ mutant, seed }) => {
  const mutation = SYNCHRONOUS_TRIALS.mutants.find(({ name }) => name === mutant)!
  expect(await SYNCHRONOUS_TRIALS.tryMutant(mutation, seed)).not.toEqual([])
})

/**
 * Once what consumes events of a shard stood still: it looked for the opening of an owner that had died before that was durable;
 * or it began behind what it had to read, as events that were carried are older.
 */
test.for([910_292, 220_319_483])('seed %d', { timeout: 120_000 }, async (seed) => {
  expect((await SYNCHRONOUS_TRIALS.trySeed(seed)).violations).toEqual([])
})
