/**
 * Which generations a read model in PostgreSQL has. Each is a schema; the control schema says which there are:
 *
 *     penhold.projections            a projection's number, its live generation and its last, and whether it is paused
 *     penhold.generations            those that there are
 *     penhold_<name>_<number>_<n>    generation n; the name may be cut off, the number tells projections apart
 *
 * Whatever changes them does so in one transaction, schemas and all.
 */
import { generationLive, newerFormat, noSuchGeneration, readModelUnavailable } from '../read/read-model-error.ts'
import type { Generations } from '../read/read-model.ts'
import {
  lend,
  sqlState,
  transact,
  type PostgresClient,
  type PostgresModel,
  type PostgresPool,
} from './postgres-pool.ts'

const FORMAT = 1
const NAME_SHOWN = 24

const TABLES = `
  CREATE TABLE penhold_places (lane text PRIMARY KEY, position bigint NOT NULL, shard int NOT NULL);
  CREATE TABLE penhold_parked (
    stream text COLLATE "C", version bigint, position bigint NOT NULL, shard int NOT NULL,
    type text NOT NULL, reason text NOT NULL, parked_at bigint NOT NULL,
    PRIMARY KEY (stream, version)
  );`

export interface PostgresPlace {
  readonly pool: PostgresPool
  readonly projection: string
  /** The control schema. */
  readonly schema: string
  readonly timeoutMs: number
  /** Makes a generation's tables. */
  readonly setup: (sql: PostgresModel) => Promise<unknown>
}

export class PostgresGenerations {
  readonly #place: PostgresPlace
  /** The projection's number. */
  #id = 0

  constructor(place: PostgresPlace) {
    this.#place = place
  }

