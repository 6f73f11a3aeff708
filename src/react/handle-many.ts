/**
 * Has events handled many at once, in their order. One that cannot be handled holds back its stream and no other: it is tried
 * again alone, beside the others, as it may take all of its time. Whatever else fails is waited for, and all is given again.
 */
import { reasonOf } from '../aggregate/error.ts'
import { isThenable } from '../aggregate/synchronous.ts'
import { backOffMs } from '../read/back-off.ts'
import type { Trouble } from '../read/lane-status.ts'
import { Attempt, type AttemptOutcome } from './attempt.ts'
import { EventFailed, OthersWait, type BatchReaction, type Handling as Does } from './consumer.ts'
import { troubleOf, type Handling, type HandlingOptions } from './handling.ts'
import { NonRetryableError } from './non-retryable-error.ts'
import type { Entry } from './window.ts'

/**
 * After so many waits in a row the first event is given with others' alone, and not with more of its stream: so that it can be
 * found out whether all has to wait, or one.
 */
export const CAREFUL_AFTER = 3
/** So many may be in the way of one that is not, however few are handled at once else. */
const CAREFUL_MOST = 100
/** So many that have failed are tried again at once, each alone. */
const ALONE_MOST = 16
/** An event that alone is away has failed for so long at least before it is parked. */
export const AWAY_MS = 150_000

interface Tries {
  /** How long it has failed: its attempts, and the pauses after them. What it had to wait with all others is none of it. */
  readonly ms: number
  /** How often for what is its own fault, and not that it is away. */
  readonly refusals: number
}

const NO_TRIES: Tries = { ms: 0, refusals: 0 }

