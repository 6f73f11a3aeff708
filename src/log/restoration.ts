/**
 * That a log was restored (`restored.json`), and what it means for those who remember a place in it. A restored log goes
 * up to a position, and on from a later one: every position in between is of an event that it has lost, if of any. So
 * whoever has handled such an event is told, and does not take what comes after for all that there is.
 */
import { PenholdError } from '../aggregate/error.ts'
import { decodeChecked, encodeChecked } from './checked-json.ts'
import { logCorrupt } from './error.ts'
import { RESTORED_PATH } from './path.ts'
import { timeOfPosition } from './position.ts'
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

/**
 * That somebody's checkpoint, the position of the last event that was handled, is one of this log.
 * @throws PenholdError `CheckpointAhead` where the log was restored to a position before it
 */
export function checkCheckpoint(restorations: readonly Restoration[], name: string, position: number): void {
  const restoration = restorations.find((one) => one.position < position && position <= one.resumesAt)
  if (restoration === undefined) return
  const { id, position: restoredTo, time } = restoration
  throw new PenholdError(
    'CheckpointAhead',
    `'${name}' has handled events up to position ${position} (${isoOf(position)}), and the log was restored at ${new Date(time).toISOString()} to position ${restoredTo} (${isoOf(restoredTo)}): what lies between is not in the log any more. Rebuild it, or put its own data back to a moment that is not later.`,
    { outcome: 'none', retryable: false, details: { name, position, restoredTo, restoration: id } },
  )
}

function isoOf(position: number): string {
  return new Date(timeOfPosition(position)).toISOString()
}
