#!/usr/bin/env node
/** The command `penhold`: gives the words, the terminal and Ctrl-C to run.ts. */
import { run } from './run.ts'

const stop = new AbortController()
// A second one ends it at once: nothing is left half done on disk.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())

const terminal = {
  out: (text: string): void => void process.stdout.write(`${text}\n`),
  err: (text: string): void => void process.stderr.write(`${text}\n`),
  isWatched: process.stderr.isTTY,
}
process.exitCode = await run(process.argv.slice(2), terminal, stop.signal)
