/**
 * Losses that an operator has accepted: `journals/<journal>/<segment>.lost` names the stretches of a segment that cannot
 * be read and that nobody is to be refused for any more. It stands beside the segment, which is never changed: what can
 * still be read in there is, and what cannot stays for whoever finds a better copy.
 *
 * A stream whose chain leads into such a stretch is refused from there back, and no other.
 */
import { decodeChecked, encodeChecked } from './checked-json.ts'
import { logCorrupt } from './error.ts'
import { journalPath, lossPath, numbersOf } from './path.ts'
import { readWhole, type Storage } from './storage.ts'

/** Offsets in the segment; without `to` it reaches to the segment's end, or the file is missing. */
export interface Loss {
  readonly from: number
  readonly to?: number
}

/** The accepted losses of a journal, by segment. Empty for nearly every journal. */
export type Losses = ReadonlyMap<number, readonly Loss[]>

interface LossFile {
  readonly journal: number
  readonly segment: number
  readonly losses: readonly Loss[]
}

/** @throws PenholdError `LogCorrupt` where such a file is not what was written */
export async function readLosses(storage: Storage, journal: number): Promise<Losses> {
  const losses = new Map<number, readonly Loss[]>()
  for (const segment of numbersOf(await storage.list(journalPath(journal)), '.lost')) {
    const path = lossPath(journal, segment)
    const file = decodeChecked((await readWhole(storage, path)) ?? new Uint8Array()) as LossFile | undefined
    if (file?.journal !== journal || file.segment !== segment) {
      throw logCorrupt(path, 0, 'this is not the list of losses that was written')
    }
    losses.set(segment, file.losses)
  }
  return losses
}

/** Adds a stretch to what is accepted as lost. */
export async function acceptLoss(
  storage: Storage,
  place: { journal: number; segment: number },
  loss: Loss,
): Promise<void> {
  const { journal, segment } = place
  const before = (await readLosses(storage, journal)).get(segment) ?? []
  const file: LossFile = { journal, segment, losses: [...before, loss] }
  await storage.createFolder(journalPath(journal))
  await storage.replaceDurably(lossPath(journal, segment), encodeChecked(file))
}

export function isAccepted(
  losses: Losses,
  { segment, from, to }: { segment: number; from: number; to: number },
): boolean {
  const accepted = losses.get(segment) ?? []
  return accepted.some((loss) => loss.from <= from && to <= (loss.to ?? Number.POSITIVE_INFINITY))
}
