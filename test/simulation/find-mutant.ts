import type { Mutant } from './mutants.ts'
import type { AnyPlan, Trials } from './try-seed.ts'

export interface MutantFinding {
  readonly mutant: string
  readonly breaks: string
  /** How many plans it took. */
  readonly seeds: number
  /** The first promise that was seen broken; undefined where none was. */
  readonly violation: string | undefined
}

/** Where a search ends that finds nothing. */
export interface MutantBounds {
  readonly seeds: number
  /** For a machine on which so many plans take forever. */
  readonly seconds: number
}

/** Runs plans over a mutant, from seed 1 on, until it breaks a promise in one that keeps them all without it. */
export async function findMutant<P extends AnyPlan>(
  trials: Trials<P>,
  mutant: Mutant,
  bounds: MutantBounds,
): Promise<MutantFinding> {
  const { name, breaks } = mutant
  const end = performance.now() + bounds.seconds * 1_000
  let seeds = 0
  while (seeds < bounds.seeds && performance.now() < end) {
    seeds += 1
    const [violation] = await trials.tryMutant(mutant, seeds)
    if (violation === undefined) continue
    return { mutant: name, breaks, seeds, violation: violation.split('\n')[0]! }
  }
  return { mutant: name, breaks, seeds, violation: undefined }
}
