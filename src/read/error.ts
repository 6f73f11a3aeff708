/** Errors of readers. Codes, outcomes and remedies are listed in docs/errors.md. */
import { PenholdError } from '../aggregate/error.ts'

/** A consumer has come further than the log goes. */
export function placeAhead(position: number, head: number): PenholdError {
  return new PenholdError(
    'PlaceAhead',
    `a place to read on from, position ${position}, is ahead of the log, which ends at position ${head}: it is of another log, or of this one before it was restored from a backup. What was read since then is in no log: read from an earlier place, or from the beginning.`,
    { outcome: 'none', retryable: false, details: { position, head } },
  )
}

export function badPlace(problem: string): PenholdError {
  return new PenholdError('BadPlace', `${problem}. Give the 'place' of an event that was read before.`, {
    outcome: 'none',
    retryable: false,
  })
}
