/** What is sent again under an id that derives from its cause, and says something else than the first time. */
import { isPenholdError, type PenholdError } from '../aggregate/error.ts'
import type { SentOutcome } from './effects.ts'

/**
 * Undefined where its id is known with another payload, and events stand for that: it has had its effect, as it was the first time.
 * @throws what else it throws
 */
export async function unlessKnown(asked: Promise<SentOutcome>): Promise<SentOutcome | undefined> {
  try {
    return await asked
  } catch (error) {
    if (!isPenholdError(error) || !tookEffectOtherwise(error)) throw error
    return undefined
  }
}

export function tookEffectOtherwise({ code, details }: PenholdError): boolean {
  return code === 'CommandIdReused' && Object(details).hasTakenEffect === true
}

/** So many are told; what is wrong with one will be with others. */
const TOLD_MAX = 100

/** Tells once of each that it said something else when it was asked again. */
export class SaidOtherwise {
  readonly #told = new Set<string>()
  readonly #onWarning: (message: string) => void

  constructor(onWarning: (message: string) => void) {
    this.#onWarning = onWarning
  }

  /** `who`: in words, such as the name of a reactor. */
  tell(who: string, what: string): void {
    if (this.#told.has(who) || this.#told.size >= TOLD_MAX) return
    this.#told.add(who)
    this.#onWarning(
      `${who} has asked again for ${what}, and for something else than the first time, which has taken effect and stands; have it follow from what it is given alone, not from the time or from what was looked up`,
    )
  }
}
