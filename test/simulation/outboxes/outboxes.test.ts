import fc from 'fast-check'
import { expect, test } from 'vitest'
import { outboxPlans } from './plan.ts'
import { OUTBOX_TRIALS } from './try-seed.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 10),
  seed: Number(process.env['PENHOLD_SEED'] ?? Date.now() % 2 ** 31),
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
const CASES: readonly { readonly mutant: string; readonly seed: number }[] = [
  { mutant: 'reply-before-sync', seed: 17 },
  { mutant: 'checkpoint-before-effect', seed: 20 },
  { mutant: 'parked-forgotten', seed: 6 },
  { mutant: 'parked-in-memory-alone', seed: 3 },
  { mutant: 'message-ids-not-derived', seed: 1 },
  { mutant: 'partly-published-counts', seed: 10 },
  { mutant: 'order-lost-across-retry', seed: 21 },
]

test.for(CASES)('$mutant is noticed (seed $seed)', { timeout: 120_000 }, async ({ mutant, seed }) => {
  const mutation = OUTBOX_TRIALS.mutants.find(({ name }) => name === mutant)!
  expect(await OUTBOX_TRIALS.tryMutant(mutation, seed)).not.toEqual([])
})