  /** Makes what is not there. */
  async prepare(): Promise<void> {
    const { schema, projection } = this.#place
    await this.#change(async (client) => {
      // Two that make the same schema at once would trip over each other.
      await client.query('SELECT pg_advisory_xact_lock(hashtext($1))', [schema])
      const { rows } = await client.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema])
      if (rows.length === 0) await client.query(controlTables(schema))
      const known = await client.query<{ id: number; format: number }>(
        `SELECT id, format FROM ${schema}.projections WHERE name = $1`,
        [projection],
      )
      if (known.rows.length === 0) return await this.#createProjection(client)
      const [{ id, format }] = known.rows as [{ id: number; format: number }]
      if (format !== FORMAT) throw newerFormat(`PostgreSQL, ${schema}.projections`, format)
      this.#id = id
    })
  }

  async all(): Promise<Generations> {
    const { schema } = this.#place
    const { rows } = await this.#change((client) =>
      client.query<Generations>(
        `SELECT live, paused AS "isPaused", array(SELECT number FROM ${schema}.generations WHERE projection = id ORDER BY number) AS all
         FROM ${schema}.projections WHERE id = $1`,
        [this.#id],
      ),
    )
    return rows[0]!
  }

  async setPaused(isPaused: boolean): Promise<void> {
    const { schema } = this.#place
    await this.#change((client) =>
      client.query(`UPDATE ${schema}.projections SET paused = $2 WHERE id = $1`, [this.#id, isPaused]),
    )
  }

  async begin(): Promise<number> {
    return await this.#change((client) => this.#create(client))
  }

  async promote(generation: number): Promise<void> {
    await this.#change(async (client) => {
      await this.#lockLive(client)
      await this.#check(client, generation)
      await client.query(`UPDATE ${this.#place.schema}.projections SET live = $2 WHERE id = $1`, [this.#id, generation])
    })
  }

  async drop(generation: number): Promise<void> {
    const { schema, projection } = this.#place
    await this.#change(async (client) => {
      const live = await this.#lockLive(client)
      await this.#check(client, generation)
      if (live === generation) throw generationLive(projection, generation)
      await client.query(`DELETE FROM ${schema}.generations WHERE projection = $1 AND number = $2`, [
        this.#id,
        generation,
      ])
      await client.query(`DROP SCHEMA "${this.schemaOf(generation)}" CASCADE`)
    })
  }

  schemaOf(generation: number): string {
    const { schema, projection } = this.#place
    return `${schema}_${projection.slice(0, NAME_SHOWN)}_${this.#id}_${generation}`
  }

  /** Runs something where names without a schema are a generation's. */
  async within<Result>(
    generation: number,
    run: (client: PostgresClient) => Promise<Result>,
    isReading = false,
  ): Promise<Result> {
    const schema = this.schemaOf(generation)
    const { pool, timeoutMs } = this.#place
    const mode = isReading ? 'REPEATABLE READ READ ONLY' : 'READ COMMITTED READ WRITE'
    // The savepoint is gone at the end if somebody else has ended the transaction.
    const begin = `BEGIN ISOLATION LEVEL ${mode}; ${limits(timeoutMs)} SET LOCAL search_path TO "${schema}"; SAVEPOINT penhold`
    const end = isReading ? 'ROLLBACK' : 'RELEASE SAVEPOINT penhold; COMMIT'
    return await transact(pool, { begin, end, where: `PostgreSQL, schema ${schema}`, isReading }, run)
  }

  /** A statement of the store's own: whatever fails is not a handler's. */
  async ask<Row extends object>(
    client: PostgresClient,
    generation: number,
    ...[text, values]: [text: string, values?: unknown[]]
  ): Promise<readonly Row[]> {
    try {
      const { rows } = await client.query<Row>(text, values)
      return rows
    } catch (error) {
      const state = sqlState(error)
      if (state === UNDEFINED_TABLE) throw noSuchGeneration(this.#place.projection, generation)
      throw state === TIMED_OUT ? readModelUnavailable(`PostgreSQL, schema ${this.schemaOf(generation)}`, error) : error
    }
  }

  async #createProjection(client: PostgresClient): Promise<void> {
    const { schema, projection } = this.#place
    const { rows } = await client.query<{ id: number }>(
      `INSERT INTO ${schema}.projections (name, format, live, last) VALUES ($1, $2, 1, 0) RETURNING id`,
      [projection, FORMAT],
    )
    this.#id = rows[0]!.id
    await this.#create(client)
  }

  async #create(client: PostgresClient): Promise<number> {
    const { schema, setup } = this.#place
    const { rows } = await client.query<{ last: number }>(
      `UPDATE ${schema}.projections SET last = last + 1 WHERE id = $1 RETURNING last`,
      [this.#id],
    )
    const { last } = rows[0]!
    await client.query(`INSERT INTO ${schema}.generations VALUES ($1, $2)`, [this.#id, last])
    const name = this.schemaOf(last)
    await client.query(`CREATE SCHEMA "${name}"; SET LOCAL search_path TO "${name}"; ${TABLES}`)
    await lend(client, setup)
    return last
  }

  async #lockLive(client: PostgresClient): Promise<number> {
    const { rows } = await client.query<{ live: number }>(
      `SELECT live FROM ${this.#place.schema}.projections WHERE id = $1 FOR UPDATE`,
      [this.#id],
    )
    return rows[0]!.live
  }

  async #check(client: PostgresClient, generation: number): Promise<void> {
    const { schema, projection } = this.#place
    const { rows } = await client.query(`SELECT FROM ${schema}.generations WHERE projection = $1 AND number = $2`, [
      this.#id,
      generation,
    ])
    if (rows.length === 0) throw noSuchGeneration(projection, generation)
  }

  async #change<Result>(run: (client: PostgresClient) => Promise<Result>): Promise<Result> {
    const { pool, schema, timeoutMs } = this.#place
    const begin = `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; ${limits(timeoutMs)} SAVEPOINT penhold`
    const end = 'RELEASE SAVEPOINT penhold; COMMIT'
    return await transact(pool, { begin, end, where: `PostgreSQL, schema ${schema}` }, run)
  }
}

const UNDEFINED_TABLE = '42P01'
const TIMED_OUT = '57014'

/** Nobody holds a lock for ever: not a slow statement, nor a process that stopped within a transaction. */
function limits(timeoutMs: number): string {
  return `SET LOCAL statement_timeout TO ${timeoutMs}; SET LOCAL idle_in_transaction_session_timeout TO ${timeoutMs};`
}

function controlTables(schema: string): string {
  return `
    CREATE SCHEMA ${schema};
    CREATE TABLE ${schema}.projections (
      id serial PRIMARY KEY, name text NOT NULL UNIQUE, format int NOT NULL, live int NOT NULL, last int NOT NULL,
      paused boolean NOT NULL DEFAULT false
    );
    CREATE TABLE ${schema}.generations (
      projection int NOT NULL REFERENCES ${schema}.projections, number int NOT NULL, PRIMARY KEY (projection, number)
    );`
}
