/**
 * Child processes: a measurement that must not see the heap and the warm code of the ones before it runs in one of its
 * own. The child is a module of this folder; it gets its input as JSON and replies with one line of JSON.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface ChildOptions {
  /** End the child with SIGKILL as soon as it has replied. */
  readonly isKilled?: boolean
}

/** Runs the module at `entry` and resolves to its reply, once its process has ended. */
export async function runChild<Result>(entry: string, input: object, options: ChildOptions = {}): Promise<Result> {
  const file = fileURLToPath(entry)
  const child = spawn(process.execPath, ['--expose-gc', file, JSON.stringify(input)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const kill = (): boolean => child.kill('SIGKILL')
  process.once('exit', kill)
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(signal ?? String(code)))
  })
  let result: { readonly value: Result } | undefined
  for await (const line of createInterface({ input: child.stdout })) {
    result = { value: JSON.parse(line) as Result }
    if (options.isKilled === true) kill()
  }
  const end = await ended
  process.off('exit', kill)
  if (result === undefined || end !== (options.isKilled === true ? 'SIGKILL' : '0')) {
    throw new Error(`${file} ended with ${end}; what it wrote to the error stream says why`)
  }
  return result.value
}

/** Inside a child: what its parent gave it. */
export function childInput<Input>(): Input {
  return JSON.parse(process.argv[2] ?? '{}') as Input
}

/** Inside a child: what its parent is waiting for. */
export function reply(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`)
}
