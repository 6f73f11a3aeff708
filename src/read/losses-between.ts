/** Whether what is missing from a shard's history was accepted as lost. */
import type { Catalog, SegmentIndex } from '../log/catalog.ts'
import type { Gap } from '../log/damage.ts'
import type { Address } from '../log/record.ts'
import { isBefore, type Place, type Reign } from '../log/reign.ts'

/** Where something of a shard stands, as its owner of that epoch wrote it: of what was carried over since, that is behind the seal. */
export interface Written {
  readonly epoch: number
  readonly address: Address
}

/** A part of a journal. */
interface Part {
  readonly journal: number
  readonly begin: Place
  readonly end: Place
}

/**
 * Whether there is an accepted loss in the shard's reigns between two of its records, and nothing else that cannot be read:
 * what was accepted does not say how many events it had, and the others that are missing may stand there.
 */
export async function isLossAccepted(
  catalog: Catalog,
  reigns: readonly Reign[],
  { from, to }: { readonly from: Written; readonly to: Written },
): Promise<boolean> {
  // An owner that wrote nothing but what its heir has carried over stands in no history.
  const between = reigns.filter(({ epoch, until }) => {
    // What was handed out while it was in doubt may stand behind the seal: nothing of that reign follows it.
    if (epoch === from.epoch && until !== undefined && !isBefore(from.address, until)) return false
    return epoch >= from.epoch && epoch <= to.epoch
  })
  const parts = between.map(({ epoch, journal, ...reign }) => ({
    journal,
    begin: epoch === from.epoch ? from.address : reign.from,
    end: epoch === to.epoch ? to.address : (reign.until ?? to.address),
  }))
  const isSome = await Promise.all(parts.map((part) => hasLoss(catalog, part)))
  if (!isSome.includes(true)) return false
  for (const part of parts) if (!(await isAllAccepted(catalog, part))) return false
  return true
}

async function hasLoss(catalog: Catalog, part: Part): Promise<boolean> {
  for (const [segment, losses] of await catalog.losses(part.journal)) {
    if (losses.some(({ from, to = Number.POSITIVE_INFINITY }) => isWithin(part, { segment, from, to }))) return true
  }
  return false
}

/** It is read anew: what an index says may have been so when it was made. */
async function isAllAccepted(catalog: Catalog, part: Part): Promise<boolean> {
  const { journal, begin, end } = part
  let before: SegmentIndex | undefined
  for (let { segment } = begin; segment <= end.segment; segment += 1) {
    const index = await catalog.read(journal, segment)
    const missing = before && (await catalog.gapBetween(journal, before, index))
    const gaps = [...index.gaps, missing].filter((gap) => gap !== undefined && isWithin(part, gap))
    if (!gaps.every((gap) => gap?.isAccepted)) return false
    before = index
  }
  return true
}

function isWithin({ begin, end }: Part, { segment, from, to }: Pick<Gap, 'segment' | 'from' | 'to'>): boolean {
  return isBefore({ segment, offset: from }, end) && isBefore(begin, { segment, offset: to })
}
