import type { Mutant } from './mutants.ts'
import { trySeed } from './try-seed.ts'

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

/** Runs plans over a mutant until one of them notices, from seed 1 on. */
export async function findMutant(
  { name, breaks, install, wrapStorage }: Mutant,
  bounds: MutantBounds,
): Promise<MutantFinding> {
  const undo = install?.()
  try {
    const end = performance.now() + bounds.seconds * 1_000
    let seeds = 0
    while (seeds < bounds.seeds && performance.now() < end) {
      seeds += 1
      const { violations } = await trySeed(seeds, wrapStorage && { wrapStorage })
      if (violations.length > 0) return { mutant: name, breaks, seeds, violation: violations[0]!.split('\n')[0]! }
    }
    return { mutant: name, breaks, seeds, violation: undefined }
  } finally {
    undo?.()
  }
}
