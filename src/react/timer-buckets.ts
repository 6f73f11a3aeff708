/**
 * Into which bucket a timer goes until its time comes near: hierarchical timing wheels (Varghese and Lauck, 1987), laid on the
 * calendar. What is due soon goes into a bucket of its minute, what is due later into one of its hour, its day, and so on;
 * when a coarse bucket comes near, what is in it is put into finer ones. So a timer is written a few times in its life,
 * however long that is, and there are never more than some hundred buckets. Pure.
 */

/**
 * Some time: all timers in it are due between `start` and so long after it; or, in those that begin with all time, they were
 * overdue when they were put there. Nothing is due before `start`, so that a bucket is near by any clock by which one of its
 * timers is due: whoever takes over may have another clock.
 */
export interface Bucket {
  /** 0 is the finest. */
  readonly level: number
  /** In milliseconds since 1970. */
  readonly start: number
}

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
/** How long a bucket of each level is: a minute, an hour, a day, 64 days, 11 years, 718 years. */
const LENGTHS_MS: readonly number[] = [
  MINUTE_MS,
  60 * MINUTE_MS,
  DAY_MS,
  DAY_MS * 64,
  DAY_MS * 64 ** 2,
  DAY_MS * 64 ** 3,
]
const COARSEST = LENGTHS_MS.length - 1

/** The last time that there is (ECMA-262). */
export const TIME_MAX = 8.64e15
/** Of what is overdue. */
const OVERDUE_START = 0
/** For what is overdue and could not be fired: to be tried again in a while, by whoever opened it. */
export const PUT_OFF: Bucket = { level: 0, start: 1 }
/** For what is due, and whose owner the config of the node does not have: until somebody takes over who has it. */
export const OWNERLESS: Bucket = { level: 0, start: 2 }

/** A bucket is taken up so long before it begins. */
export const LEAD_MS: number = MINUTE_MS

/**
 * The bucket for a timer that is due at `at`. One of its level 1 and above is not to be taken up yet; so what is put
 * anew from a bucket that was taken up goes into a finer one.
 */
export function bucketOf(at: number, now: number): Bucket {
  const near = now + LEAD_MS
  let level = 0
  while (level < COARSEST && startOf(at, level + 1) > startOf(near, level + 1)) level += 1
  const start = startOf(at, level)
  // Not where the present is: that may be far off by the next clock.
  return { level, start: start < startOf(now, 0) ? OVERDUE_START : start }
}

/** Whether a bucket is near enough to be taken up. */
export function isNear({ start }: Bucket, now: number, leadMs: number = LEAD_MS): boolean {
  return start - leadMs <= now
}

/** Whether all that is in a bucket is due. */
export function isOver({ level, start }: Bucket, now: number): boolean {
  return start + LENGTHS_MS[level]! <= now
}

function startOf(at: number, level: number): number {
  const lengthMs = LENGTHS_MS[level]!
  return Math.floor(at / lengthMs) * lengthMs
}
