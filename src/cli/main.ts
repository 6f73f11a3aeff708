#!/usr/bin/env node
/** The command `penhold`: gives the words, the terminal and Ctrl-C to run.ts. */
import { nodeTooOld } from '../node-version.ts'

const stop = new AbortController()
const SIGNALS = ['SIGINT', 'SIGTERM'] as const
// A second one, whichever, ends it at once: nothing is left half done on disk.
const onSignal = (): void => {
  for (const signal of SIGNALS) process.off(signal, onSignal)
  stop.abort()
}
for (const signal of SIGNALS) process.on(signal, onSignal)

const words = process.argv.slice(2)
// Whoever read what is told may have gone, as `head` does. A node serves on; what is there to be read ends.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    if (stream === process.stdout && words[0] !== 'start') onSignal()
  })
}

const terminal = {
  out: (text: string): void => void process.stdout.write(`${text}\n`),
  err: (text: string): void => void process.stderr.write(`${text}\n`),
  isWatched: process.stderr.isTTY,
  isScreen: process.stdout.isTTY,
}
const problem = nodeTooOld(process.version)
if (problem === undefined) {
  // Only now: on an older Node it could not even be loaded.
  const { run } = await import('./run.ts')
  process.exitCode = await run(words, terminal, stop.signal)
} else {
  terminal.err(`penhold: ${problem}`)
  process.exitCode = 1
}
