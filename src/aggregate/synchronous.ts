/** A handler that returns a promise: its promise is nobody's, so that its rejection is taken here and told to none. */

/** Returns what a handler returned. @throws Error where that is a promise */
export function synchronous<Value>(returned: Value): Value {
  if (!isThenable(returned)) return returned
  try {
    returned.then(ignore, ignore)
  } catch {
    // What it does to whoever waits for it is its own trouble.
  }
  throw new Error(
    'it returned a promise, and handlers are synchronous; what needs waiting for belongs before the command',
  )
}

const WAITING: readonly string[] = ['AsyncFunction', 'GeneratorFunction', 'AsyncGeneratorFunction']

/** Whether a function is known never to return its value at once: one that is written as `async`, or as a generator. */
export function isAsynchronous(run: unknown): boolean {
  return typeof run === 'function' && WAITING.includes(Object.prototype.toString.call(run).slice(8, -1))
}

export interface Thenable {
  then(onFulfilled: () => void, onRejected: () => void): unknown
}

export function isThenable(value: unknown): value is Thenable {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Thenable>).then === 'function'
}

function ignore(): void {}
