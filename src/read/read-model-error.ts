/** The operating errors of read models. Codes, outcomes and remedies are listed in docs/errors.md. */
import { definitionError, describe, PenholdError } from '../aggregate/error.ts'

const NAME = /^[A-Za-z0-9_-]{1,64}$/

/**
 * Projections' names become names of files, schemas and keys.
 * @throws PenholdError `BadDefinition` for one that cannot
 */
export function checkProjectionName(name: unknown): void {
  if (typeof name === 'string' && NAME.test(name)) return
  throw definitionError(`a projection's name is 1 to 64 letters, digits, '-' and '_', and not ${describe(name)}`)
}

/** The store does not answer, or not now. Whether a change was made is known from where its lane stands. */
export function readModelUnavailable(where: string, cause: unknown): PenholdError {
  const reason = reasonOf(cause)
  return new PenholdError('ReadModelUnavailable', `the read model in ${where} cannot be reached now: ${reason}`, {
    outcome: 'unknown',
    retryable: true,
    details: { where, reason },
    cause,
  })
}

export function readModelUnusable(where: string, problem: string, cause?: unknown): PenholdError {
  return new PenholdError('ReadModelUnusable', `the read model in ${where} cannot be used: ${problem}`, {
    outcome: 'none',
    retryable: false,
    details: { where, problem },
    cause,
  })
}

export function otherFormat(where: string, format: unknown): PenholdError {
  return readModelUnusable(
    where,
    `it has format ${String(format)}, which this version does not know. Run the newer version; or delete it, and it is made anew.`,
  )
}

export function noSuchGeneration(projection: string, generation: number): PenholdError {
  return new PenholdError(
    'NoSuchGeneration',
    `the read model of '${projection}' has no generation ${generation} (any more)`,
    { outcome: 'none', retryable: false, details: { projection, generation } },
  )
}

/** Whether it was dropped, here or elsewhere. */
export function isGenerationGone(error: unknown): boolean {
  return error instanceof PenholdError && error.code === 'NoSuchGeneration'
}

/** Some errors of Node have only a code. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error ? String(error.code) : error.name
  return error.message === '' ? code : error.message
}
