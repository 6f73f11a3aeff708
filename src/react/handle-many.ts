/**
 * Has events handled many at once, in their order. One that cannot be handled holds back its stream and no other; whatever
 * else fails is waited for, and all is given again.
 */
import { reasonOf } from '../aggregate/error.ts'
import { isThenable } from '../aggregate/synchronous.ts'
import { backOffMs } from '../read/back-off.ts'
import type { Trouble } from '../read/lane-status.ts'
import { Attempt, type AttemptOutcome } from './attempt.ts'
import { EventFailed, type BatchReaction, type Handling as Does } from './consumer.ts'
import { troubleOf, type Handling, type HandlingOptions } from './handling.ts'
import type { Entry } from './window.ts'

export class HandleMany implements Handling {
  readonly #options: HandlingOptions
  readonly #does: Extract<Does, { readonly many: unknown }>
  #attempt: Attempt | undefined
  /** By stream, what holds it back; and those of them that were given up. */
  readonly #failing = new Map<string, Entry>()
  readonly #givenUp = new Set<Entry>()
  readonly #troubles = new Map<Entry, Trouble>()
  /** What keeps all of it from going on, and how often in a row. */
  #waits = 0
  #waitsWith: Trouble | undefined
  #isWaiting = false
  #onIdle: (() => void)[] = []
  #isHeld = false
  #isOver = false

  constructor(options: HandlingOptions, does: Extract<Does, { readonly many: unknown }>) {
    this.#options = options
    this.#does = does
  }

  add(): void {}

  go(): void {
    if (this.#isHeld || this.#isOver || this.#isWaiting || this.#attempt !== undefined) return
    const entries = this.#next()
    if (entries.length > 0) this.#handle(entries)
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
      this.#again(entry)
    }
    this.#givenUp.clear()
    this.go()
  }

  drop(stream: string): readonly Entry[] {
    const first = this.#failing.get(stream)
    const entries = [...this.#options.window.waiting()].filter(({ event }) => event.stream === stream)
    if (first === undefined) return entries
    this.#failing.delete(stream)
    this.#givenUp.delete(first)
    this.#troubles.delete(first)
    return [first, ...entries]
  }

  get trouble(): Trouble | undefined {
    return this.#waitsWith ?? this.#troubles.values().next().value
  }

  idle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#attempt === undefined) resolve()
      else this.#onIdle.push(resolve)
    })
  }

  giveUp(): void {
    this.#isOver = true
    this.#attempt?.giveUp()
  }

  #next(): Entry[] {
    const entries: Entry[] = []
    for (const entry of this.#options.window.waiting()) {
      if (this.#failing.has(entry.event.stream)) continue
      entries.push(entry)
      if (entries.length === this.#does.most) break
    }
    return entries
  }

  #handle(entries: readonly Entry[]): void {
    const { effects, clock, consumer, shard } = this.#options
    const attempt = new Attempt({ effects, clock, timeoutMs: consumer.handlerTimeoutMs })
    const reaction: BatchReaction = {
      shard,
      effects: attempt,
      get signal() {
        return attempt.signal
      },
    }
    for (const entry of entries) entry.state = 'under way'
    this.#attempt = attempt
    const events = entries.map(({ event }) => event)
    const outcome = attempt.run(() => this.#does.many(events, reaction))
    const settled = isThenable(outcome) ? outcome : Promise.resolve(outcome)
    void settled.then((told) => {
      this.#attempt = undefined
      this.#settle(entries, told)
      this.go()
      if (this.#attempt === undefined) for (const resolve of this.#onIdle.splice(0)) resolve()
    })
  }

  #settle(entries: readonly Entry[], outcome: AttemptOutcome): void {
    if (this.#isOver || outcome.kind === 'given up') return
    if (outcome.kind === 'done') return this.#done(entries)
    const { error } = outcome
    const at = error instanceof EventFailed ? entries.findIndex(({ event }) => event === error.event) : -1
    if (at < 0) {
      for (const entry of entries) entry.state = 'waiting'
      return this.#wait(entries[0]!, error)
    }
    this.#done(entries.slice(0, at))
    for (const entry of entries.slice(at + 1)) entry.state = 'waiting'
    this.#failed(entries[at]!, (error as EventFailed).cause)
  }

  #done(entries: readonly Entry[]): void {
    this.#waits = 0
    this.#waitsWith = undefined
    for (const entry of entries) {
      this.#troubles.delete(entry)
      this.#options.onDone(entry)
    }
  }

  #failed(entry: Entry, cause: unknown): void {
    const { consumer, clock, onFailed, onGivenUp } = this.#options
    entry.failures += 1
    entry.reason = reasonOf(cause)
    this.#failing.set(entry.event.stream, entry)
    this.#troubles.set(entry, troubleOf(entry, cause))
    onFailed(entry)
    if (entry.failures > consumer.retries) {
      this.#givenUp.add(entry)
      return onGivenUp(entry, cause)
    }
    clock.after(backOffMs(entry.failures), () => {
      if (this.#isOver) return
      this.#again(entry)
      this.go()
    })
  }

  #again(entry: Entry): void {
    entry.state = 'waiting'
    this.#failing.delete(entry.event.stream)
  }

  #wait(first: Entry, error: unknown): void {
    this.#waits += 1
    this.#waitsWith = { ...troubleOf(first, error), attempts: this.#waits, event: undefined }
    this.#isWaiting = true
    this.#options.clock.after(backOffMs(this.#waits), () => {
      this.#isWaiting = false
      this.go()
    })
  }
}
