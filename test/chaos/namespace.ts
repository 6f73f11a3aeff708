/**
 * A network namespace: a network of its own for the programs that run in it. It has no name and is held by a process that
 * ends with this one, so that it is gone when all in it are: nothing has to be removed, also after a crash.
 */
import { execFileSync, spawn } from 'node:child_process'
import fs from 'node:fs'
import type { Cleanup } from './cleanup.ts'

/** What it takes. */
export const NAMESPACE_TOOLS = ['ip', 'nsenter', 'setpriv', 'unshare']

const SECONDS_MAX = 5

export class Namespace {
  /** The process that holds it. */
  readonly pid: number
  /** Put before a program, with its arguments, it runs that in here; and ends it with this process, even if it is stopped. */
  readonly prefix: readonly string[]

  constructor(cleanup: Cleanup) {
    // Reads until this process ends, and says nothing.
    const holder = spawn('unshare', ['--net', 'cat'], { stdio: ['pipe', 'ignore', 'ignore'] })
    holder.on('error', () => undefined)
    holder.unref()
    if (holder.pid === undefined) throw new Error('unshare cannot be run')
    this.pid = holder.pid
    cleanup.add(() => void holder.kill('SIGKILL'))
    this.prefix = ['nsenter', `--net=/proc/${this.pid}/ns/net`, 'setpriv', '--pdeathsig', 'KILL']
    this.#awaitStart()
    this.run(['ip', 'link', 'set', 'lo', 'up'])
  }

  /** Runs a program in here and waits for its end. @throws Error with what it said */
  run([program, ...args]: readonly [string, ...string[]]): void {
    const [first, ...rest] = [...this.prefix, program, ...args]
    execFileSync(first!, rest, { stdio: 'pipe', timeout: SECONDS_MAX * 1_000 })
  }

  #awaitStart(): void {
    const sleep = new Int32Array(new SharedArrayBuffer(4))
    const own = fs.readlinkSync('/proc/self/ns/net')
    for (let tries = 0; tries < SECONDS_MAX * 100; tries += 1) {
      if (!fs.existsSync(`/proc/${this.pid}/exe`)) break
      if (fs.readlinkSync(`/proc/${this.pid}/ns/net`) !== own) return
      Atomics.wait(sleep, 0, 0, 10)
    }
    throw new Error('unshare could not make a network namespace')
  }
}
