/** What the desk's rows say about waiting, by a plain look at them: nothing of the example's aggregate or process. */
import type { Row } from '../../examples/incidents/rows.ts'

/** By priority, the hours that an incident may wait. */
const HOURS = [0, 4, 8, 24, 72]
const WAITS = /^(New|Awaiting .*)$/
const HOUR_MS = 3_600_000
const JUNK = '-100'

/**
 * Each wait that was too long, as `number since`: the incident, and which of its rows began the wait. Where the rows end, time
 * goes on: what waits then waits for too long.
 */
export async function tooLongWaits(rows: AsyncIterable<Row>): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  for (const [number, all] of await byIncident(rows)) {
    const told = all
      .map((row, i) => ({ ...row.report, place: i + 1, ms: msOf(row) }))
      .filter(({ state }) => state !== JUNK)
    let wait = told[0]!
    for (const [i, report] of told.entries()) {
      const before = told[i - 1]
      if (report.state !== before?.state || report.reopenings !== before.reopenings) wait = report
      const dueMs = wait.ms + HOURS[report.priority]! * HOUR_MS
      const untilMs = told[i + 1]?.ms ?? Number.POSITIVE_INFINITY
      // Two rows of one minute leave no time between them.
      if (WAITS.test(report.state) && dueMs < untilMs && report.ms < untilMs) found.add(`${number} ${wait.place}`)
    }
  }
  return found
}

/** When a row was reported; the desk's times have no zone. */
export function msOf({ report: { at } }: Row): number {
  return Date.parse(`${at}Z`)
}

async function byIncident(rows: AsyncIterable<Row>): Promise<ReadonlyMap<string, readonly Row[]>> {
  const incidents = new Map<string, Row[]>()
  for await (const row of rows) {
    const known = incidents.get(row.number)
    if (known === undefined) incidents.set(row.number, [row])
    else known.push(row)
  }
  return incidents
}
