/** The actors' operating errors. Codes, outcomes and remedies are listed in docs/errors.md. */
import { BrokenInvariant } from '../aggregate/assert.ts'
import type { Aggregate } from '../aggregate/aggregate.ts'
import { PenholdError } from '../aggregate/error.ts'
import { saidInWords, streamInWords } from '../aggregate/own-names.ts'
import type { Failure, Reply, SentIn } from './message.ts'

export function handlerFailed(what: string, cause: unknown): PenholdError {
  const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
  return new PenholdError(
    'HandlerFailed',
    `${what} failed: ${reason.replace(/\.$/, '')}. Nothing happened; mend the handler.`,
    { outcome: 'none', retryable: false, details: stackOf(cause), cause },
  )
}

/** No handler's doing, though it is an aggregate's that it shows at. */
function ruleBroken(cause: BrokenInvariant): PenholdError {
  return new PenholdError(
    'HandlerFailed',
    `a rule of Penhold's own does not hold: ${cause.message}. Nothing happened. No handler is at fault, but Penhold, or what the log has of the aggregate: look with penhold verify, and report it with "details.stack".`,
    { outcome: 'none', retryable: false, details: stackOf(cause), cause },
  )
}

function stackOf(cause: unknown): { readonly stack: string | undefined } | undefined {
  return cause instanceof Error ? { stack: cause.stack?.split('\n').slice(0, 6).join('\n') } : undefined
}

export function quarantined(stream: string, forMs: number): PenholdError {
  return new PenholdError(
    'HandlerStuck',
    `${streamInWords(stream)} is left alone for another ${Math.ceil(forMs)} ms, because a handler of it held its worker's thread`,
    { outcome: 'none', retryable: true, details: { stream } },
  )
}

export function mailboxFull(stream: string, mailboxMax: number): PenholdError {
  return new PenholdError(
    'MailboxFull',
    `${streamInWords(stream)} has ${mailboxMax} commands under way, which is its limit. Send the command again later, or raise limits.mailboxMax.`,
    { outcome: 'none', retryable: true, details: { stream, mailboxMax } },
  )
}

export function expectedVersion(stream: string, expected: number, actual: number): PenholdError {
  return new PenholdError(
    'ExpectedVersion',
    `${stream} is at version ${actual}, not ${expected}: it changed since it was read. Read it again and decide anew.`,
    { outcome: 'none', retryable: false, details: { stream, expected, actual } },
  )
}

/** An append was refused as it is; what it was to go to is as it was. */
export function appendRefused(stream: string, problem: string): PenholdError {
  return new PenholdError('BadPayload', `the append to ${stream}: ${problem.replace(/\.$/, '')}. Nothing happened.`, {
    outcome: 'none',
    retryable: false,
    details: { stream, problem },
  })
}

export function readRefused(stream: string, problem: string): PenholdError {
  return new PenholdError('BadPayload', `${stream} cannot be read like this: ${problem}`, {
    outcome: 'none',
    retryable: false,
    details: { stream, problem },
  })
}

/** `actual` is the stream's version, or that it is not there. */
export function concurrency(stream: string, expected: number | string, actual: number | 'no-stream'): PenholdError {
  const found = actual === 'no-stream' ? 'is not there' : `is at version ${actual}`
  return new PenholdError(
    'ConcurrencyError',
    `${stream} ${found}, and ${typeof expected === 'number' ? `version ${expected}` : `'${expected}'`} was expected. Nothing was appended: read it again and decide anew.`,
    { outcome: 'none', retryable: false, details: { stream, expected, actual } },
  )
}

export function partitionConcurrency(
  stream: string,
  { type, id, version }: { readonly type: string; readonly id: string; readonly version: number },
  actual: number,
): PenholdError {
  const expected = version - 1
  return new PenholdError(
    'ConcurrencyError',
    `${type}/${id} in ${stream} is at version ${actual}, and ${expected} was expected, as an event says that it is its ${version}. Nothing was appended: read it again and decide anew.`,
    { outcome: 'none', retryable: false, details: { stream, aggregate: { type, id }, expected, actual } },
  )
}

/** `hasTakenEffect`: events stand in the log for the other command. */
export function commandIdReused(stream: string, commandId: string, hasTakenEffect: boolean): PenholdError {
  return new PenholdError(
    'CommandIdReused',
    `the command id ${commandId} was used on ${streamInWords(stream)} with another command or payload. An id belongs to one command for ever; make a new one.`,
    { outcome: 'none', retryable: false, details: { stream, commandId, hasTakenEffect } },
  )
}

