/** Nodes as operators start them: `penhold start`, each a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'

/** The command `penhold`. */
export const cli: string = join(import.meta.dirname, '../src/cli/main.ts')

export type CliNode = ChildProcess & {
  /** The line with which it says that it serves. */
  readonly said: string
}

export interface CliNodeOptions {
  readonly config: string
  readonly environment: NodeJS.ProcessEnv
  readonly words?: readonly string[]
  /** Is given what ends it, for when nobody needs it any more. Default: the test's end. */
  readonly onEnd?: (end: () => Promise<void>) => void
}

/** Resolves when it says that it serves. */
export async function startCliNode({
  config,
  environment,
  words = [],
  onEnd = onTestFinished,
}: CliNodeOptions): Promise<CliNode> {
  const child = spawn(process.execPath, [cli, 'start', '--config', config, ...words], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onEnd(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  let said = ''
  child.stderr.on('data', (data) => (said += String(data)))
  const [line] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as [unknown]
  expect(`${String(line)}${said}`).toContain('serves with')
  return Object.assign(child, { said: String(line) })
}
