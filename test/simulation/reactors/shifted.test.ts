import fc from 'fast-check'
import { expect, test } from 'vitest'
import { shiftingPlans } from './plan.ts'
import { SHIFTING_TRIALS } from './try-seed.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 15),
  interruptAfterTimeLimit: 60_000,
}

test('each timer that is set is fired, replaced or cancelled, once', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(shiftingPlans, async (plan) => {
      expect((await SHIFTING_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    parameters,
  )
})

/** Each breaks a rule, which this seed notices; with the rule it passes. */
const CASES: readonly { readonly mutant: string; readonly seed: number }[] = [
  { mutant: 'cancels-none-without-a-fact', seed: 46 },
  { mutant: 'timer-fires-by-its-id', seed: 1 },
  { mutant: 'timer-placed-in-passing', seed: 1 },
]

test.for(CASES)('$mutant is noticed (seed $seed)', { timeout: 120_000 }, async ({ mutant, seed }) => {
  const mutation = SHIFTING_TRIALS.mutants.find(({ name }) => name === mutant)!
  expect(await SHIFTING_TRIALS.tryMutant(mutation, seed)).not.toEqual([])
})
