/**
 * The pulse: asks a node's workers how they are, and does not wait longer than somebody who probes does. Each has one
 * question at a time: one that does not answer is not asked over and over, and how long it has not answered is known
 * from the first question on, however many have come to ask since.
 */
import type { Cancel, Clock } from '../log/clock.ts'
import type { WorkerHandle } from './worker-handle.ts'
import type { WorkerStatus } from './worker-host.ts'

export type WorkerReading =
  /** Measured by the worker after it was asked for. */
  | { readonly kind: 'answered'; readonly status: WorkerStatus }
  /** It has not answered for so long. */
  | { readonly kind: 'silent'; readonly ms: number }
  /** It has ended and is being replaced, or has not started yet; it was found so for so long. */
  | { readonly kind: 'absent'; readonly ms: number }

interface Question {
  readonly since: number
  /** Undefined where it has ended before it could say. */
  readonly answer: Promise<WorkerReading | undefined>
}

/** Less than the second after which Kubernetes, unless told otherwise, takes a probe for failed. */
export const ANSWER_MS = 750
/** It is looked so often whether that is over: a process that was stopped for as long, and its workers with it, goes on waiting. */
const LOOKS = 3

export class Pulse {
  readonly #clock: Clock
  readonly #questions = new WeakMap<WorkerHandle, Question>()
  /** By worker, on the monotonic clock. */
  readonly #absentSince = new Map<number, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves within ANSWER_MS, in which this process was not stopped. */
  async take(handles: readonly (WorkerHandle | undefined)[]): Promise<readonly WorkerReading[]> {
    let cancel: Cancel = () => undefined
    const isLate = new Promise<'late'>((resolve) => {
      const look = (left: number): void => {
        if (left === 0) resolve('late')
        else cancel = this.#clock.after(ANSWER_MS / LOOKS, () => look(left - 1))
      }
      look(LOOKS)
    })
    const readings = await Promise.all(
      handles.map(async (handle, worker) => (await this.#read(handle, isLate)) ?? this.#absent(worker)),
    )
    for (const [worker, { kind }] of readings.entries()) if (kind !== 'absent') this.#absentSince.delete(worker)
    cancel()
    return readings
  }

  #absent(worker: number): WorkerReading {
    const now = this.#clock.monotonic()
    const since = this.#absentSince.get(worker) ?? now
    this.#absentSince.set(worker, since)
    return { kind: 'absent', ms: Math.round(now - since) }
  }

  /** Undefined where there is no worker. */
  async #read(handle: WorkerHandle | undefined, isLate: Promise<'late'>): Promise<WorkerReading | undefined> {
    if (handle === undefined) return undefined
    let question = this.#questions.get(handle)
    if (question === undefined) {
      question = { since: this.#clock.monotonic(), answer: this.#ask(handle) }
      this.#questions.set(handle, question)
    }
    const reading = await Promise.race([question.answer, isLate])
    if (reading !== 'late') return reading
    return { kind: 'silent', ms: Math.round(this.#clock.monotonic() - question.since) }
  }

  async #ask(handle: WorkerHandle): Promise<WorkerReading | undefined> {
    try {
      const status = await handle.status()
      return status && { kind: 'answered', status }
    } catch {
      // It could not look at its log.
      return { kind: 'silent', ms: 0 }
    } finally {
      this.#questions.delete(handle)
    }
  }
}
