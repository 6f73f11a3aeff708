import fc from 'fast-check'
import { expect, test } from 'vitest'
import { clusterPlans, impatientPlans, latePlans, readPlans, unablePlans } from './plan.ts'
import { withStreams } from '../plan.ts'
import { CLUSTER_TRIALS } from './try-seed.ts'
import { inTime } from '../../in-time.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 120),
}

test('several nodes over one log keep every promise, whatever goes wrong', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(clusterPlans, async (plan) => {
      expect((await CLUSTER_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    { ...parameters, ...inTime() },
  )
})

test('so they do of what goes to streams by their names', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(clusterPlans, async (plan) => {
      const operations = withStreams(plan.operations)
      expect((await CLUSTER_TRIALS.tryPlan({ ...plan, operations })).violations).toEqual([])
    }),
    { ...parameters, ...inTime(), numRuns: Math.ceil(parameters.numRuns / 3) },
  )
})

test('what comes late, in whichever epoch, has no effect a second time', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(latePlans, async (plan) => {
      expect((await CLUSTER_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    // The first breaks where epochs are not compared.
    { ...parameters, ...inTime(), numRuns: 20, examples: [[fc.sample(latePlans, { seed: 336, numRuns: 1 })[0]!]] },
  )
})

test('a first copy that comes behind what its caller has sent again through another node has no effect', async () => {
  await fc.assert(
    fc.asyncProperty(impatientPlans, async (plan) => {
      expect((await CLUSTER_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    // The first breaks where copies whose id was made for them are not looked for.
    { ...parameters, ...inTime(), numRuns: 20, examples: [[fc.sample(impatientPlans, { seed: 20, numRuns: 1 })[0]!]] },
  )
})

test(
  'what a node cannot serve, others do who can, and nothing is lost or done twice by it',
  { timeout: 120_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(unablePlans, async (plan) => {
        expect((await CLUSTER_TRIALS.tryPlan(plan)).violations).toEqual([])
      }),
      { ...parameters, ...inTime(), numRuns: Math.ceil(parameters.numRuns / 4) },
    )
  },
)

test('whoever reads everything hears all that counts, each once and in order', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(readPlans, async (plan) => {
      expect((await CLUSTER_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    { ...parameters, ...inTime(), numRuns: Math.ceil(parameters.numRuns / 4) },
  )
})

test('the same seed of a cluster goes the same way, to the letter', async () => {
  const traces: number[] = []
  for (const seed of [1, 2, 3, 4]) {
    const { trace } = await CLUSTER_TRIALS.trySeed(seed)
    expect((await CLUSTER_TRIALS.trySeed(seed)).trace, `seed ${seed}`).toBe(trace)
    traces.push(trace)
  }
  expect(new Set(traces).size, 'different seeds go different ways').toBe(traces.length)
})

/** Each shows what a rule is there for: with the rule it passes, without it it does not. */
const CASES = [
  { seed: 14, mutant: 'no-fence-check', name: 'a node that wakes up acknowledges nothing' },
  { seed: 184, mutant: 'read-without-fence-check', name: 'a node that is cut off shows nothing old' },
  { seed: 214, mutant: 'moves-without-waiting', name: 'a shard moves, and what one node sends keeps its order' },
  { seed: 1171, mutant: 'lost-is-not-heard', name: 'a shard that was lost unnoticed is found' },
  { seed: 239, mutant: 'router-forgets-ids', name: 'what is sent again takes effect once' },
] as const

for (const { name, seed, mutant } of CASES) {
  test(`${name} (seed ${seed})`, async () => {
    expect((await CLUSTER_TRIALS.trySeed(seed)).violations).toEqual([])
    const mutation = CLUSTER_TRIALS.mutants.find((other) => other.name === mutant)!
    expect(await CLUSTER_TRIALS.tryMutant(mutation, seed), mutant).not.toEqual([])
  })
}
