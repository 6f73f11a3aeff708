/** Whether what is missing from a shard's history was accepted as lost. */
import type { Catalog } from '../log/catalog.ts'
import type { Address } from '../log/record.ts'
import { isBefore, type Reign } from '../log/reign.ts'

/** Where something of a shard stands, as its owner of that epoch wrote it: of what was carried over since, that is behind the seal. */
export interface Written {
  readonly epoch: number
  readonly address: Address
}

/** Whether there is an accepted loss in the shard's reigns between two of its records. */
export async function hasLossBetween(
  catalog: Catalog,
  reigns: readonly Reign[],
  { from, to }: { readonly from: Written; readonly to: Written },
): Promise<boolean> {
  // An owner that wrote nothing but what its heir has carried over stands in no history.
  const between = reigns.filter(({ epoch }) => epoch >= from.epoch && epoch <= to.epoch)
  for (const { epoch, journal, ...reign } of between) {
    const begin = epoch === from.epoch ? from.address : reign.from
    const end = epoch === to.epoch ? to.address : (reign.until ?? to.address)
    for (const [segment, losses] of await catalog.losses(journal)) {
      for (const loss of losses) {
        const lossEnd = { segment, offset: loss.to ?? Number.POSITIVE_INFINITY }
        if (isBefore({ segment, offset: loss.from }, end) && isBefore(begin, lossEnd)) return true
      }
    }
  }
  return false
}
