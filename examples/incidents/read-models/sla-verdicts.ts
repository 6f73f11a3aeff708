/**
 * The read model `sla-verdicts`: how many incidents were closed within the time that was agreed on, and how many too late.
 *
 * A verdict is given when an incident is closed, and stands as long as it stays closed. What is open has none yet, though
 * it may be too late already.
 */
import type { DatabaseSync } from 'node:sqlite'
import { defineProjection, sqliteStore } from '../../../src/index.ts'
import { Incident } from '../incident.ts'

/** How many of the closed incidents. */
export type SlaByPriority = { readonly priority: number; readonly met: number; readonly breached: number }

type SlaVerdictsModel = ReturnType<typeof setup>

const setup = (db: DatabaseSync) => {
  db.exec(`
    CREATE TABLE IF NOT EXISTS incidents (
      incident TEXT PRIMARY KEY, priority INTEGER NOT NULL, is_closed INTEGER NOT NULL, is_late INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID`)
  return {
    open: db.prepare('INSERT INTO incidents VALUES (?, ?, FALSE, FALSE)'),
    prioritise: db.prepare('UPDATE incidents SET priority = ? WHERE incident = ?'),
    miss: db.prepare('UPDATE incidents SET is_late = TRUE WHERE incident = ?'),
    close: db.prepare('UPDATE incidents SET is_closed = TRUE WHERE incident = ?'),
    reopen: db.prepare('UPDATE incidents SET is_closed = FALSE WHERE incident = ?'),
    byPriority: db.prepare(`
      SELECT priority, count(*) FILTER (WHERE NOT is_late) AS met, count(*) FILTER (WHERE is_late) AS breached
      FROM incidents WHERE is_closed GROUP BY priority ORDER BY priority`),
  }
}

export const SlaVerdicts = defineProjection({
  name: 'sla-verdicts',
  from: [Incident],
  store: sqliteStore({ path: 'read-models', setup }),
  on: {
    IncidentOpened: ({ stream, data }, { open }) => open.run(stream, data.priority),
    IncidentPrioritised: ({ stream, data }, { prioritise }) => prioritise.run(data.priority, stream),
    // It comes behind the closing that it is told with, or long before.
    SlaMissed: ({ stream }, { miss }) => miss.run(stream),
    IncidentClosed: ({ stream }, { close }) => close.run(stream),
    // What is known of a reopening may be its count alone: that it was closed again in between.
    IncidentReopened: ({ stream, data }, { close, reopen }) =>
      data.state === 'Closed' ? close.run(stream) : reopen.run(stream),
  },
})

export function slaByPriority({ byPriority }: SlaVerdictsModel): readonly SlaByPriority[] {
  return byPriority.all() as SlaByPriority[]
}
