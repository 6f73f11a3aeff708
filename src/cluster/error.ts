/** The callers' operating errors. Codes, outcomes and remedies are listed in docs/errors.md. */
import { PenholdError, type Outcome } from '../aggregate/error.ts'

export function badPayload(what: string, problem: string): PenholdError {
  return new PenholdError('BadPayload', `${what}: ${problem}. Nothing was sent.`, {
    outcome: 'none',
    retryable: false,
    details: { problem },
  })
}

export function badAddress(problem: string): PenholdError {
  return new PenholdError('BadAddress', problem, { outcome: 'none', retryable: false })
}

export function timeout(stream: string, what: string, timeoutMs: number): PenholdError {
  return new PenholdError(
    'Timeout',
    `no reply from ${stream} to ${what} within ${timeoutMs} ms. Ask again with the same command id to learn the outcome.`,
    { outcome: 'unknown', retryable: true, details: { stream, timeoutMs } },
  )
}

export function aborted(stream: string, outcome: Outcome, cause: unknown): PenholdError {
  return new PenholdError('Aborted', `the caller gave up waiting for ${stream}`, {
    outcome,
    retryable: true,
    details: { stream },
    cause,
  })
}

export function windowFull(limit: number): PenholdError {
  return new PenholdError(
    'MailboxFull',
    `${limit} commands are under way to one worker, which is its limit. Send fewer at once, or raise limits.underWayMax.`,
    { outcome: 'none', retryable: true, details: { limit } },
  )
}

export function handlerStuck(stream: string, name: string, ms: number): PenholdError {
  return new PenholdError(
    'HandlerStuck',
    `'${name}' on ${stream} held its worker's thread for more than ${ms} ms. The worker was replaced and the command dropped; nothing of it happened.`,
    { outcome: 'none', retryable: false, details: { stream, name } },
  )
}

export function quarantined(stream: string, forMs: number): PenholdError {
  return new PenholdError(
    'HandlerStuck',
    `${stream} is left alone for another ${Math.ceil(forMs)} ms, because a handler of it held its worker's thread`,
    { outcome: 'none', retryable: true, details: { stream } },
  )
}

export function nodeClosed(outcome: Outcome): PenholdError {
  return new PenholdError('NodeClosed', 'the node is closed', { outcome, retryable: false })
}
