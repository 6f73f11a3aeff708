/**
 * The projections of the bank's nodes, kept in a PostgreSQL that all of them share. Nothing in their tables keeps an event
 * from being entered twice, or out of order: that is for projections to see to.
 */
import { defineProjection, postgresStore, type PostgresModel, type Projection } from '../../src/index.ts'
import { Account, type Movement } from './account.ts'

/** Where nodes are told of the server; there are no projections where there is none. */
export const POSTGRES_VARIABLE = 'PENHOLD_CHAOS_POSTGRES'

const TABLE = `
  CREATE TABLE entries (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream text NOT NULL, version int NOT NULL, position bigint NOT NULL, command text NOT NULL
  );
  CREATE INDEX ON entries (stream, version)`

/** A connection that is cut off keeps its lane for so long. */
const STATEMENT_MS = 2_000
/** Of so many events one is of the kind that the picky one often cannot take. */
const ONE_IN = 300
const FAILS = 0.7

export type ProjectionName = (typeof PROJECTIONS)[number]
export const PROJECTIONS = ['entries', 'picky'] as const

export function storeAt(connection: Parameters<typeof postgresStore>[0]['connection']) {
  return postgresStore({ connection, timeoutMs: STATEMENT_MS, setup: (sql) => sql.query(TABLE) })
}

/** Those of a node; none where it was told of no server. */
export function projections(): readonly Projection<PostgresModel>[] {
  const url = process.env[POSTGRES_VARIABLE]
  return url === undefined ? [] : PROJECTIONS.map((name) => projectionIn(url, name))
}

function projectionIn(url: string, name: ProjectionName): Projection<PostgresModel> {
  return defineProjection({
    name,
    from: [Account],
    store: storeAt(url),
    ...(name === 'picky' && { onFailure: 'park', retries: 1 }),
    on: {
      async Moved({ stream, version, position, data }, sql) {
        await sql.query({
          name: 'enter',
          text: 'INSERT INTO entries (stream, version, position, command) VALUES ($1, $2, $3, $4)',
          values: [stream, version, position, data.by],
        })
        if (name === 'picky' && isAwkward(data) && Math.random() < FAILS) throw new Error('not today')
      },
    },
  })
}

function isAwkward({ by }: Movement): boolean {
  return Number.parseInt(by.slice(-6), 16) % ONE_IN === 0
}
