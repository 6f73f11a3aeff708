/**
 * A service desk made up from a seed: incidents that are opened, handed around, solved, closed and sometimes opened
 * again, all at the same time. It keeps count of what really happened, so that what the aggregates say in the end can
 * be compared with it.
 *
 * An incident depends on the seed and its own place alone: asking for more of them adds to those of a smaller run.
 */
import { createDice } from './dice.ts'
import { createIncident, JUNK } from './generated-incident.ts'
import type { Row, Source } from './rows.ts'

/** What really happened. */
export interface Truth {
  rows: number
  /** Junk reports. */
  rejected: number
  incidents: number
  closed: number
  reassignments: number
  reopened: number
  slaMet: number
}

export interface GeneratedSource extends Source {
  /** Complete when all rows have been read. */
  readonly truth: Readonly<Truth>
}

const FIRST_DAY_MS = Date.UTC(2026, 0, 5)
const DAY_MS = 24 * 60 * 60_000
const OPENED_A_DAY = 72

interface Size {
  readonly seed: number
  readonly incidents: number
}

export function generateIncidents(options: Size): GeneratedSource {
  const truth: Truth = { rows: 0, rejected: 0, incidents: 0, closed: 0, reassignments: 0, reopened: 0, slaMet: 0 }
  const made = { rows: 0 }
  return {
    name: `${options.incidents} generated incidents, seed ${options.seed}`,
    rows: byTime(options, made, truth),
    truth,
    fraction: () => (made.rows === 0 ? 0 : (truth.rows / made.rows) * (truth.incidents / options.incidents)),
    [Symbol.asyncDispose]: async () => undefined,
  }
}

/** All rows in the order of time, day by day: only those that are for a later day wait in memory. */
async function* byTime({ seed, incidents }: Size, made: { rows: number }, truth: Truth): AsyncGenerator<Row> {
  const later: Row[] = []
  for (let first = 0; first < incidents; first += OPENED_A_DAY) {
    const next = Math.min(incidents, first + OPENED_A_DAY)
    for (let i = first; i < next; i += 1) {
      const number = `S${seed}-${String(i + 1).padStart(6, '0')}`
      const rows = createIncident(createDice(seed, i), { number, openedMs: openedMs(i) })
      count(rows, truth)
      made.rows += rows.length
      later.push(...rows)
    }
    // Sorting is stable: an incident's rows of the same minute stay in order.
    later.sort((a, b) => (a.report.at < b.report.at ? -1 : a.report.at > b.report.at ? 1 : 0))
    const tomorrow = new Date(openedMs(next)).toISOString()
    const due = next === incidents ? -1 : later.findIndex(({ report }) => report.at >= tomorrow)
    for (const row of later.splice(0, due === -1 ? later.length : due)) yield { ...row, line: (truth.rows += 1) }
  }
}

function openedMs(incident: number): number {
  return FIRST_DAY_MS + (incident / OPENED_A_DAY) * DAY_MS
}

/** What the desk knows of an incident in the end is what its last sensible report says. */
function count(rows: readonly Row[], truth: Truth): void {
  const { report } = rows.findLast((row) => row.report.state !== JUNK)!
  truth.incidents += 1
  truth.rejected += rows.filter((row) => row.report.state === JUNK).length
  truth.closed += report.state === 'Closed' ? 1 : 0
  truth.reassignments += report.reassignments
  truth.reopened += report.reopenings > 0 ? 1 : 0
  truth.slaMet += report.isWithinSla ? 1 : 0
}
