/**
 * The read model `open-incidents`: which incidents are open now, with which group, and whose they are.
 *
 * It keeps a row for each incident, also for those that are closed: one that is reopened is its group's again, and the
 * event that says so does not name the group.
 */
import type { DatabaseSync } from 'node:sqlite'
import { defineProjection, sqliteStore } from '../../../src/index.ts'
import { Incident } from '../incident.ts'

/** Null: no group, no assignee. */
export type OpenByGroup = { readonly group: string | null; readonly open: number; readonly unassigned: number }
export type OpenByAssignee = { readonly assignee: string | null; readonly open: number }

type OpenIncidentsModel = ReturnType<typeof setup>

const setup = (db: DatabaseSync) => {
  db.exec(`
    CREATE TABLE IF NOT EXISTS incidents (
      incident TEXT PRIMARY KEY, "group" TEXT, assignee TEXT, is_open INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS open_incidents ON incidents ("group", assignee) WHERE is_open;`)
  return {
    open: db.prepare('INSERT INTO incidents VALUES (?, ?, ?, TRUE)'),
    handTo: db.prepare('UPDATE incidents SET "group" = ? WHERE incident = ?'),
    assignTo: db.prepare('UPDATE incidents SET assignee = ? WHERE incident = ?'),
    close: db.prepare('UPDATE incidents SET is_open = FALSE WHERE incident = ?'),
    reopen: db.prepare('UPDATE incidents SET is_open = TRUE WHERE incident = ?'),
    byGroup: db.prepare(`
      SELECT "group", count(*) AS open, count(*) FILTER (WHERE assignee IS NULL) AS unassigned
      FROM incidents WHERE is_open GROUP BY "group" ORDER BY open DESC, "group"`),
    byAssignee: db.prepare(`
      SELECT assignee, count(*) AS open
      FROM incidents WHERE is_open GROUP BY assignee ORDER BY open DESC, assignee`),
  }
}

export const OpenIncidents = defineProjection({
  name: 'open-incidents',
  from: [Incident],
  store: sqliteStore({ path: 'read-models', setup }),
  on: {
    IncidentOpened: ({ stream, data }, { open }) => open.run(stream, data.group, data.assignee),
    IncidentReassigned: ({ stream, data }, { handTo }) => handTo.run(data.group, stream),
    IncidentAssigned: ({ stream, data }, { assignTo }) => assignTo.run(data.assignee, stream),
    IncidentClosed: ({ stream }, { close }) => close.run(stream),
    // What is known of a reopening may be its count alone: that it was closed again in between.
    IncidentReopened: ({ stream, data }, { close, reopen }) =>
      data.state === 'Closed' ? close.run(stream) : reopen.run(stream),
  },
})

/** The groups that have open incidents, those with the most first. */
export function openByGroup({ byGroup }: OpenIncidentsModel): readonly OpenByGroup[] {
  return byGroup.all() as OpenByGroup[]
}

/** Whose the open incidents are, those with the most first. */
export function openByAssignee({ byAssignee }: OpenIncidentsModel): readonly OpenByAssignee[] {
  return byAssignee.all() as OpenByAssignee[]
}
