import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inTime } from '../../in-time.ts'
import { damagePlans } from './plan.ts'
import { DAMAGE_TRIALS } from './try-seed.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 25),
}

test('what is harmed is refused, and all else is there, however it is mended', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(damagePlans, async (plan) => {
      expect((await DAMAGE_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    { ...parameters, ...inTime() },
  )
})

test('the same seed of harms goes the same way, to the letter', async () => {
  for (const seed of [1, 2, 3]) {
    const { trace } = await DAMAGE_TRIALS.trySeed(seed)
    expect((await DAMAGE_TRIALS.trySeed(seed)).trace, `seed ${seed}`).toBe(trace)
  }
})

/** Each breaks a rule, which this seed notices; with the rule it passes. */
const CASES: readonly { readonly mutant: string; readonly seed: number }[] = [
  { mutant: 'harm-not-remembered', seed: 22 },
  { mutant: 'former-reigns-not-asked', seed: 17 },
  { mutant: 'lost-end-passed-over', seed: 8 },
]

test.for(CASES)('$mutant is noticed (seed $seed)', async ({ mutant, seed }) => {
  const mutation = DAMAGE_TRIALS.mutants.find(({ name }) => name === mutant)!
  expect(await DAMAGE_TRIALS.tryMutant(mutation, seed)).not.toEqual([])
})
