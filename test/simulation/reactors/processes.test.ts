import fc from 'fast-check'
import { expect, test } from 'vitest'
import { processPlans, refusedPlans, strictPlans } from './plan.ts'
import { PROCESS_TRIALS } from './try-seed.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 15),
  interruptAfterTimeLimit: 60_000,
}

test('what processes are told and what they send has effect once, in order', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(processPlans, async (plan) => {
      expect((await PROCESS_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    parameters,
  )
})

test('who was refused never gets in, however late copies of what was sent come', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(refusedPlans, async (plan) => {
      expect((await PROCESS_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    parameters,
  )
})

test('who got in is told so, though by then nobody would send that again', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(strictPlans, async (plan) => {
      expect((await PROCESS_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    parameters,
  )
})

/** Each breaks a rule, which this seed notices; with the rule it passes. */
const CASES: readonly { readonly mutant: string; readonly seed: number }[] = [
  { mutant: 'ids-not-derived', seed: 1 },
  { mutant: 'late-senders-count', seed: 21 },
  { mutant: 'told-twice-counts-twice', seed: 1 },
  { mutant: 'refusals-count-unlooked', seed: 8 },
  { mutant: 'checkpoint-before-effect', seed: 26 },
]

test.for(CASES)('$mutant is noticed (seed $seed)', { timeout: 120_000 }, async ({ mutant, seed }) => {
  const mutation = PROCESS_TRIALS.mutants.find(({ name }) => name === mutant)!
  expect(await PROCESS_TRIALS.tryMutant(mutation, seed)).not.toEqual([])
})

/** Once an effect that was acknowledged was lost: its shard's heir read an index that was replaced with the head of the one before it. */
test('seed 110', { timeout: 120_000 }, async () => {
  expect((await PROCESS_TRIALS.trySeed(110)).violations).toEqual([])
})
