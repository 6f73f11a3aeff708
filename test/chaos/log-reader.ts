/** Reads a bank's log in a process of its own (log-process.ts), which may end as any other. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { FromLogReader, ToLogReader } from './message.ts'

const READ_MS_MAX = 300_000

export async function readLog(job: ToLogReader): Promise<FromLogReader> {
  const child = fork(fileURLToPath(new URL('log-process.ts', import.meta.url)), {
    execArgv: [],
    serialization: 'advanced',
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), READ_MS_MAX)
  try {
    return await new Promise<FromLogReader>((resolve, reject) => {
      // Warnings come first, where the log has something to tell.
      child.on('message', (told: FromLogReader | { readonly kind: 'warning' }) => {
        if (!('kind' in told)) resolve(told)
      })
      child.once('exit', (code, signal) => reject(new Error(`the log's reader ended with ${signal ?? code}`)))
      child.send(job)
    })
  } catch (error) {
    return { shown: [], events: [], others: [], problems: [String(error)] }
  } finally {
    clearTimeout(timer)
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once('exit', resolve))
  }
}
