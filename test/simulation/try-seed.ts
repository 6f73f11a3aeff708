/** From a seed to its plan, its run, and, where a promise was broken, to the shortest story that breaks it. */
import fc from 'fast-check'
import { MUTANTS, type Mutant } from './mutants.ts'
import { plans, type Plan } from './plan.ts'
import { run, type Result, type RunOptions } from './run.ts'

/** What any plan tells of itself. */
export interface AnyPlan {
  readonly faults: readonly { readonly kind: string }[]
}

export interface Story<P extends AnyPlan = AnyPlan> extends Result {
  readonly seed: number
  readonly plan: P
}

/** A simulation: what may happen in it, and what is broken in it on purpose. */
export class Trials<P extends AnyPlan> {
  readonly mutants: readonly Mutant[]
  readonly #plans: fc.Arbitrary<P>
  readonly #plansFor: (mutant: Mutant) => fc.Arbitrary<P>
  readonly #run: (plan: P, options: RunOptions) => Promise<Result>
  /** Where seeds are kept. */
  readonly #test: string

  constructor(options: {
    readonly plans: fc.Arbitrary<P>
    /** Those in which a mutant shows, where that is too rare among all of them. */
    readonly plansFor?: (mutant: Mutant) => fc.Arbitrary<P> | undefined
    readonly run: (plan: P, options: RunOptions) => Promise<Result>
    readonly mutants: readonly Mutant[]
    readonly test: string
  }) {
    this.#plans = options.plans
    this.#plansFor = (mutant) => options.plansFor?.(mutant) ?? options.plans
    this.#run = options.run
    this.mutants = options.mutants
    this.#test = options.test
  }

  /** Runs a plan. A program that throws where it must not has broken its promises too. */
  async tryPlan(plan: P, options: RunOptions = {}): Promise<Result> {
    try {
      return await this.#run(plan, options)
    } catch (error) {
      const problem = error instanceof Error ? (error.stack ?? error.message) : String(error)
      return { violations: [`it threw: ${problem}`], trace: 0, attempts: 0, acknowledged: 0, simulatedMs: 0 }
    }
  }

  async trySeed(seed: number, options: RunOptions = {}): Promise<Story<P>> {
    const [plan] = fc.sample(this.#plans, { seed, numRuns: 1 })
    return { seed, plan: plan!, ...(await this.tryPlan(plan!, options)) }
  }

  /** What the plan of a seed breaks with a mutant in place, and keeps without it. */
  async tryMutant(mutant: Mutant, seed: number): Promise<readonly string[]> {
    const { install, wrapStorage } = mutant
    const plan = fc.sample(this.#plansFor(mutant), { seed, numRuns: 1 })[0]!
    const undo = install?.()
    let broken: Result
    try {
      broken = await this.tryPlan(plan, wrapStorage && { wrapStorage })
    } finally {
      undo?.()
    }
    if (broken.violations.length === 0) return []
    return (await this.tryPlan(plan)).violations.length === 0 ? broken.violations : []
  }

  /** The shortest story that is found in two minutes, and how to see it again. */
  async shrunk(seed: number): Promise<Story<P> & { readonly replay: string }> {
    const property = fc.asyncProperty(this.#plans, async (plan) => (await this.tryPlan(plan)).violations.length === 0)
    const found = await fc.check(property, { seed, numRuns: 1, interruptAfterTimeLimit: SHRINK_MS })
    const plan = found.counterexample?.[0] ?? fc.sample(this.#plans, { seed, numRuns: 1 })[0]!
    const replay = `seed ${seed}, path ${found.counterexamplePath ?? '0'}; to keep it, name it in ${this.#test}`
    return { seed, plan, replay, ...(await this.tryPlan(plan)) }
  }
}

const SHRINK_MS = 120_000

/** One node at a time. */
export const NODE_TRIALS: Trials<Plan> = new Trials({
  plans,
  run,
  mutants: MUTANTS,
  test: 'test/simulation/simulation.test.ts',
})
