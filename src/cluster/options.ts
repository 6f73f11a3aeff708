/** Checks on the options that come with a request. */
import { describe } from '../aggregate/error.ts'
import { nearest } from '../aggregate/nearest.ts'
import { badPayload } from './error.ts'
import type { RequestOptions } from './router.ts'

/** Those that every request has. */
export const QUERY_OPTIONS: readonly string[] = ['timeoutMs', 'signal']

/** An option that is misspelt would have no effect: a command id that protects from nothing. */
export function checkOptions(what: string, options: RequestOptions, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw badPayload(what, 'its options are no object')
  for (const key in options) {
    if (known.includes(key)) continue
    throw badPayload(what, `there is no option '${key}'; the nearest is '${nearest(key, known)}'`)
  }
  const { timeoutMs, signal } = options
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw badPayload(what, 'its signal is no AbortSignal')
  if (timeoutMs === undefined) return
  if (typeof timeoutMs === 'number' && timeoutMs >= 0 && timeoutMs < 2 ** 31) return
  throw badPayload(what, `timeoutMs is ${describe(timeoutMs)}; give milliseconds from 0 to ${2 ** 31 - 1}`)
}
