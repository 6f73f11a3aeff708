/**
 * What an event of an account sets in motion, by the id of its command alone: so whoever reads the log knows what has to stand
 * there because of it, and nodes need not be asked.
 */

/** How a transfer ends. */
export type Fate = 'settled' | 'released' | 'refused'

export interface Kinds {
  /** A reactor notes it. */
  readonly isNoted: boolean
  /** So does one that often cannot take it. */
  readonly isPicked: boolean
  /** A process begins with it. */
  readonly transfer: Fate | undefined
  /** A reactor sets a timer, one for an account, or cancels it. */
  readonly timer: 'set' | 'cancelled' | undefined
  /** It is published. */
  readonly isPublished: boolean
  /** Whoever may fail at it often does. */
  readonly isAwkward: boolean
  /** How long a timer that is set because of it takes. */
  readonly timerMs: number
}

const FATES = ['settled', 'released', 'refused'] as const
/** Some are due at once. */
const TIMERS_MS = [0, 300, 800, 2_000, 5_000]
const ONE_IN_AWKWARD = 12

export function kindsOf(commandId: string): Kinds {
  const number = Number.parseInt(commandId.slice(-8), 16)
  const [kind, rest] = [number % 32, Math.floor(number / 32)]
  return {
    isNoted: kind < 4,
    isPicked: kind === 4 || kind === 5,
    transfer: kind >= 6 && kind < 9 ? FATES[rest % FATES.length] : undefined,
    timer: kind >= 9 && kind < 12 ? 'set' : kind === 12 ? 'cancelled' : undefined,
    isPublished: kind >= 13 && kind < 17,
    isAwkward: rest % ONE_IN_AWKWARD === 0,
    timerMs: TIMERS_MS[rest % TIMERS_MS.length]!,
  }
}

/** A transfer is known by the event that it begins with. */
export function transferOf(account: string, version: number): string {
  return `${account}-${version}`
}

/** Where the facts of an account's timer stand. */
export function timerOf(account: string): string {
  return `$timer/reminders:${account}`
}

/** Orders are for one of so many. */
export const BOXES = 4

/** The id of the tally of orders that are for one of them. */
export function boxOf(box: number | string): string {
  return `orders-${box}`
}

/** A schedule runs so often. */
export const TICK_MS = 5_000
/** Where the schedule stands, and the tally of its runs. */
export const TICKS = '$schedule/ticks'
export const TICKED = 'tally/ticks'
