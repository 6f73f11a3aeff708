/** From a seed to its plan, its run, and, where a promise was broken, to the shortest story that breaks it. */
import fc from 'fast-check'
import { plans, type Plan } from './plan.ts'
import { run, type Result, type RunOptions } from './run.ts'

export interface Story extends Result {
  readonly seed: number
  readonly plan: Plan
}

/** Runs the plan of a seed. A program that throws where it must not has broken its promises too. */
export async function tryPlan(plan: Plan, options: RunOptions = {}): Promise<Result> {
  try {
    return await run(plan, options)
  } catch (error) {
    const problem = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { violations: [`it threw: ${problem}`], trace: 0, attempts: 0, acknowledged: 0, simulatedMs: 0 }
  }
}

export async function trySeed(seed: number, options: RunOptions = {}): Promise<Story> {
  const [plan] = fc.sample(plans, { seed, numRuns: 1 })
  return { seed, plan: plan!, ...(await tryPlan(plan!, options)) }
}

const SHRINK_MS = 120_000

/** The shortest story that is found in two minutes, and how to see it again. */
export async function shrunk(seed: number, options: RunOptions = {}): Promise<Story & { readonly replay: string }> {
  const property = fc.asyncProperty(plans, async (plan) => (await tryPlan(plan, options)).violations.length === 0)
  const found = await fc.check(property, { seed, numRuns: 1, interruptAfterTimeLimit: SHRINK_MS })
  const plan = found.counterexample?.[0] ?? fc.sample(plans, { seed, numRuns: 1 })[0]!
  const replay = `seed ${seed}, path ${found.counterexamplePath ?? '0'}; to keep it, name it in test/simulation/simulation.test.ts`
  return { seed, plan, replay, ...(await tryPlan(plan, options)) }
}
