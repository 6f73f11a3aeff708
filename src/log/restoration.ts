/**
 * That a log was restored (`restored.json`), and what it means for those who remember a place in it. A restored log goes
 * up to a position, and on from a later one: every position in between is of an event that it has lost, if of any. So
 * whoever has handled such an event is told, and does not take what comes after for all that there is.
 */
import { decodeChecked, encodeChecked } from './checked-json.ts'
import { logCorrupt } from './error.ts'
import { RESTORED_PATH } from './path.ts'
import { readWhole, type Storage } from './storage.ts'

export interface Restoration {
  /** A UUID, of no other restoration. */
  readonly id: string
  /** Up to here the log is what it was before. */
  readonly position: number
  /** Everything that came later has a greater position than this. */
  readonly resumesAt: number
  /** When, in milliseconds since 1970. */
  readonly time: number
}

/** How often the log was restored, oldest first. @throws PenholdError `LogCorrupt` */
export async function readRestorations(storage: Pick<Storage, 'openRead'>): Promise<readonly Restoration[]> {
  const content = await readWhole(storage, RESTORED_PATH)
  if (content === undefined) return []
  const file = decodeChecked(content) as { readonly restorations: readonly Restoration[] } | undefined
  if (file === undefined) throw logCorrupt(RESTORED_PATH, 0, 'this is not what was written')
  return file.restorations
}

export async function writeRestorations(storage: Storage, restorations: readonly Restoration[]): Promise<void> {
  await storage.replaceDurably(RESTORED_PATH, encodeChecked({ restorations }))
}

/** The restoration that has taken what stood at a position out of the log, where one has. */
export function restorationBefore(restorations: readonly Restoration[], position: number): Restoration | undefined {
  return restorations.find((one) => one.position < position && position <= one.resumesAt)
}
