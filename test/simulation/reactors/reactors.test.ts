import fc from 'fast-check'
import { expect, test } from 'vitest'
import { reactorPlans } from './plan.ts'
import { REACTOR_TRIALS } from './try-seed.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 40),
  seed: Number(process.env['PENHOLD_SEED'] ?? Date.now() % 2 ** 31),
  interruptAfterTimeLimit: 60_000,
}

test('what each event sets in motion takes effect once, in order', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(reactorPlans, async (plan) => {
      expect((await REACTOR_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    parameters,
  )
})

test('the same seed of reactors goes the same way, to the letter', { timeout: 120_000 }, async () => {
  for (const seed of [1, 2, 3]) {
    const { trace } = await REACTOR_TRIALS.trySeed(seed)
    expect((await REACTOR_TRIALS.trySeed(seed)).trace, `seed ${seed}`).toBe(trace)
  }
})
