/** What the generations of a read model are, by their numbers. Pure. */
import type { Generations } from './read-model.ts'

/** One that is being rebuilt, or whose rebuild was interrupted. */
export function unfinishedOf({ live, all }: Generations): number | undefined {
  return all.findLast((generation) => generation > live)
}

/** The one to go back to. */
export function previousOf({ live, all }: Generations): number | undefined {
  return all.findLast((generation) => generation < live)
}
