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

export class Waiting {
  readonly #who: string
  readonly #clock: Clock
  readonly #onWarning: (message: string) => void
  readonly #isWhole: boolean
  /** By shard, on the monotonic clock; and why. The first has waited for longest. */
  #since = new Map<number, { readonly since: number; readonly reason: string }>()
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

  /** By shard, why it waits now. */
  look(troubles: ReadonlyMap<number, string>): void {
    const now = this.#clock.monotonic()
    const before = [...this.#since.keys()].filter((shard) => troubles.has(shard))
    const shards = new Set([...before, ...troubles.keys()])
    this.#since = new Map(
      [...shards].map((shard) => [
        shard,
        { since: this.#since.get(shard)?.since ?? now, reason: troubles.get(shard)! },
      ]),
    )
    this.#tell(now)
  }

  #tell(now: number): void {
    const waiting = this.now
    if (waiting === undefined) {
      if (this.#told !== undefined) this.#warn(`waits no more here, after ${seconds(now - this.#told.since)}`)
      this.#told = undefined
      return
    }
    if (waiting.ms < TOLD_AFTER_MS || now - (this.#told?.at ?? Number.NEGATIVE_INFINITY) < TOLD_AGAIN_MS) return
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
  const named = shards.slice(0, NAMED_MAX).join(', ')
  const more = shards.length - NAMED_MAX
  return `${shards.length === 1 ? 'shard' : 'shards'} ${named}${more > 0 ? ` and ${more} more` : ''}`
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`
}
