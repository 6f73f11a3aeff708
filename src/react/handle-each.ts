/** Has events handled each alone: those of one stream one after the other, so many streams beside each other. */
import { reasonOf } from '../aggregate/error.ts'
import { isThenable } from '../aggregate/synchronous.ts'
import { backOffMs } from '../read/back-off.ts'
import type { Trouble } from '../read/lane-status.ts'
import type { Attempt, AttemptOutcome } from './attempt.ts'
import { attemptOne, troubleOf, type Handling, type HandlingOptions } from './handling.ts'
import { NonRetryableError } from './non-retryable-error.ts'
import { StreamQueues } from './stream-queues.ts'
import type { Entry } from './window.ts'

export class HandleEach implements Handling {
  readonly #options: HandlingOptions
  readonly #queues = new StreamQueues()
  readonly #underWay = new Set<Attempt>()
  /** What fails or waits, the longest first; and those of it that were given up. */
  readonly #troubles = new Map<Entry, Trouble>()
  readonly #givenUp = new Set<Entry>()
  /** How often in a row something waited for the log. */
  readonly #waits = new Map<Entry, number>()
  #onIdle: (() => void)[] = []
  #isHeld = false
  #isOver = false

  constructor(options: HandlingOptions) {
    this.#options = options
  }

  add(entry: Entry): void {
    this.#queues.add(entry)
  }

  go(): void {
    const { concurrency } = this.#options.consumer
    while (!this.#isHeld && !this.#isOver && this.#underWay.size < concurrency) {
      const entry = this.#queues.take()
      if (entry === undefined) return
      this.#handle(entry)
    }
  }

  hold(): void {
    this.#isHeld = true
  }

  release(): void {
    this.#isHeld = false
    this.go()
  }

  retry(): void {
    for (const entry of this.#givenUp) {
      entry.failures = 0
      entry.attempts = 0
      this.#queues.again(entry)
    }
    this.#givenUp.clear()
    this.go()
  }

  drop(stream: string): readonly Entry[] {
    const entries = this.#queues.drop(stream)
    for (const entry of entries) this.#forget(entry)
    return entries
  }

  get trouble(): Trouble | undefined {
    return this.#troubles.values().next().value
  }

  idle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#underWay.size === 0) resolve()
      else this.#onIdle.push(resolve)
    })
  }

  giveUp(): void {
    this.#isOver = true
    for (const attempt of this.#underWay) attempt.giveUp()
  }

  #handle(entry: Entry): void {
    entry.attempts += 1
    const isOutOfRetries = entry.failures >= this.#options.consumer.retries
    const tries = { attempt: entry.attempts, isOutOfRetries, isBehindParked: false }
    const { attempt, outcome } = attemptOne(entry.event, tries, this.#options)
    if (!isThenable(outcome)) return this.#settle(entry, outcome)
    this.#underWay.add(attempt)
    void outcome.then((settled) => {
      this.#underWay.delete(attempt)
      this.#settle(entry, settled)
      this.go()
      if (this.#underWay.size > 0) return
      for (const resolve of this.#onIdle.splice(0)) resolve()
    })
  }

  #settle(entry: Entry, outcome: AttemptOutcome): void {
    if (this.#isOver) return
    const { consumer, onDone, onFailed, onGivenUp } = this.#options
    switch (outcome.kind) {
      case 'done':
        this.#forget(entry)
        this.#queues.done(entry)
        onDone(entry)
        return
      case 'waits': {
        const waits = (this.#waits.get(entry) ?? 0) + 1
        this.#waits.set(entry, waits)
        this.#troubles.set(entry, { ...troubleOf(entry, outcome.error), attempts: waits })
        this.#later(entry, backOffMs(waits))
        return
      }
      case 'failed':
        entry.failures += 1
        entry.reason = reasonOf(outcome.error)
        this.#waits.delete(entry)
        this.#troubles.set(entry, troubleOf(entry, outcome.error))
        onFailed(entry)
        if (entry.failures <= consumer.retries && !(outcome.error instanceof NonRetryableError)) {
          return this.#later(entry, backOffMs(entry.failures))
        }
        this.#givenUp.add(entry)
        onGivenUp(entry, outcome.error)
        return
      case 'given up':
    }
  }

  #later(entry: Entry, ms: number): void {
    this.#options.clock.after(ms, () => {
      if (this.#isOver) return
      this.#queues.again(entry)
      this.go()
    })
  }

  #forget(entry: Entry): void {
    if (this.#troubles.size === 0) return
    this.#troubles.delete(entry)
    this.#givenUp.delete(entry)
    this.#waits.delete(entry)
  }
}
