/**
 * A node's process as its supervisor holds it: starts it, asks it, signals it, and knows when it has ended. A request
 * that the process did not answer before its end gets no answer, and what it said before its end is always heard first.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Overrides } from '../../src/index.ts'
import type { Answer, CallAnswer, FromNode, Heard, NodeCall, Request, Status, ToNode } from './message.ts'

export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** The end of what it wrote there. */
  readonly stderr: string
  readonly warnings: readonly string[]
}

export interface NodeSurroundings {
  readonly environment?: NodeJS.ProcessEnv
  /** Put before the program, with its arguments. */
  readonly prefix?: readonly string[]
}

interface Follower {
  readonly hear: (event: Heard) => void
  readonly end: (reason: string | undefined) => void
}

const STDERR_KEPT = 4_000
const WARNINGS_KEPT = 20

export class NodeProcess {
  /** Resolves when its modules are loaded; never where it ended before. */
  readonly booted: Promise<void>
  /** Resolves to the milliseconds that opening took, or to undefined where the process ended, or gave up, before. */
  readonly opened: Promise<number | undefined>
  /** Resolves when the process is gone and all that it said was heard. */
  readonly ended: Promise<Ending>
  readonly #child: ChildProcess
  readonly #pending = new Map<number, (answer: Answer | undefined) => void>()
  readonly #calls = new Map<number, (answer: CallAnswer | undefined) => void>()
  readonly #warnings: string[] = []
  readonly #followers = new Map<number, Follower>()
  #lastRequest = 0
  #stderr = ''
  #onBooted: () => void = () => undefined
  #onOpened: (ms: number | undefined) => void = () => undefined
  #onStatus: (status: Status | undefined) => void = () => undefined
  #refusal: string | undefined
  #isEnded = false
  #isExpectedToEnd = false

  /** Starts the process; it opens nothing before `open`. */
  constructor({ environment = {}, prefix = [] }: NodeSurroundings = {}) {
    const [execPath, ...execArgv] = [...prefix, process.execPath]
    this.#child = fork(fileURLToPath(new URL('node-process.ts', import.meta.url)), {
      execPath,
      execArgv,
      env: { ...process.env, ...environment },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.booted = new Promise((resolve) => (this.#onBooted = resolve))
    this.opened = new Promise((resolve) => (this.#onOpened = resolve))
    this.#child.stderr?.on('data', (bytes: Buffer) => {
      this.#stderr = (this.#stderr + bytes.toString()).slice(-STDERR_KEPT)
    })
    this.#child.on('message', (message) => this.#hear(message as FromNode))
    // Sending to a process that has just died; its end is told by itself.
    this.#child.on('error', () => undefined)
    this.ended = this.#awaitEnd()
  }

  get pid(): number {
    return this.#child.pid!
  }
  get isEnded(): boolean {
    return this.#isEnded
  }
  /** Why it could not be opened, where it said so. */
  get refusal(): string | undefined {
    return this.#refusal
  }
  /** Whether it was told to end, or killed, by its supervisor. */
  get isExpectedToEnd(): boolean {
    return this.#isExpectedToEnd
  }

  open(overrides: Overrides): void {
    this.#say({ kind: 'open', overrides })
  }

  /** Resolves to undefined where the process ends before it answers. */
  ask(request: Request): Promise<Answer | undefined> {
    if (this.#isEnded) return Promise.resolve(undefined)
    const number = (this.#lastRequest += 1)
    return new Promise((resolve) => {
      this.#pending.set(number, resolve)
      this.#say({ kind: 'request', request: number, ...request })
    })
  }

  /** The same of what it does beside answering commands. */
  call(call: NodeCall): Promise<CallAnswer | undefined> {
    if (this.#isEnded) return Promise.resolve(undefined)
    const request = (this.#lastRequest += 1)
    return new Promise((resolve) => {
      this.#calls.set(request, resolve)
      this.#say({ kind: 'call', request, call })
    })
  }

  /** What it says of itself; undefined where it ends before. One at a time. */
  status(): Promise<Status | undefined> {
    if (this.#isEnded) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      this.#onStatus = resolve
      this.#say({ kind: 'status' })
    })
  }

  /**
   * Hears of every event behind that place, and of what comes, from the node itself or from a client that lives beside it.
   * Resolves when it tells no more, with why where it says so.
   */
  follow(
    { after, isClient }: { readonly after: string | undefined; readonly isClient: boolean },
    hear: (event: Heard) => void,
  ): Promise<string | undefined> {
    if (this.#isEnded) return Promise.resolve(undefined)
    const follower = (this.#lastRequest += 1)
    return new Promise((end) => {
      this.#followers.set(follower, { hear, end })
      this.#say({ kind: 'follow', follower, after, isClient })
    })
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal)
  }

  /** Sets its wall clock to so many milliseconds before or after the machine's. */
  moveClock(ms: number): void {
    this.#say({ kind: 'clock', ms })
  }

  /** What becomes of it is somebody else's doing from here on. */
  expectEnd(): void {
    this.#isExpectedToEnd = true
  }

  /** It has come so far that it should go on by itself. */
  expectNoEnd(): void {
    this.#isExpectedToEnd = false
  }

  async kill(): Promise<void> {
    this.expectEnd()
    this.#child.kill('SIGKILL')
    await this.ended
  }

  /** Lets it answer what is under way and end. */
  async close(): Promise<void> {
    this.expectEnd()
    this.#say({ kind: 'close' })
    await this.ended
  }

  /** The same, as whoever runs services asks for it. */
  async terminate(): Promise<void> {
    this.expectEnd()
    this.#child.kill('SIGTERM')
    await this.ended
  }

  #say(message: ToNode): void {
    // It may be dead already: then its end says the rest.
    this.#child.send(message, () => undefined)
  }

  #hear(message: FromNode): void {
    switch (message.kind) {
      case 'booted':
        return this.#onBooted()
      case 'opened':
        return this.#onOpened(message.ms)
      case 'refused':
        this.#refusal = message.reason
        return this.#onOpened(undefined)
      case 'answer': {
        this.#pending.get(message.request)?.(message.answer)
        this.#pending.delete(message.request)
        return
      }
      case 'called': {
        this.#calls.get(message.request)?.(message.answer)
        this.#calls.delete(message.request)
        return
      }
      case 'heard':
        for (const event of message.events) this.#followers.get(message.follower)?.hear(event)
        return
      case 'deaf':
        this.#followers.get(message.follower)?.end(message.reason)
        this.#followers.delete(message.follower)
        return
      case 'warning':
        if (this.#warnings.length === WARNINGS_KEPT) this.#warnings.shift()
        this.#warnings.push(message.message)
        return
      case 'status':
        return this.#onStatus(message.status)
    }
  }

  async #awaitEnd(): Promise<Ending> {
    const child = this.#child
    const [{ code, signal }] = await Promise.all([
      new Promise<Pick<Ending, 'code' | 'signal'>>((resolve) => {
        child.once('exit', (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }))
      }),
      // Comes after the last message, which may be read after the exit is known.
      new Promise<void>((resolve) => child.once('disconnect', () => resolve())),
    ])
    this.#isEnded = true
    this.#onOpened(undefined)
    this.#onStatus(undefined)
    for (const resolve of this.#pending.values()) resolve(undefined)
    this.#pending.clear()
    for (const resolve of this.#calls.values()) resolve(undefined)
    this.#calls.clear()
    for (const { end } of this.#followers.values()) end(undefined)
    this.#followers.clear()
    return { code, signal, stderr: this.#stderr, warnings: this.#warnings }
  }
}
