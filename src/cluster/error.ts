/** The callers' operating errors. Codes, outcomes and remedies are listed in docs/errors.md. */
import { PenholdError, type Outcome } from '../aggregate/error.ts'
import { saidInWords, streamInWords, unknownInWords } from '../aggregate/own-names.ts'

export function badPayload(what: string, problem: string): PenholdError {
  return new PenholdError('BadPayload', `${what}: ${problem.replace(/\.$/, '')}. Nothing happened.`, {
    outcome: 'none',
    retryable: false,
    details: { problem },
  })
}

/** Whom a request went to, and the id to ask again with. */
export interface Asked {
  readonly stream: string
  readonly commandId?: string
}

export function timeout(asked: Asked, what: string, timeoutMs: number): PenholdError {
  return new PenholdError(
    'Timeout',
    `no reply from ${streamInWords(asked.stream)} to ${what} within ${timeoutMs} ms. Ask again with the same command id ("details.commandId") to learn the outcome.`,
    { outcome: 'unknown', retryable: true, details: { ...asked, timeoutMs } },
  )
}

export function aborted(asked: Asked, outcome: Outcome, cause: unknown): PenholdError {
  return new PenholdError('Aborted', `the caller gave up waiting for ${streamInWords(asked.stream)}`, {
    outcome,
    retryable: true,
    details: asked,
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

/** What a handler did to its worker's thread. */
export type Offence = { readonly kind: 'held'; readonly ms: number } | { readonly kind: 'ended' }

/**
 * `outcome` is `none` for the command whose handler it was, since it never came to its events, and `unknown` for others
 * that were under way to the aggregate.
 */
export function handlerStuck(stream: string, name: string, offence: Offence, outcome: Outcome): PenholdError {
  const what =
    offence.kind === 'held' ? `held its worker's thread for more than ${offence.ms} ms` : `ended its worker's thread`
  return new PenholdError(
    'HandlerStuck',
    `${saidInWords({ stream, name })} ${what}. The worker was replaced, and what was under way to the aggregate dropped; mend the handler.`,
    { outcome, retryable: false, details: { stream, name } },
  )
}

/** It cannot be known whether it was this question or another that ended the threads. */
export function handlerSuspected(stream: string, name: string, threads: number): PenholdError {
  return new PenholdError(
    'HandlerStuck',
    `${saidInWords({ stream, name })} was under way each time when ${threads} workers' threads ended, one after the other. It, or what was asked at the same time, may have ended them: look at what the handlers leave behind when they return.`,
    { outcome: 'none', retryable: false, details: { stream, name } },
  )
}

/**
 * Whoever sends something knows it, by its config or by its version of Penhold; who serves it does not. `node` is who that is, in
 * words, `sent` is what was sent, and `problem` what was said to it.
 */
export function runsOtherCode(
  { node, stream }: { readonly node: string; readonly stream: string },
  sent: { readonly kind: 'state' } | { readonly kind: 'command' | 'query'; readonly name: string },
  problem: string,
): PenholdError {
  const what = sent.kind === 'state' ? 'its aggregate' : unknownInWords(sent)
  return new PenholdError(
    'NotSupported',
    `${node} serves ${streamInWords(stream)} and does not know ${what}: it runs other code than who asks, most likely older (it says: ${problem.replace(/\.$/, '')}). While a deployment is under way ask again later; else give all nodes the same definitions, and start that one anew.`,
    { outcome: 'none', retryable: true, details: { node, stream } },
  )
}

/** What is asked of a stream's owner came with a version of Penhold that it has not. */
export function notSupported(stream: string): PenholdError {
  return new PenholdError(
    'NotSupported',
    `the node that serves ${stream} runs a version of Penhold that knows no event store. Nothing happened; upgrade it, or ask again once another serves the stream.`,
    { outcome: 'none', retryable: true, details: { stream } },
  )
}

/** Nothing is asked of it: it would take the question for nonsense. */
export function knowsNoCalls(node: string): PenholdError {
  return new PenholdError(
    'NotSupported',
    `${node} runs a version of Penhold whose projections nobody can call from outside. Nothing happened; upgrade it.`,
    { outcome: 'none', retryable: true, details: { node } },
  )
}

/** None of the nodes can be asked: they would take the question for nonsense. */
export function knowsNoReadings(): PenholdError {
  return new PenholdError(
    'NotSupported',
    `the nodes of the cluster run a version of Penhold from which a client can read streams with 'load' alone. Nothing happened; upgrade them.`,
    { outcome: 'none', retryable: true },
  )
}

/** `of` is what has the limit. */
export function tooManyReadings(kind: 'all' | 'stream', of: 'connection' | 'node', limit: number): PenholdError {
  const what = kind === 'all' ? 'readings of everything' : 'subscriptions to streams'
  const where = of === 'node' ? 'at one node for its clients' : 'over one connection'
  return new PenholdError(
    'MailboxFull',
    `${limit} ${what} are open ${where}, which is the limit. Close some, or share them among more clients.`,
    { outcome: 'none', retryable: true, details: { limit } },
  )
}

/** Nobody has answered a reader, who has an end to come to. */
export function nobodyToReadFrom(ms: number): PenholdError {
  return new PenholdError(
    'ShardUnavailable',
    `no node from which to read could be reached for ${ms} ms. Try again later.`,
    { outcome: 'none', retryable: true, details: { ms } },
  )
}

/** The command was accepted, or not: whoever has its reply cannot tell any more. */
export function replyLost(problem: string): PenholdError {
  return new PenholdError(
    'ReplyLost',
    `the reply to the command could not be read on its way (${problem}). Send it again with the same command id.`,
    { outcome: 'unknown', retryable: true, details: { problem } },
  )
}

export function nodeClosed(outcome: Outcome): PenholdError {
  return new PenholdError('NodeClosed', 'the node is closed', { outcome, retryable: false })
}

export function clusterNotFound(name: string): PenholdError {
  return new PenholdError(
    'ClusterNotFound',
    `Redis knows no cluster '${name}'. Start a node of it; or look whether this is the nodes' Redis, and their cluster's name.`,
    { outcome: 'none', retryable: true, details: { name } },
  )
}

export function nodeRefused(address: string, cause: Error): PenholdError {
  return new PenholdError(
    'NodeRefused',
    `every node that answers refuses this process. The one at ${address}: ${cause.message}`,
    { outcome: 'none', retryable: false, details: { address }, cause },
  )
}

export function addressUnreachable(address: string, cause: Error): PenholdError {
  return new PenholdError(
    'AddressUnreachable',
    `this node does not reach itself at ${address}, which is where the others are to reach it: ${cause.message}. Set network.advertise to an address of this node that reaches network.listen.`,
    { outcome: 'none', retryable: true, details: { address }, cause },
  )
}
