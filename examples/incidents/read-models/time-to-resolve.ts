/**
 * The read model `time-to-resolve`: how long it took from opening an incident to the resolution that lasted.
 *
 * It keeps the times of each incident and adds nothing up, so that SQL gives exact percentiles, and a reopening takes one
 * time back. An incident that was closed without having been resolved was resolved by that.
 */
import type { DatabaseSync } from 'node:sqlite'
import { defineProjection, sqliteStore } from '../../../src/index.ts'
import { Incident } from '../incident.ts'

/** In seconds, of the incidents that are resolved now. */
export type Times = {
  readonly resolved: number
  readonly mean: number
  /** Half of them took no longer; `p90`: nine in ten. */
  readonly median: number
  readonly p90: number
  readonly max: number
}
export type TimeByPriority = { readonly priority: number } & Times
/** Null: no group. */
export type TimeByGroup = { readonly group: string | null } & Times

type TimeToResolveModel = ReturnType<typeof setup>

const setup = (db: DatabaseSync) => {
  // The desk's times are local ones without a zone: what lies between two is counted as if they were UTC.
  db.exec(`
    CREATE TABLE IF NOT EXISTS incidents (
      incident TEXT PRIMARY KEY, priority INTEGER NOT NULL, "group" TEXT, opened_at TEXT NOT NULL, resolved_at TEXT,
      seconds INTEGER AS (unixepoch(resolved_at) - unixepoch(opened_at))
    ) STRICT, WITHOUT ROWID`)
  return {
    open: db.prepare('INSERT INTO incidents VALUES (?, ?, ?, ?, ?)'),
    prioritise: db.prepare('UPDATE incidents SET priority = ? WHERE incident = ?'),
    handTo: db.prepare('UPDATE incidents SET "group" = ? WHERE incident = ?'),
    resolve: db.prepare('UPDATE incidents SET resolved_at = ? WHERE incident = ?'),
    close: db.prepare('UPDATE incidents SET resolved_at = coalesce(resolved_at, ?) WHERE incident = ?'),
    byPriority: db.prepare(timesBy('priority')),
    byGroup: db.prepare(timesBy('"group"')),
  }
}

export const TimeToResolve = defineProjection({
  name: 'time-to-resolve',
  from: [Incident],
  store: sqliteStore({ path: 'read-models', setup }),
  on: {
    IncidentOpened: ({ stream, data }, { open }) =>
      open.run(stream, data.priority, data.group, data.openedAt, data.state === 'Resolved' ? data.at : null),
    IncidentPrioritised: ({ stream, data }, { prioritise }) => prioritise.run(data.priority, stream),
    IncidentReassigned: ({ stream, data }, { handTo }) => handTo.run(data.group, stream),
    IncidentResolved: ({ stream, data }, { resolve }) => resolve.run(data.at, stream),
    IncidentClosed: ({ stream, data }, { close }) => close.run(data.at, stream),
    ResolutionWithdrawn: ({ stream }, { resolve }) => resolve.run(null, stream),
    // What is known of a reopening may be its count alone: that it was resolved again in between.
    IncidentReopened: ({ stream, data: { at, state } }, { resolve }) =>
      resolve.run(state === 'Resolved' || state === 'Closed' ? at : null, stream),
  },
})

export function timeByPriority({ byPriority }: TimeToResolveModel): readonly TimeByPriority[] {
  return byPriority.all() as TimeByPriority[]
}

export function timeByGroup({ byGroup }: TimeToResolveModel): readonly TimeByGroup[] {
  return byGroup.all() as TimeByGroup[]
}

/** Percentiles by nearest rank: the least time that so many of a hundred did not exceed. */
function timesBy(column: string): string {
  return `
    WITH ranked AS (
      SELECT ${column}, seconds,
        row_number() OVER (PARTITION BY ${column} ORDER BY seconds) AS place,
        count(*) OVER (PARTITION BY ${column}) AS places
      FROM incidents WHERE seconds IS NOT NULL
    )
    SELECT ${column}, count(*) AS resolved, avg(seconds) AS mean,
      min(seconds) FILTER (WHERE 100 * place >= 50 * places) AS median,
      min(seconds) FILTER (WHERE 100 * place >= 90 * places) AS p90,
      max(seconds) AS max
    FROM ranked GROUP BY ${column} ORDER BY ${column}`
}
