/**
 * Shards on their way from this node to others, until their next owners serve them. One at a time: callers of a shard wait
 * for all that its next owner does meanwhile, and several at a time keep each other waiting, at the node that gives them
 * up and at those that take them. Two things must not follow from that.
 *
 * - One that hangs must not hold up the others. A worker or an heir is waited for a moment only; an heir that was waited
 *   for in vain is given the next when it serves one or after `PATIENCE_MS`, and meanwhile nobody waits for it.
 * - A node that is to end at a given time must not keep shards because it has many. Where those that are left would not fit
 *   into the time that is left, at the pace they leave at, several go together, from one worker to one heir: that are few
 *   syncs more than one takes, where each for itself beside others would cost them all of its own.
 */
import type { Clock } from '../log/clock.ts'
import type { View } from './leases.ts'
import type { Owner } from './owner-name.ts'

/** Far longer than one takes on a good day. */
const MOMENT_MS = 250
/** Whoever was to take it over may have ended. */
const PATIENCE_MS = 1_000
/** So many go together at most: nobody should wait for longer than these take. */
const TOGETHER_MAX = 128
/** Of the time that is left, what is counted on. */
const COUNTED_ON_SHARE = 0.5
/** How much of the pace is the newest departure's. */
const NEWEST_SHARE = 0.3

/** A shard that a worker of this node has, and whom it is for. */
export interface Move {
  readonly shard: number
  readonly worker: number
  readonly to: Owner
}

/** Shards that leave together, from one worker to one member. */
export interface Departure {
  readonly worker: number
  readonly heir: string
  readonly moves: readonly Move[]
  /** On the monotonic clock. */
  readonly beganAt: number
  /** When they were nobody's here, and somebody was told. */
  leftAt: number | undefined
  /** Those that nobody is known to serve yet. */
  readonly unserved: Set<number>
}

export class Departures {
  readonly #clock: Clock
  readonly #underWay = new Set<Departure>()
  /** Heirs that were waited for in vain, and have served none since. */
  readonly #late = new Set<string>()
  /** How long a departure takes, of late; undefined before the first. */
  #paceMs: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** These are the members now. Of others nobody is an heir. */
  see({ members }: Pick<View, 'members'>): void {
    const known = new Set(members.map(({ id }) => id))
    for (const heir of this.#late) if (!known.has(heir)) this.#late.delete(heir)
  }

  /**
   * The next of these leave, undefined where there is no room for any. All should have left by `leaveBy`, on the monotonic
   * clock; undefined where they have time.
   */
  begin(moves: () => readonly Move[], leaveBy?: number): Departure | undefined {
    this.#noteLate()
    if (this.#isHeldUp) return undefined
    const waiting = moves().filter(({ shard }) => !this.isLeaving(shard))
    const next = waiting.find((move) => this.#hasRoom(move))
    if (next === undefined) return undefined
    const { worker, to } = next
    const alike = waiting.filter((move) => move.worker === worker && move.to.member === to.member)
    const together = alike.slice(0, this.#countTogether(waiting, to.member, leaveBy))
    const unserved = new Set(together.map(({ shard }) => shard))
    const beganAt = this.#clock.monotonic()
    const departure = { worker, heir: to.member, moves: together, beganAt, leftAt: undefined, unserved }
    this.#underWay.add(departure)
    return departure
  }

  /** Its worker has given these up, all of it where they are not named, and its heir is told; nobody waits for the others. */
  left(departure: Departure, given: ReadonlySet<number> = departure.unserved): void {
    departure.leftAt = this.#clock.monotonic()
    for (const shard of departure.unserved) if (!given.has(shard)) departure.unserved.delete(shard)
    if (departure.unserved.size === 0) this.#underWay.delete(departure)
  }

  /** Somebody serves these. Returns whether others may leave for that. */
  arrived(shards: readonly number[]): boolean {
    const before = this.#underWay.size
    for (const departure of this.#underWay) {
      const { heir, beganAt, leftAt, unserved } = departure
      // What is served elsewhere before it has left here is an older story.
      if (leftAt === undefined || !shards.some((shard) => unserved.delete(shard))) continue
      this.#late.delete(heir)
      for (const shard of shards) unserved.delete(shard)
      if (unserved.size > 0) continue
      this.#underWay.delete(departure)
      const tookMs = this.#clock.monotonic() - beganAt
      this.#paceMs = (this.#paceMs ?? tookMs) * (1 - NEWEST_SHARE) + tookMs * NEWEST_SHARE
    }
    return this.#underWay.size < before
  }

  /** Whether its worker is about to give it up. */
  isLeaving(shard: number): boolean {
    for (const { leftAt, unserved } of this.#underWay) if (leftAt === undefined && unserved.has(shard)) return true
    return false
  }

  /** What is about to be given up. */
  get leaving(): readonly number[] {
    return [...this.#underWay].flatMap(({ leftAt, unserved }) => (leftAt === undefined ? [...unserved] : []))
  }

  #noteLate(): void {
    const now = this.#clock.monotonic()
    for (const departure of this.#underWay) {
      const { heir, leftAt } = departure
      if (leftAt === undefined) continue
      if (now - leftAt >= MOMENT_MS) this.#late.add(heir)
      if (now - leftAt >= PATIENCE_MS) this.#underWay.delete(departure)
    }
  }

  /** Whether all wait for one that leaves. */
  get #isHeldUp(): boolean {
    const now = this.#clock.monotonic()
    return [...this.#underWay].some(({ heir, beganAt, leftAt }) => {
      return leftAt === undefined ? now - beganAt < MOMENT_MS : !this.#late.has(heir)
    })
  }

  /** Whether neither its worker nor its heir has one under way that takes longer. */
  #hasRoom({ worker, to }: Move): boolean {
    for (const { worker: giver, heir, leftAt } of this.#underWay) {
      if (leftAt === undefined ? giver === worker : heir === to.member) return false
    }
    return true
  }

  #countTogether(waiting: readonly Move[], heir: string, leaveBy: number | undefined): number {
    if (leaveBy === undefined || this.#paceMs === undefined || this.#late.has(heir)) return 1
    const rest = waiting.filter(({ to }) => !this.#late.has(to.member)).length
    const leftMs = leaveBy - this.#clock.monotonic()
    const fit = Math.max(1, (leftMs * COUNTED_ON_SHARE) / this.#paceMs)
    return Math.min(TOGETHER_MAX, Math.max(1, Math.ceil(rest / fit)))
  }
}
