import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inboxPlans } from './plan.ts'
import { INBOX_TRIALS } from './try-seed.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 10),
  seed: Number(process.env['PENHOLD_SEED'] ?? Date.now() % 2 ** 31),
  interruptAfterTimeLimit: 60_000,
}

test('what each message asks for takes effect once, in order', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(inboxPlans, async (plan) => {
      expect((await INBOX_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    parameters,
  )
})

test('the same seed of inboxes goes the same way, to the letter', { timeout: 120_000 }, async () => {
  for (const seed of [1, 2, 3]) {
    const { trace } = await INBOX_TRIALS.trySeed(seed)
    expect((await INBOX_TRIALS.trySeed(seed)).trace, `seed ${seed}`).toBe(trace)
  }
})

/** Each breaks a rule, which this seed notices; with the rule it passes. */
const CASES: readonly { readonly mutant: string; readonly seed: number }[] = [
  { mutant: 'acknowledged-before-effect', seed: 5 },
  { mutant: 'ids-not-derived', seed: 1 },
  { mutant: 'looked-for-in-the-window-alone', seed: 9 },
  { mutant: 'waiting-not-parked', seed: 5 },
]

test.for(CASES)('$mutant is noticed (seed $seed)', { timeout: 120_000 }, async ({ mutant, seed }) => {
  const mutation = INBOX_TRIALS.mutants.find(({ name }) => name === mutant)!
  expect(await INBOX_TRIALS.tryMutant(mutation, seed)).not.toEqual([])
})

/** Once a payment that had been rejected was never taken: tried again, it was told that it had been rejected. */
test.for([9, 24])('seed %i', { timeout: 120_000 }, async (seed) => {
  expect((await INBOX_TRIALS.trySeed(seed)).violations).toEqual([])
})
