/**
 * What operators ask of the projections that a node runs, over a connection for control, and what they are answered. Both
 * are MessagePack lists that begin with their kind, as all that is said there, and then have texts and plain data: these
 * are few, and changes of them need not be told apart by length.
 */
import { replyTooLarge, toFailure } from '../actor/error.ts'
import type { Failure } from '../actor/message.ts'
import { encode } from '../log/codec.ts'
import { isCount } from '../log/count.ts'
import { BadFrame } from './frame.ts'
import { failureOf } from './wire.ts'

/** The version of the protocol that has the question. */
export const PROJECTION_CALLS_SINCE = 3

export interface ProjectionCall {
  /** The caller's number for it; the answer carries it. */
  readonly request: number
  /** One that the receiver does not know is answered with a failure. */
  readonly call: string
  /** Empty for what concerns all. */
  readonly projection: string
  readonly options: Readonly<Record<string, unknown>>
}

export interface ProjectionAnswer {
  readonly request: number
  readonly outcome: { readonly value: unknown } | { readonly failure: Failure }
}

/** As messages' replies: a frame must hold it. */
const ANSWER_BYTES_MAX = 14 * 1024 * 1024

export function callParts({ request, call, projection, options }: ProjectionCall): unknown[] {
  return [request, call, projection, options]
}

/** @throws BadFrame */
export function toCall([request, call, projection, options, ...rest]: readonly unknown[]): ProjectionCall {
  if (!isCount(request) || typeof call !== 'string' || typeof projection !== 'string' || rest.length > 0) throw noCall()
  if (!isObject(options)) throw noCall()
  return { request, call, projection, options }
}

export function answerParts({ request, outcome }: ProjectionAnswer): unknown[] {
  return 'failure' in outcome ? [request, 0, outcome.failure] : [request, 1, outcome.value]
}

/** @throws BadFrame */
export function toProjectionAnswer([request, isWell, value, ...rest]: readonly unknown[]): ProjectionAnswer {
  if (!isCount(request) || rest.length > 0) throw noCall()
  if (isWell === 1) return { request, outcome: { value } }
  if (isWell !== 0 || !isObject(value)) throw noCall()
  return { request, outcome: { failure: failureOf(value) } }
}

/** What a call came to, as it can be told: whatever that is, the caller gets an answer. */
export async function answered(request: number, calling: Promise<unknown>): Promise<ProjectionAnswer> {
  try {
    const value = await calling
    const { length } = encode(value)
    if (length > ANSWER_BYTES_MAX) throw replyTooLarge(length, ANSWER_BYTES_MAX, 'unknown')
    return { request, outcome: { value } }
  } catch (error) {
    return { request, outcome: { failure: toFailure(error) } }
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
}

function noCall(): BadFrame {
  return new BadFrame('a control message about projections is none')
}