export class HandleMany implements Handling {
  readonly #options: HandlingOptions
  readonly #does: Extract<Does, { readonly many: unknown }>
  #attempt: Attempt | undefined
  /** By stream, what holds it back; those of them that are to be tried again, those that are, and those that were given up. */
  readonly #failing = new Map<string, Entry>()
  readonly #due = new Set<Entry>()
  readonly #alone = new Map<Entry, Attempt>()
  readonly #givenUp = new Set<Entry>()
  readonly #tries = new Map<Entry, Tries>()
  /** How often in a row one that is tried alone has waited for what is nobody's fault. */
  readonly #waitsAlone = new Map<Entry, number>()
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
    else this.#tryAlone()
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
      this.#tries.delete(entry)
      this.#due.add(entry)
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
    this.#tries.delete(first)
    this.#troubles.delete(first)
    return [first, ...entries]
  }

  get trouble(): Trouble | undefined {
    return this.#waitsWith ?? this.#troubles.values().next().value
  }

  idle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isIdle) resolve()
      else this.#onIdle.push(resolve)
    })
  }

  giveUp(): void {
    this.#isOver = true
    this.#attempt?.giveUp()
    for (const attempt of this.#alone.values()) attempt.giveUp()
  }

  get #isIdle(): boolean {
    return this.#attempt === undefined && this.#alone.size === 0
  }

  #next(): Entry[] {
    const entries: Entry[] = []
    const isCareful = this.#waits >= CAREFUL_AFTER
    const most = isCareful ? Math.max(CAREFUL_MOST, this.#does.most) : this.#does.most
    for (const entry of this.#options.window.waiting(this.#failing)) {
      const { stream } = entry.event
      if (isCareful && entries.length > 0 && entries[0]!.event.stream === stream) continue
      entries.push(entry)
      if (entries.length === most) break
    }
    return entries
  }

  #handle(entries: readonly Entry[]): void {
    const { attempt, outcome } = this.#attemptAt(entries)
    this.#attempt = attempt
    void outcome.then((told) => {
      this.#attempt = undefined
      this.#settle(entries, told)
      this.#tryAlone()
      this.#goOn()
    })
  }

  /** Those that have failed, once the others were tried: one of them may have whoever takes them ask to be left alone. */
  #tryAlone(): void {
    for (const entry of this.#due) {
      if (this.#isHeld || this.#isOver || this.#alone.size >= ALONE_MOST) return
      this.#due.delete(entry)
      const { attempt, outcome } = this.#attemptAt([entry])
      this.#alone.set(entry, attempt)
      const begunAt = this.#options.clock.monotonic()
      void outcome.then((told) => {
        this.#alone.delete(entry)
        this.#settleAlone(entry, told, this.#options.clock.monotonic() - begunAt)
        this.#goOn()
      })
    }
  }

  #goOn(): void {
    this.go()
    if (this.#isIdle) for (const resolve of this.#onIdle.splice(0)) resolve()
  }

  #attemptAt(entries: readonly Entry[]): { readonly attempt: Attempt; readonly outcome: Promise<AttemptOutcome> } {
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
    const events = entries.map(({ event }) => event)
    const outcome = attempt.run(() => this.#does.many(events, reaction))
    return { attempt, outcome: isThenable(outcome) ? outcome : Promise.resolve(outcome) }
  }

  #settle(entries: readonly Entry[], outcome: AttemptOutcome): void {
    if (this.#isOver || outcome.kind === 'given up') return
    if (outcome.kind === 'done') return this.#done(entries)
    const { error } = outcome
    if (error instanceof OthersWait) return this.#someDone(entries, error)
    const at = error instanceof EventFailed ? entries.findIndex(({ event }) => event === error.event) : -1
    if (at < 0) {
      for (const entry of entries) entry.state = 'waiting'
      return this.#wait(entries[0]!, error)
    }
    this.#done(entries.slice(0, at))
    for (const entry of entries.slice(at + 1)) entry.state = 'waiting'
    this.#failed(entries[at]!, error as EventFailed)
  }

  #someDone(entries: readonly Entry[], { done, cause }: OthersWait): void {
    const events = new Set(done)
    const left = entries.filter(({ event }) => !events.has(event))
    for (const entry of entries) if (events.has(entry.event)) this.#finish(entry)
    for (const entry of left) entry.state = 'waiting'
    this.#wait(left[0]!, cause)
  }

  #done(entries: readonly Entry[]): void {
    this.#waits = 0
    this.#waitsWith = undefined
    for (const entry of entries) this.#finish(entry)
  }

  #finish(entry: Entry): void {
    this.#tries.delete(entry)
    this.#troubles.delete(entry)
    this.#options.onDone(entry)
  }

  #settleAlone(entry: Entry, outcome: AttemptOutcome, tookMs: number): void {
    if (this.#isOver || outcome.kind === 'given up') return
    const waits = (this.#waitsAlone.get(entry) ?? 0) + 1
    this.#waitsAlone.delete(entry)
    if (outcome.kind === 'done') {
      this.#failing.delete(entry.event.stream)
      return this.#finish(entry)
    }
    if (outcome.error instanceof EventFailed) return this.#failed(entry, outcome.error, tookMs)
    this.#waitsAlone.set(entry, waits)
    this.#troubles.set(entry, { ...troubleOf(entry, outcome.error), attempts: waits })
    this.#later(entry, backOffMs(waits))
  }

  #failed(entry: Entry, { cause, isAway }: EventFailed, tookMs = 0): void {
    const { onFailed, onGivenUp } = this.#options
    entry.failures += 1
    entry.reason = reasonOf(cause)
    this.#failing.set(entry.event.stream, entry)
    this.#troubles.set(entry, troubleOf(entry, cause))
    onFailed(entry)
    const { ms, refusals } = this.#tries.get(entry) ?? NO_TRIES
    const tries = { ms: ms + tookMs, refusals: isAway ? refusals : refusals + 1 }
    if (this.#hasHad(tries, entry, isAway) || cause instanceof NonRetryableError) {
      this.#givenUp.add(entry)
      return onGivenUp(entry, cause)
    }
    const pauseMs = backOffMs(entry.failures)
    this.#tries.set(entry, { ...tries, ms: tries.ms + pauseMs })
    this.#later(entry, pauseMs)
  }

  /** Whether it had its tries. What is away alone comes back by itself more often than not, and may halt nobody. */
  #hasHad({ ms, refusals }: Tries, { failures }: Entry, isAway: boolean): boolean {
    const { retries, onFailure } = this.#options.consumer
    if (!isAway) return refusals > retries
    return failures > retries && onFailure === 'park' && ms >= AWAY_MS
  }

  #later(entry: Entry, ms: number): void {
    this.#options.clock.after(ms, () => {
      this.#due.add(entry)
      this.go()
    })
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
