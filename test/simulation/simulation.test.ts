import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { plans, withStreams } from './plan.ts'
import { NODE_TRIALS } from './try-seed.ts'
import { inTime } from '../in-time.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 300),
}

test('every promise holds, whatever goes wrong', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(plans, async (plan) => {
      expect((await NODE_TRIALS.tryPlan(plan)).violations).toEqual([])
    }),
    { ...parameters, ...inTime() },
  )
})

test('so it does of what goes to streams by their names', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(plans, async (plan) => {
      const { violations } = await NODE_TRIALS.tryPlan({ ...plan, operations: withStreams(plan.operations) })
      expect(violations).toEqual([])
    }),
    { ...parameters, ...inTime(), numRuns: Math.ceil(parameters.numRuns / 3) },
  )
})

test('the same seed goes the same way, to the letter', async () => {
  const seeds = [1, 2, 3, 4, 5, 6, 7, 8]
  const traces: number[] = []
  for (const seed of seeds) {
    const { trace } = await NODE_TRIALS.trySeed(seed)
    expect((await NODE_TRIALS.trySeed(seed)).trace, `seed ${seed}`).toBe(trace)
    traces.push(trace)
  }
  expect(new Set(traces).size, 'different seeds go different ways').toBe(seeds.length)
})

/** Each once found what a rule is there for: with the rule it passes, without it it does not. */
const CASES = [
  { name: 'a second writer that wakes up acknowledges nothing', seed: 28, mutant: 'no-fence-check' },
  { name: 'a query on what another has changed since is not answered', seed: 1090, mutant: 'read-without-fence-check' },
  { name: 'what was only written is not acknowledged', seed: 742, mutant: 'reply-before-sync' },
  { name: 'a retry after a take-over takes effect once', seed: 400, mutant: 'no-dedupe' },
  {
    name: 'a lost opening does not hide what its owner acknowledged',
    seed: 12,
    mutant: 'serve-before-opening-is-durable',
  },
  { name: 'a claim survives the loss of power', seed: 1, mutant: 'no-folder-sync-of-claims' },
  { name: 'the batch in doubt is carried over', seed: 94, mutant: 'adopt-without-carrying' },
] as const

for (const { name, seed, mutant } of CASES) {
  test(`${name} (seed ${seed})`, async () => {
    expect((await NODE_TRIALS.trySeed(seed)).violations).toEqual([])
    const mutation = NODE_TRIALS.mutants.find((other) => other.name === mutant)!
    expect(await NODE_TRIALS.tryMutant(mutation, seed), mutant).not.toEqual([])
  })
}

test('the program tells what it did, and takes one mutant by its name', () => {
  const main = join(import.meta.dirname, 'main.ts')
  const sim = (...words: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...words], { encoding: 'utf8' })
    return { status, stdout, stderr }
  }
  const clean = sim('--seeds', '5')
  expect(clean).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/\nfaults\n(?:[\w-]+ +\d+\n)+\n0 violations\n$/) as string,
  })
  expect(sim('--mutant', 'no-folder-sync-of-claims')).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^no-folder-sync-of-claims +seed 1: [^\n]+\n$/) as string,
  })
  expect(sim('--mutant', 'no-fence-check', '--seeds', '1')).toMatchObject({
    status: 1,
    stdout: expect.stringContaining('NOT NOTICED in 1 plan\n') as string,
  })
  expect(sim('--mutant', 'no-fense')).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("there is no mutant 'no-fense'; there are no-fence-check,") as string,
  })
})
