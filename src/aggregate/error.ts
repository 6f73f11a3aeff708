import { streamInWords } from './own-names.ts'

/**
 * Whether a failed command may have taken effect: `none` means that nothing happened and nothing will; `unknown`
 * means that it cannot be known here. Asking again with the same command id is safe either way (I7).
 */
export type Outcome = 'none' | 'unknown'

export interface PenholdErrorOptions {
  readonly outcome: Outcome
  readonly retryable: boolean
  readonly details?: unknown
  readonly cause?: unknown
}

/**
 * Every operating error of Penhold. Compare by `code`, never by class: errors cross threads and sockets.
 * The codes, with what to do about each, are listed in docs/errors.md.
 */
export class PenholdError extends Error {
  override readonly name: string = 'PenholdError'
  readonly code: string
  readonly outcome: Outcome
  /** Whether the same call can succeed later without anything being changed. */
  readonly retryable: boolean
  readonly details: unknown

  constructor(code: string, message: string, options: PenholdErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.outcome = options.outcome
    this.retryable = options.retryable
    this.details = options.details
  }
}

/**
 * The aggregate refused the command for a business reason. `code` and `details` are the ones its handler gave to
 * `reject`; nothing happened, and the decision was made on durable state.
 */
export class Rejected<Code extends string = string, Details = unknown> extends PenholdError {
  override readonly name: string = 'Rejected'
  declare readonly code: Code
  declare readonly details: Details

  constructor(code: Code, details: Details, command?: { readonly stream: string; readonly name: string }) {
    const where = command === undefined ? '' : ` by ${streamInWords(command.stream)} for the command '${command.name}'`
    super(code, `rejected${where}: ${code}`, { outcome: 'none', retryable: false, details })
  }
}

/**
 * Whether something that was caught is an operating error of Penhold; where a code is given, whether it is that one. A
 * business refusal is none (docs/errors.md): `isRejection` knows those.
 */
export function isPenholdError<Code extends string = string>(
  error: unknown,
  code?: Code,
): error is PenholdError & { readonly code: Code } {
  if (!(error instanceof PenholdError) || error instanceof Rejected) return false
  return code === undefined || error.code === code
}

/** A definition that cannot work: thrown while the program starts, by `defineAggregate` and `defineCluster`. */
export function definitionError(message: string, cause?: unknown): PenholdError {
  return new PenholdError('BadDefinition', message, { outcome: 'none', retryable: false, cause })
}

const REASON_MAX = 1_000

/**
 * What was thrown, whatever it is, as a short text that goes on after a colon. An operating error says all in its message;
 * of all else the class is told as well.
 */
export function reasonOf(thrown: unknown): string {
  try {
    return (
      textOf(thrown).slice(0, REASON_MAX).toWellFormed().replace(/\.$/, '') || 'something without a message was thrown'
    )
  } catch {
    return 'something that cannot be shown was thrown'
  }
}

function textOf(thrown: unknown): string {
  if (!(thrown instanceof Error) || thrown.message === '') return String(thrown)
  return thrown instanceof PenholdError ? thrown.message : `${thrown.name}: ${thrown.message}`
}

/** For the end of a message about what was defined elsewhere: why it may be undefined. */
export function whyUndefined(given: unknown): string {
  return given === undefined
    ? '. Where it is undefined, look at its import: two files that import each other see it too early.'
    : ''
}

/** What was given in place of something else, for a message: it may be a value that cannot be made a text of. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return `'${value}'`
    case 'object':
      return value === null ? 'null' : kindOf(value)
    case 'function':
    case 'symbol':
      return `a ${typeof value}`
    case 'number':
    case 'bigint':
    case 'boolean':
    case 'undefined':
      return String(value)
  }
}

function kindOf(value: object): string {
  if (Array.isArray(value)) return 'a list'
  if (value instanceof Promise) return 'a promise'
  return value instanceof Date ? 'a date' : 'an object'
}
