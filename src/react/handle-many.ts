/**
 * Has events handled many at once, in their order. One that cannot be handled holds back its stream and no other; whatever
 * else fails is waited for, and all is given again.
 */
import { reasonOf } from '../aggregate/error.ts'
import { isThenable } from '../aggregate/synchronous.ts'
import { backOffMs } from '../read/back-off.ts'
import type { Trouble } from '../read/lane-status.ts'
import { Attempt, type AttemptOutcome } from './attempt.ts'
import { EventFailed, OthersWait, type BatchReaction, type Consumer, type Handling as Does } from './consumer.ts'
import { troubleOf, type Handling, type HandlingOptions } from './handling.ts'
import type { Entry } from './window.ts'

/**
 * After so many waits in a row the first event is given with others' alone, and not with more of its stream: so that it can be
 * found out whether all has to wait, or one.
 */
export const CAREFUL_AFTER = 3
/** So many may be in the way of one that is not, however few are handled at once else. */
const CAREFUL_MOST = 100
/** An event that alone is away is tried again so often at least before it is parked: for about two and a half minutes. */
export const AWAY_RETRIES = 20

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
    const isCareful = this.#waits >= CAREFUL_AFTER
    const most = isCareful ? Math.max(CAREFUL_MOST, this.#does.most) : this.#does.most
    for (const entry of this.#options.window.waiting()) {
      const { stream } = entry.event
      if (this.#failing.has(stream)) continue
      if (isCareful && entries.length > 0 && entries[0]!.event.stream === stream) continue
      entries.push(entry)
      if (entries.length === most) break
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
    this.#troubles.delete(entry)
    this.#options.onDone(entry)
  }

  #failed(entry: Entry, { cause, isAway }: EventFailed): void {
    const { consumer, clock, onFailed, onGivenUp } = this.#options
    entry.failures += 1
    entry.reason = reasonOf(cause)
    this.#failing.set(entry.event.stream, entry)
    this.#troubles.set(entry, troubleOf(entry, cause))
    onFailed(entry)
    if (entry.failures > triesOf(consumer, isAway)) {
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

/** How often it is tried again. What is away alone comes back by itself more often than not, and may halt nobody. */
function triesOf({ retries, onFailure }: Consumer, isAway: boolean): number {
  if (!isAway) return retries
  return onFailure === 'halt' ? Number.POSITIVE_INFINITY : Math.max(retries, AWAY_RETRIES)
}