export function timedOutBefore(stream: string, name: string): PenholdError {
  const what = saidInWords({ stream, name })
  return new PenholdError('Timeout', `the time for ${what} was over before it was taken up`, {
    outcome: 'none',
    retryable: true,
    details: { stream, name },
  })
}

export function badAddress(problem: string): PenholdError {
  return new PenholdError('BadAddress', problem, { outcome: 'none', retryable: false })
}

const NAMES_SHOWN = 20

export function unknownCommand(aggregate: Aggregate, what: 'command' | 'query', name: string): PenholdError {
  const { type } = aggregate
  const own = Object.keys((what === 'command' ? aggregate.commands : aggregate.queries) as object)
  // What Penhold says to it is nobody else's to say.
  const known = own.filter((each) => !each.startsWith('$'))
  const shown = known.slice(0, NAMES_SHOWN).join(', ') + (known.length > NAMES_SHOWN ? ' …' : '')
  return new PenholdError('UnknownCommand', `${type} has no ${what} '${name}'; it has ${shown || 'none'}`, {
    outcome: 'none',
    retryable: false,
    details: { type, name },
  })
}

/** Whoever told it something runs other code. */
export function unknownTold(problem: string): PenholdError {
  return new PenholdError('UnknownCommand', problem, { outcome: 'none', retryable: false })
}

/** Of who is to serve it, or to send it something. */
export function unknownAggregate(type: string): PenholdError {
  return new PenholdError(
    'UnknownCommand',
    `the config of this node has no aggregate '${type}'; give all nodes the same in cluster.config.ts, and start them anew`,
    { outcome: 'none', retryable: false, details: { type } },
  )
}

export function tooLarge(what: string, bytes: number, limit: number): PenholdError {
  return new PenholdError('TooLarge', `${what} takes ${bytes}, and ${limit} is the limit. Nothing happened.`, {
    outcome: 'none',
    retryable: false,
    details: { bytes, limit },
  })
}

export function replyTooLarge(bytes: number, limit: number, outcome: PenholdError['outcome']): PenholdError {
  return new PenholdError(
    'TooLarge',
    `the reply takes ${bytes} bytes, and ${limit} is the limit of what can be sent. Ask for less at a time.`,
    { outcome, retryable: false, details: { bytes, limit } },
  )
}

export function tooManyEvents(what: string, events: number, limit: number): PenholdError {
  return new PenholdError('TooLarge', `${what} made ${events} events, and ${limit} is the limit. Nothing happened.`, {
    outcome: 'none',
    retryable: false,
    details: { events, limit },
  })
}

export function unknownEvent(stream: string, problem: string): PenholdError {
  return new PenholdError('UnknownEvent', `${stream} cannot be read by this code: ${problem}`, {
    outcome: 'none',
    retryable: false,
    details: { stream },
  })
}

export function noSuchEvent(stream: string, at: unknown): PenholdError {
  return new PenholdError('NoSuchEvent', `${stream} was never at ${JSON.stringify(at)}`, {
    outcome: 'none',
    retryable: false,
    details: { stream, at },
  })
}

export function shardUnavailable(shard: number, why: string): PenholdError {
  return new PenholdError('ShardUnavailable', `shard ${shard} has no owner at the moment: ${why}. Try again later.`, {
    outcome: 'none',
    retryable: true,
    details: { shard },
  })
}

export function senderSuperseded({ shard, epoch }: SentIn, why: string): PenholdError {
  const message = `It was sent by the consumers of shard ${shard} in epoch ${epoch}, and ${why}: nothing was done. Whoever owns the shard now sends it.`
  return new PenholdError('ShardUnavailable', message, { outcome: 'none', retryable: true, details: { shard } })
}

export function toFailure(error: unknown): Failure {
  if (error instanceof PenholdError) {
    const { code, message, outcome, retryable, details } = error
    return { code, message, outcome, retryable, details }
  }
  return toFailure(error instanceof BrokenInvariant ? ruleBroken(error) : handlerFailed('the actor', error))
}

export function fromFailure({ code, message, ...options }: Failure): PenholdError {
  return new PenholdError(code, message, options)
}

/** The reply of what has failed. */
export function failed(error: unknown): Reply {
  return { kind: 'failed', failure: toFailure(error) }
}
