/** The command `penhold` within this process, which takes a tenth of the time of one of its own. */
import { run } from '../src/cli/run.ts'

export interface Said {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export async function runCli(...words: readonly string[]): Promise<Said> {
  const said = { out: '', err: '' }
  const terminal = {
    out: (text: string): void => void (said.out += `${text}\n`),
    err: (text: string): void => void (said.err += `${text}\n`),
    isWatched: false,
    isScreen: false,
  }
  const code = await run(words, terminal, new AbortController().signal)
  return { code, ...said }
}
