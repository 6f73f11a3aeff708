/**
 * What events have to set in motion, worked out by the plainest means from the desk's rows alone: for comparison with what the
 * aggregates, the process and the reactors came to.
 */
import type { Row } from '../rows.ts'

/** By priority, the hours that an incident may wait. */
const HOURS = [0, 4, 8, 24, 72]
const HOUR_MS = 3_600_000
const WAITS = /^(New|Awaiting .*)$/
const JUNK = '-100'

export interface Expected {
  readonly closings: number
  /** The incidents that missed their SLA. */
  readonly late: readonly string[]
  /** Each wait that was too long, as `number since`, sorted: the incident, and which of its rows began the wait. */
  readonly tooLong: readonly string[]
  /** Those of them that go on where the rows end. */
  readonly goingOn: readonly string[]
}

/** @param endMs when it is looked at. By default long after the last row: what waits then has waited for too long */
export function expectedOf(rows: readonly Row[], endMs: number = Number.POSITIVE_INFINITY): Expected {
  const late = new Set<string>()
  const tooLong = new Set<string>()
  const goingOn = new Set<string>()
  let closings = 0
  for (const [number, all] of Map.groupBy(rows, (row) => row.number)) {
    const told = all
      .map((row, i) => ({ ...row.report, place: i + 1, ms: msOf(row) }))
      .filter(({ state }) => state !== JUNK)
    let wait = told[0]!
    for (const [i, report] of told.entries()) {
      const before = told[i - 1]
      if (report.state !== before?.state || report.reopenings !== before.reopenings) {
        wait = report
        if (report.state === 'Closed') closings += 1
      }
      if (!report.isWithinSla) late.add(number)
      const dueMs = wait.ms + HOURS[report.priority]! * HOUR_MS
      const next = told[i + 1]
      const untilMs = next?.ms ?? endMs
      // Two rows of one minute leave no time between them.
      if (!WAITS.test(report.state) || Math.max(dueMs, report.ms) >= untilMs) continue
      tooLong.add(`${number} ${wait.place}`)
      if (next === undefined) goingOn.add(`${number} ${wait.place}`)
    }
  }
  return { closings, late: sorted(late), tooLong: sorted(tooLong), goingOn: sorted(goingOn) }
}

/** When a row was reported; the desk's times have no zone. */
export function msOf({ report: { at } }: Row): number {
  return Date.parse(`${at}Z`)
}

function sorted(texts: Iterable<string>): readonly string[] {
  return [...texts].toSorted()
}
