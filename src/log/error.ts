/** The log's operating errors. Codes, outcomes and remedies are listed in docs/errors.md. */
import { PenholdError } from '../aggregate/error.ts'
import { isFileFailure } from './storage.ts'

/** Stored bytes are not what was written. Those that depend on them get this; everyone else goes on. */
export function logCorrupt(path: string, offset: number, problem: string): PenholdError {
  return new PenholdError(
    'LogCorrupt',
    `${path} at byte ${offset}: ${problem}. Run 'penhold verify': it says what is harmed, and how to mend it. Nothing was changed or skipped.`,
    { outcome: 'none', retryable: false, details: { path, offset } },
  )
}

/**
 * What a failure at one file of the log means for those that depend on it: as if it were damaged, so that everyone else
 * goes on (I8). A failure that is not that file's alone stays what it is.
 */
export function failureAt(path: string, error: unknown): unknown {
  if (!isFileFailure(error)) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new PenholdError(
    'LogCorrupt',
    `${path} cannot be used (${reason}). Mend what keeps it from being read, or restore it from a backup, and start again; nothing of it was changed or skipped.`,
    { outcome: 'none', retryable: false, details: { path, reason }, cause: error },
  )
}

export function isLogCorrupt(error: unknown): error is PenholdError {
  return error instanceof PenholdError && error.code === 'LogCorrupt'
}

/** What is in a file is not what was written, which is so for whoever reads it; not that it cannot be read from here. */
export function isDamage(error: PenholdError): boolean {
  return isLogCorrupt(error) && !isFileFailure(error.cause)
}

export function storageFull(cause: unknown): PenholdError {
  return new PenholdError(
    'StorageFull',
    'the disk of the data directory is full: nothing was written. Make room; writing resumes by itself.',
    { outcome: 'none', retryable: true, cause },
  )
}

/** Whether something failed with `StorageFull`. */
export function isOutOfRoom(error: unknown): boolean {
  return error instanceof PenholdError && error.code === 'StorageFull'
}

export function ownershipLost(shard: number): PenholdError {
  return new PenholdError(
    'OwnershipLost',
    `shard ${shard} has a newer owner, so it cannot be known here whether the command took effect. Send it again with the same command id.`,
    { outcome: 'unknown', retryable: true, details: { shard } },
  )
}

export function dataFormat(message: string, details: unknown): PenholdError {
  return new PenholdError('DataFormat', message, { outcome: 'none', retryable: false, details })
}

/**
 * A write or a sync failed, so the fate of what was written last is unknown. The journal is never touched again: its
 * worker ends, and the next owner of its shards reads from the log what took effect.
 */
export class JournalBroken extends Error {
  override readonly name = 'JournalBroken'
}
