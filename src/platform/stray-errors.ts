/**
 * Errors of a thread that nobody waits for: a promise that rejects behind a handler's back, a timer of a user's that
 * throws. Users' own are told as warnings, since the thread's other work has nothing to do with them. Penhold's own end
 * the thread, as does whatever cannot be told apart: its successor recovers from the log (crash-only-workers.md).
 *
 * Every promise of Penhold's that nobody awaits ends in a `catch`. So a rejection counts as a user's unless its error was
 * made in Penhold's code or by an invariant. What is thrown out of a callback has unwound all that its stack names, and
 * so counts as a user's only where the whole stack is known and Penhold is not in it.
 */
import { BrokenInvariant } from '../aggregate/assert.ts'

/** Where Penhold's code is: the sources, which source maps name too, or what was built from them. */
const OWN_FOLDERS: readonly string[] = ['../../src/', '../../dist/'].map((path) => new URL(path, import.meta.url).href)

/** Keeps the thread alive through users' stray errors from here on. */
export function surviveStrayErrors(onWarning: (message: string) => void): void {
  process.on('unhandledRejection', (reason) => {
    if (isOwnRejection(reason)) throw reason
    onWarning(describe('a promise that nobody awaits was rejected', reason))
  })
  process.on('uncaughtException', (error: unknown) => {
    // Thrown here, it ends the thread as if nobody had listened.
    if (isOwnException(error)) throw error
    onWarning(describe('a callback that nobody watches threw', error))
  })
}

/** Whether a rejection that nobody takes comes out of Penhold's own code. */
export function isOwnRejection(reason: unknown): boolean {
  if (reason instanceof BrokenInvariant) return true
  const [first] = frames(reason).filter((frame) => !frame.includes('node:'))
  return first !== undefined && isOwn(first)
}

/** Whether what a callback threw has come through Penhold's own code, or may have. */
export function isOwnException(error: unknown): boolean {
  if (error instanceof BrokenInvariant) return true
  const all = frames(error)
  return all.length >= Error.stackTraceLimit || all.some(isOwn)
}

function frames(error: unknown): readonly string[] {
  if (!(error instanceof Error) || typeof error.stack !== 'string') return []
  return error.stack.split('\n').filter((line) => /^\s+at /.test(line))
}

function isOwn(frame: string): boolean {
  return OWN_FOLDERS.some((folder) => frame.includes(folder))
}

function describe(what: string, error: unknown): string {
  const shown = error instanceof Error ? (error.stack ?? `${error.name}: ${error.message}`) : String(error)
  return `${what}; handlers are synchronous and leave nothing behind. ${shown}`
}
