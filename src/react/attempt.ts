/**
 * One attempt to handle events: it has its time, and ends at the latest when its lane does. What its handler does with its
 * effects after that has no effect.
 */
import { PenholdError } from '../aggregate/error.ts'
import { isThenable } from '../aggregate/synchronous.ts'
import type { Cancel, Clock } from '../log/clock.ts'
import { attemptOver, attemptTimedOut } from './error.ts'
import type { Effect, Effects, LoadedEvent, LoadRange, SentCommand, SentOutcome, SentQuestion } from './effects.ts'

/**
 * `waits`: what it needed of the log did not answer, which is no event's fault. `given up`: its lane has ended, or is at
 * another place.
 */
export type AttemptOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'waits'; readonly error: unknown }
  | { readonly kind: 'given up' }

export interface AttemptOptions {
  readonly effects: Effects
  readonly clock: Clock
  readonly timeoutMs: number
}

/** One for all: whatever goes well is over as well, and its signal aborted, and an error is dear for its stack. */
const OVER = attemptOver()

/** An answer that takes so much of the attempt's time is late: a handler that asks on and on is not waiting for the log. */
const LONG_SHARE = 0.1

export class Attempt implements Effects {
  readonly #options: AttemptOptions
  #controller: AbortController | undefined
  #isOver = false
  /** What it has asked for and not got yet, and since when there is any of it. */
  #underWay = 0
  #underWaySince = 0
  /** So long it has waited for answers that took long. */
  #waitedMs = 0
  /** Of what it has asked for, the last that was not to be had now. */
  #trouble: { readonly error: unknown } | undefined
  #end: (outcome: AttemptOutcome) => void = () => undefined

  constructor(options: AttemptOptions) {
    this.#options = options
  }

  /** Aborted once it is over. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#isOver) this.#controller.abort(OVER)
    }
    return this.#controller.signal
  }

  /** Runs a handler. Comes to its end in its time, and at once where it is given up. */
  run(handler: () => unknown): AttemptOutcome | Promise<AttemptOutcome> {
    try {
      const returned = handler()
      if (isThenable(returned)) return this.#settled(returned)
      this.#over()
      return { kind: 'done' }
    } catch (error) {
      return this.#failed(error)
    }
  }

  giveUp(): void {
    this.#over()
    this.#end({ kind: 'given up' })
  }

  async ask(command: SentCommand): Promise<SentOutcome> {
    return await this.#asked((signal) => this.#options.effects.ask({ signal, ...command }))
  }

  async find(command: SentCommand): Promise<Effect | undefined> {
    return await this.#asked((signal) => this.#options.effects.find({ signal, ...command }))
  }

  async query(question: SentQuestion): Promise<unknown> {
    return await this.#asked((signal) => this.#options.effects.query({ signal, ...question }))
  }

  async append(...args: Parameters<Effects['append']>): ReturnType<Effects['append']> {
    return await this.#asked(() => this.#options.effects.append(...args))
  }

  async *load(stream: string, options: LoadRange = {}): AsyncGenerator<LoadedEvent, void> {
    const events = this.#options.effects.load(stream, { signal: this.signal, ...options })
    try {
      for (;;) {
        const next = await this.#asked(() => events.next())
        if (next.done === true) return
        yield next.value
      }
    } finally {
      await events.return()
    }
  }

  inShard(...args: Parameters<Effects['inShard']>): string {
    return this.#options.effects.inShard(...args)
  }

  knows(type: string): boolean {
    return this.#options.effects.knows(type)
  }

  get commandBytesMax(): number {
    return this.#options.effects.commandBytesMax
  }

  async #asked<Answer>(work: (signal: AbortSignal) => Promise<Answer>): Promise<Answer> {
    if (this.#isOver) throw attemptOver()
    if (this.#underWay === 0) this.#underWaySince = this.#options.clock.monotonic()
    this.#underWay += 1
    try {
      return await work(this.signal)
    } catch (error) {
      if (isAway(error)) this.#trouble = { error }
      throw error
    } finally {
      this.#underWay -= 1
      if (this.#underWay === 0) this.#waitedMs += this.#longWaitMs
    }
  }

  #settled(returned: unknown): Promise<AttemptOutcome> {
    const { clock, timeoutMs } = this.#options
    return new Promise((resolve) => {
      const late = (): void => {
        const error = attemptTimedOut(timeoutMs)
        end(this.#hasWaited ? { kind: 'waits', error } : { kind: 'failed', error })
      }
      const cancel: Cancel = clock.after(timeoutMs, late)
      const end = (outcome: AttemptOutcome): void => {
        cancel()
        this.#over()
        resolve(outcome)
      }
      this.#end = end
      if (this.#isOver) return end({ kind: 'given up' })
      Promise.resolve(returned).then(
        () => end({ kind: 'done' }),
        (error: unknown) => end(this.#failed(error)),
      )
    })
  }

  /** Whether it was the log that took the time, or most of it, which is not the event's fault. */
  get #hasWaited(): boolean {
    if (this.#trouble !== undefined) return true
    const waitedMs = this.#waitedMs + (this.#underWay === 0 ? 0 : this.#longWaitMs)
    return waitedMs >= this.#options.timeoutMs / 2
  }

  /** Since something is under way; 0 where that is no longer than it always takes. */
  get #longWaitMs(): number {
    const { clock, timeoutMs } = this.#options
    const ms = clock.monotonic() - this.#underWaySince
    return ms < timeoutMs * LONG_SHARE ? 0 : ms
  }

  #failed(error: unknown): AttemptOutcome {
    this.#over()
    return this.#trouble === undefined ? { kind: 'failed', error } : { kind: 'waits', error: this.#trouble.error }
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#controller?.abort(OVER)
  }
}

/** Whether the same may succeed later without anything being changed. */
export function isAway(error: unknown): boolean {
  return error instanceof PenholdError && error.retryable
}
