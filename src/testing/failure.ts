/** How a test of the kit fails: with the setting, and what differs, in any test runner. */
import { AssertionError } from 'node:assert'
// The whole, as an older Node has no `diff` and could then not say that it is too old (node-check.ts).
import util from 'node:util'
import { labelled } from './describe.ts'

/** What was expected and what happened instead, line by line, under the setting. */
export function unexpected(setting: string, { expected, happened }: { expected: string; happened: string }): Error {
  const lines = util.diff(expected.split('\n'), happened.split('\n'))
  const marked = lines.map(([which, line]) => `${which === 0 ? ' ' : which > 0 ? '-' : '+'} ${line}`)
  return failure(`${setting}\n${labelled('then  ', marked.join('\n'))}\n\n(- expected, + happened)`)
}

/** Where a history or a handler is wrong, the test learns it with the setting around it. */
export function attempt<Result>(setting: string, run: () => Result): Result {
  try {
    return run()
  } catch (error) {
    throw failure(`${setting}\n\n${problemOf(error)}`)
  }
}

/** What is wrong in what the user wrote, where an error only wraps it. */
export function problemOf(error: unknown): string {
  const { cause } = error as { readonly cause?: unknown }
  return cause instanceof Error ? cause.message : error instanceof Error ? error.message : String(error)
}

export function failure(message: string): AssertionError {
  const error = new AssertionError({ message, stackStartFn: failure })
  // How Node would show values that are not given here; vitest takes it for the diff itself.
  Reflect.deleteProperty(error, 'diff')
  return error
}
