/** Spans of time, as they pass in stories. */
import * as fc from 'fast-check'

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** From the smallest on. */
const UNITS: readonly (readonly [ms: number, name: string])[] = [
  [1, 'millisecond'],
  [SECOND_MS, 'second'],
  [MINUTE_MS, 'minute'],
  [HOUR_MS, 'hour'],
  [DAY_MS, 'day'],
]

/** Milliseconds, from a second to a year: seconds as often as minutes, hours, days and months. */
export const SPANS: fc.Arbitrary<number> = fc.oneof(
  { withCrossShrink: true },
  times(SECOND_MS, 1, 59),
  times(MINUTE_MS, 1, 59),
  times(HOUR_MS, 1, 23),
  times(DAY_MS, 1, 30),
  times(DAY_MS, 31, 366),
)

function times(unitMs: number, min: number, max: number): fc.Arbitrary<number> {
  return fc.integer({ min, max }).map((count) => count * unitMs)
}

/** Shorter spans that are as simple or simpler. */
export function* shorterSpans(ms: number): Generator<number> {
  const i = UNITS.findLastIndex(([unitMs]) => ms % unitMs === 0)
  const [unitMs] = UNITS[i]!
  const count = ms / unitMs
  for (const [smaller] of UNITS.slice(1, i)) yield smaller
  for (const [greater] of UNITS.slice(i + 1).toReversed()) if (ms > greater) yield ms - (ms % greater)
  if (count > 3) yield Math.floor(count / 2) * unitMs
  if (count > 1) yield ms - unitMs
}

/** `14 days`, `90 minutes`, `1 second`. */
export function describeSpan(ms: number): string {
  const [unitMs, name] = UNITS.findLast(([length]) => ms % length === 0)!
  const count = ms / unitMs
  return `${count} ${name}${count === 1 ? '' : 's'}`
}
