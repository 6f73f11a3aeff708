/**
 * What became of a command, as its process is told. Details of a rejection, and the text of a failure, may be of any size; what the
 * process is told has to fit into its stream, beside its names, its metadata and what the process decides because of it. What does not
 * is left out, and the process told so: it would never hear of it otherwise.
 */
import { isPenholdError } from '../aggregate/error.ts'
import { OUTCOME } from '../aggregate/own-names.ts'
import type { Cause, Effects, SentOutcome } from './effects.ts'
import type { SentByProcess } from './process.ts'
import { unlessKnown } from './unless-known.ts'

/** A command that has failed for good. */
export interface Failed {
  readonly kind: 'failed'
  readonly code: string
  readonly message: string
}

export type ToldOutcome = SentOutcome | Failed

/** In characters. The beginning says what has failed. */
const MESSAGE_MAX = 2_000
const SHORT_MESSAGE_MAX = 200

export interface OutcomeTelling extends Cause {
  readonly effects: Effects
  /** Of the process. */
  readonly stream: string
  /** Derived from the fact that the command was sent. */
  readonly commandId: string
  readonly sent: SentByProcess
  /** It is recorded, and its handler not asked. */
  readonly isUnheard?: true
}

/** @throws PenholdError as `Effects.ask`, and where it does not fit without what can be left out */
export async function tellOutcome(telling: OutcomeTelling, outcome: ToldOutcome): Promise<void> {
  const { effects, sent, isUnheard, ...command } = telling
  const tell = async (told: object): Promise<void> => {
    const payload = { ...sent, ...told, ...(isUnheard && { isUnheard }) }
    await unlessKnown(effects.ask({ ...command, name: OUTCOME, payload }))
  }
  try {
    await tell(outcome.kind === 'failed' ? { ...outcome, message: cut(outcome.message, MESSAGE_MAX) } : outcome)
  } catch (error) {
    const shorter = shorterFor(error, outcome)
    if (shorter === undefined) throw error
    await tell(shorter)
  }
}

/** Undefined where nothing can be left out, or that is not what keeps it from being recorded. */
function shorterFor(error: unknown, outcome: ToldOutcome): object | undefined {
  const problem = problemOf(error)
  if (problem === undefined || outcome.kind === 'accepted') return undefined
  const { kind, code } = outcome
  if (kind === 'failed') return { kind, code, message: cut(outcome.message, SHORT_MESSAGE_MAX) }
  return outcome.details === undefined ? undefined : { kind, code, detailsLeftOut: problem }
}

/** Why an outcome cannot be recorded as it is; undefined where that is not its size or shape. */
function problemOf(error: unknown): string | undefined {
  if (!isPenholdError(error)) return undefined
  const { bytes, limit, problem } = Object(error.details) as Readonly<Record<string, unknown>>
  // Not what makes too many events.
  if (error.code === 'TooLarge' && typeof bytes === 'number') {
    return `recorded with them it takes ${bytes} bytes, and ${String(limit)} is the limit (limits.commandBytesMax)`
  }
  return error.code === 'BadPayload' && typeof problem === 'string' ? problem : undefined
}

function cut(message: string, max: number): string {
  const text = message.toWellFormed()
  if (text.length <= max) return text
  return `${text.slice(0, max).toWellFormed()} … (the first ${max} of ${text.length} characters)`
}
