/** Whether what is missing from a shard's history was accepted as lost. */
import type { Catalog } from '../log/catalog.ts'
import type { Address } from '../log/record.ts'
import { isBefore, type Place, type Reign } from '../log/reign.ts'

/** Whether there is an accepted loss in the shard's reigns between two of its records. */
export async function hasLossBetween(
  catalog: Catalog,
  reigns: readonly Reign[],
  { from, to }: { readonly from: Address; readonly to: Address },
): Promise<boolean> {
  const first = reigns.findIndex((reign) => holds(reign, from))
  const last = reigns.findLastIndex((reign) => holds(reign, to))
  for (let i = Math.max(0, first); i <= last; i += 1) {
    const { journal, ...reign } = reigns[i]!
    const begin = i === first ? from : reign.from
    const end = i === last ? to : (reign.until ?? to)
    for (const [segment, losses] of await catalog.losses(journal)) {
      for (const loss of losses) {
        const lossEnd = { segment, offset: loss.to ?? Number.POSITIVE_INFINITY }
        if (isBefore({ segment, offset: loss.from }, end) && isBefore(begin, lossEnd)) return true
      }
    }
  }
  return false
}

function holds({ journal, from, until }: Reign, address: Address): boolean {
  const place: Place = address
  return journal === address.journal && !isBefore(place, from) && (until === undefined || isBefore(place, until))
}
