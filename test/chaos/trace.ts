/**
 * strace on a node's process: which system calls it makes in its data directory, and failing one of them. strace counts
 * calls by thread and from the moment at which it was attached; new threads are attached to at once.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import type { Cleanup } from './cleanup.ts'
import type { NodeProcess } from './node.ts'

/** The one with -at is the same call on other processors. */
export const CALLS = [
  'openat',
  'pwrite64',
  'write',
  'fdatasync',
  'fsync',
  'ftruncate',
  'link',
  'linkat',
  'rename',
  'renameat2',
  'mkdir',
  'mkdirat',
  'unlink',
  'unlinkat',
] as const

export interface Injection {
  readonly call: string
  /** The how manieth call of a thread: 1, 2, 3 …; or each. */
  readonly at: number | 'each'
  /** A delay is in seconds. */
  readonly fault: 'error=EIO' | 'error=ENOSPC' | 'signal=SIGKILL' | `delay_enter=${number}s`
}

export class Trace {
  readonly #child: ChildProcess
  readonly #output: string

  private constructor(child: ChildProcess, output: string) {
    this.#child = child
    this.#output = output
  }

  /** Attaches to a process; with an injection its calls fail. Ends with the process. */
  static async attach(
    node: NodeProcess,
    {
      output,
      injection,
      cleanup,
    }: { readonly output: string; readonly injection?: Injection; readonly cleanup: Cleanup },
  ): Promise<Trace> {
    const calls = injection === undefined ? CALLS.map((call) => `?${call}`).join() : injection.call
    const inject =
      injection === undefined
        ? []
        : ['-e', `inject=${injection.call}:${injection.fault}:when=${injection.at === 'each' ? '1+' : injection.at}`]
    const args = [
      '-f',
      '-y',
      '-o',
      output,
      '-e',
      `trace=${calls}`,
      '-e',
      'signal=none',
      ...inject,
      '-p',
      String(node.pid),
    ]
    const child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    const undo = (): void => void child.kill('SIGKILL')
    cleanup.add(undo)
    child.once('exit', () => cleanup.forget(undo))
    await new Promise<void>((resolve, reject) => {
      let said = ''
      child.stderr.on('data', (bytes: Buffer) => {
        said += bytes.toString()
        if (said.includes('attached')) resolve()
      })
      child.once('exit', () => reject(new Error(`strace ended: ${said}`)))
    })
    return new Trace(child, output)
  }

  async ended(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    await new Promise((resolve) => this.#child.once('exit', resolve))
  }

  /** Leaves the process alone from here on. */
  detach(): void {
    this.#child.kill('SIGINT')
  }

  /** How many calls have failed that would not have. */
  get injections(): number {
    return fs.readFileSync(this.#output, 'utf8').split('(INJECTED)').length - 1
  }

  /** For each call the numbers, by thread, of those that were made in a folder. */
  callsIn(folder: string): Map<string, Set<number>> {
    const counts = new Map<string, number>()
    const found = new Map<string, Set<number>>()
    for (const line of fs.readFileSync(this.#output, 'utf8').split('\n')) {
      const match = /^(\d+) +(\w+)\(/.exec(line)
      if (match === null) continue
      const [, thread, call] = match as unknown as [string, string, string]
      const count = (counts.get(`${thread} ${call}`) ?? 0) + 1
      counts.set(`${thread} ${call}`, count)
      if (!line.includes(folder)) continue
      const numbers = found.get(call) ?? new Set()
      found.set(call, numbers.add(count))
    }
    return found
  }
}
