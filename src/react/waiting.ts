/**
 * What waits of something that has a part in each shard, as the lanes of a consumer: since when, and with what. It is looked at
 * now and then; whoever is warned is told once it has waited for a while, then seldom, and once when it is over, of all shards in
 * one line.
 */
import type { Clock } from '../log/clock.ts'

/** Shards that wait, those that have for longest first. */
export interface WaitingShards {
  readonly shards: readonly number[]
  /** For so long the first has waited. */
  readonly ms: number
  /** What it waits with. */
  readonly reason: string
}

export interface WaitingOptions {
  readonly clock: Clock
  readonly onWarning: (message: string) => void
  /** It has no parts, and which shard it is in is of no account. Default false. */
  readonly isWhole?: boolean
}

/** What is over before that is nobody's news. */
export const TOLD_AFTER_MS = 5_000
export const TOLD_AGAIN_MS = 300_000
const NAMED_MAX = 8

const NONE: ReadonlyMap<number, string> = new Map()

interface Wait {
  /** On the monotonic clock. */
  readonly since: number
  readonly reason: string
  /** The event that it has waited with last; undefined where it was none's trouble so far. */
  readonly event: string | undefined
}

export class Waiting {
  readonly #who: string
  readonly #clock: Clock
  readonly #onWarning: (message: string) => void
  readonly #isWhole: boolean
  /** By shard. The first has waited for longest. */
  #since = new Map<number, Wait>()
  /** Of a wait that was told of: since when it is, and when it was told. */
  #told: { readonly since: number; at: number } | undefined

  constructor(who: string, { clock, onWarning, isWhole = false }: WaitingOptions) {
    this.#who = who
    this.#clock = clock
    this.#onWarning = onWarning
    this.#isWhole = isWhole
  }

  /** Undefined where nothing waits. */
  get now(): WaitingShards | undefined {
    const [first] = this.#since.values()
    if (first === undefined) return undefined
    return {
      shards: [...this.#since.keys()],
      ms: Math.round(this.#clock.monotonic() - first.since),
      reason: first.reason,
    }
  }

  /**
   * By shard, why it waits now; and with which event, where it is one's trouble. Where that is another than before, the one
   * before is over, and the wait begins anew.
   */
  look(troubles: ReadonlyMap<number, string>, events: ReadonlyMap<number, string> = NONE): void {
    const now = this.#clock.monotonic()
    const waits = [...troubles].map(([shard, reason]): [number, Wait] => {
      const before = this.#since.get(shard)
      const event = events.get(shard) ?? before?.event
      const isAnother = before?.event !== undefined && before.event !== event
      return [shard, { since: before === undefined || isAnother ? now : before.since, reason, event }]
    })
    this.#since = new Map(waits.toSorted(([, a], [, b]) => a.since - b.since))
    this.#tell(now)
  }

  #tell(now: number): void {
    const waiting = this.now
    // What was told of is over, though others may have begun to wait.
    if (waiting === undefined || waiting.ms < TOLD_AFTER_MS) {
      if (this.#told !== undefined) this.#warn(`waits no more here, after ${seconds(now - this.#told.since)}`)
      this.#told = undefined
      return
    }
    if (now - (this.#told?.at ?? Number.NEGATIVE_INFINITY) < TOLD_AGAIN_MS) return
    this.#told ??= { since: now - waiting.ms, at: now }
    this.#told.at = now
    const { shards, ms, reason } = waiting
    const where = this.#isWhole ? '' : ` in ${listed(shards)}`
    this.#warn(`waits${where} since ${seconds(ms)}, and tries again: ${reason}`)
  }

  /** Whoever is told ends nothing. */
  #warn(message: string): void {
    try {
      this.#onWarning(`${this.#who} ${message}`)
    } catch {
      // It is in the status as well.
    }
  }
}

/** As it is told to people: the first few, and how many more. */
export function listed(shards: readonly number[]): string {
  const named = shards
    .toSorted((a, b) => a - b)
    .slice(0, NAMED_MAX)
    .join(', ')
  const more = shards.length - NAMED_MAX
  return `${shards.length === 1 ? 'shard' : 'shards'} ${named}${more > 0 ? ` and ${more} more` : ''}`
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`
}
