/**
 * Fires timers of a shard when their time has come: tells whoever set each. It holds those of the next minute in memory; what
 * is to be held, and where each stands in the log, is the wheel's business (timer-wheel.ts).
 */
import { reasonOf } from '../aggregate/error.ts'
import { timerInWords } from '../aggregate/own-names.ts'
import type { Cancel, Clock } from '../log/clock.ts'
import { deriveId } from '../log/identity.ts'
import { backOffMs } from '../read/back-off.ts'
import type { DueBucket } from './due-bucket.ts'
import { DueHeap } from './due-heap.ts'
import type { Effects } from './effects.ts'
import type { Slots } from './slots.ts'
import { fireCommand } from './timer.ts'
import type { DueTimer } from './timer-records.ts'

export interface TimerFiresOptions {
  readonly clock: Clock
  readonly effects: Effects
  /** So many are fired at once, of this shard and others. */
  readonly slots: Slots
  readonly signal: AbortSignal
  readonly onWarning: (message: string) => void
  /** Keeps a timer that could not be fired for later. */
  readonly putOff: (timer: DueTimer) => Promise<void>
  /** Whether the config of this node has whoever set it. Else it is kept for a node that has. */
  readonly isKnown: (timer: DueTimer) => boolean
  readonly keep: (timer: DueTimer) => Promise<void>
  /** Nothing of a bucket is held any more. */
  readonly onDone: (bucket: DueBucket) => void
}

interface Held {
  /** When it is tried next. */
  readonly due: number
  readonly tries: number
  readonly timer: DueTimer
  readonly bucket: DueBucket
}

/** The machine's clock is looked at so often, as it may be set forward. */
const LOOK_MS = 1_000
const TRIES = 6
/** That a timer could not be fired is told no sooner again, of whichever. */
const WARNING_MS = 10_000

export class TimerFires {
  readonly #options: TimerFiresOptions
  readonly #heap = new DueHeap<Held>()
  /** Those that failed: due by the monotonic clock, as the other may be set back. */
  readonly #failed = new DueHeap<Held>()
  #underWay = 0
  #cancel: Cancel = () => undefined
  #armedFor = Number.POSITIVE_INFINITY
  #warnedAt = Number.NEGATIVE_INFINITY
  /** What no command that was sent in this life stands before. */
  after = 0

  constructor(options: TimerFiresOptions) {
    this.#options = options
    options.signal.addEventListener('abort', () => this.#end(), { once: true })
  }

  /** So many are held. */
  get size(): number {
    return this.#heap.size + this.#failed.size + this.#underWay
  }

  /** Nothing is held any more, and nothing is fired. */
  #end(): void {
    this.#cancel()
    this.#heap.clear()
    this.#failed.clear()
  }

  add(bucket: DueBucket, timers: readonly DueTimer[]): void {
    if (this.#options.signal.aborted) return
    bucket.held += timers.length
    for (const timer of timers) this.#heap.push({ due: timer.at, tries: 0, timer, bucket })
    this.#look()
  }

  /** Holds nothing any more that is due later than this. Returns whose that was. */
  letGo(due: number): ReadonlySet<DueBucket> {
    const cut = this.#heap.cut(due)
    for (const { bucket } of cut) bucket.held -= 1
    return new Set(cut.map(({ bucket }) => bucket))
  }

  /** Fires what is due, and comes back when the next is. */
  readonly #look = (): void => {
    const { clock, slots, signal } = this.#options
    if (signal.aborted) return
    const now = clock.now()
    const monotonic = clock.monotonic()
    for (let first = this.#failed.first; first !== undefined && first.due <= monotonic; first = this.#failed.first) {
      this.#failed.pop()
      this.#heap.push({ ...first, due: first.timer.at })
    }
    for (let first = this.#heap.first; first !== undefined && first.due <= now; first = this.#heap.first) {
      // Woken when one is free.
      if (!slots.take(this.#look)) return
      this.#heap.pop()
      this.#underWay += 1
      void this.#fire(first).finally(() => {
        this.#underWay -= 1
        slots.release()
      })
    }
    this.#arm(now)
  }

  #arm(now: number): void {
    const { clock } = this.#options
    const monotonic = clock.monotonic()
    const dueIn = (this.#heap.first?.due ?? Number.POSITIVE_INFINITY) - now
    const againIn = (this.#failed.first?.due ?? Number.POSITIVE_INFINITY) - monotonic
    const soonest = Math.min(dueIn, againIn)
    if (soonest === Number.POSITIVE_INFINITY) return
    const at = monotonic + Math.min(LOOK_MS, soonest)
    if (at >= this.#armedFor) return
    this.#cancel()
    this.#armedFor = at
    this.#cancel = clock.after(at - monotonic, () => {
      this.#armedFor = Number.POSITIVE_INFINITY
      this.#look()
    })
  }

  /** A timer is done with when it was told, whatever came of it, or is kept for later in another bucket. */
  async #fire({ timer, bucket, tries }: Held): Promise<void> {
    const { clock, putOff, isKnown, keep, onDone, signal } = this.#options
    try {
      if (!isKnown(timer)) await keep(timer)
      else if (tries < TRIES) await this.#tell(timer)
      else await putOff(timer)
    } catch (error) {
      if (signal.aborted) return
      if (tries === TRIES - 1) this.#warn(timer, error)
      const again = Math.min(tries + 1, TRIES)
      this.#failed.push({ due: clock.monotonic() + backOffMs(again), tries: again, timer, bucket })
      return this.#look()
    }
    bucket.held -= 1
    if (bucket.held === 0) onDone(bucket)
  }

  #warn({ id, stream }: DueTimer, error: unknown): void {
    const { clock, onWarning } = this.#options
    // There may be many, and again each minute.
    if (clock.monotonic() - this.#warnedAt < WARNING_MS) return
    this.#warnedAt = clock.monotonic()
    onWarning(`${timerInWords(stream, id)} could not be fired, and is put off by a minute: ${reasonOf(error)}`)
  }

  /** Whoever set it knows by the token whether it is still to be. */
  async #tell({ stream, id, token, position, causationId, correlationId }: DueTimer): Promise<void> {
    const { effects, signal } = this.#options
    await effects.ask({
      stream,
      name: fireCommand(stream),
      payload: { id, token },
      commandId: deriveId('$fire', stream, token),
      causationId,
      correlationId,
      after: Math.max(position, this.after),
      signal,
    })
  }
}
