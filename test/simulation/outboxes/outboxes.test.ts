import fc from 'fast-check'
import { expect, test } from 'vitest'
import { outboxPlans } from './plan.ts'
import { OUTBOX_TRIALS } from './try-seed.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 10),
  interruptAfterTimeLimit: 60_000,
}

test('what is to be published is published, in order, and nothing else is', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(outboxPlans, async (plan) => {
      expect((await OUTBOX_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    parameters,
  )
})

test('the same seed of outboxes goes the same way, to the letter', { timeout: 120_000 }, async () => {
  for (const seed of [1, 2, 3]) {
    const { trace } = await OUTBOX_TRIALS.trySeed(seed)
    expect((await OUTBOX_TRIALS.trySeed(seed)).trace, `seed ${seed}`).toBe(trace)
  }
})

/** Each breaks a rule, which this seed notices; with the rule it passes. */
const CASES: readonly { readonly mutant: string; readonly seed: number; readonly says: string }[] = [
  { mutant: 'checkpoint-before-effect', seed: 20, says: 'was never published' },
  { mutant: 'message-ids-not-derived', seed: 1, says: 'was published as' },
  { mutant: 'partly-published-counts', seed: 2, says: 'was never published' },
  { mutant: 'order-lost-across-retry', seed: 21, says: 'was published before' },
  { mutant: 'parked-forgotten', seed: 2, says: 'was published before' },
  { mutant: 'parked-in-memory-alone', seed: 2, says: 'was never published' },
  { mutant: 'place-not-compared', seed: 6, says: 'goes back' },
  { mutant: 'reply-before-sync', seed: 87, says: 'is not in the log (I3)' },
]

test.for(CASES)('$mutant is noticed (seed $seed)', { timeout: 120_000 }, async ({ mutant, seed, says }) => {
  const mutation = OUTBOX_TRIALS.mutants.find(({ name }) => name === mutant)!
  expect((await OUTBOX_TRIALS.tryMutant(mutation, seed)).join('\n')).toContain(says)
})

/** Once what was tried again by hand was parked again because who takes messages was away for a moment. */
test('seed 441', { timeout: 120_000 }, async () => {
  expect((await OUTBOX_TRIALS.trySeed(441)).violations).toEqual([])
})

/** Once a message that failed when its stream was tried again by hand, for the first time, was taken for one that was parked too soon. */
test('seed 1795388190395', { timeout: 120_000 }, async () => {
  expect((await OUTBOX_TRIALS.trySeed(1_795_388_190_395)).violations).toEqual([])
})
