/**
 * Which generations a read model in PostgreSQL has. Each is a schema; the control schema says which there are:
 *
 *     penhold.projections            of each projection its number, and the record of its generations (read/control.ts)
 *     penhold_<name>_<number>_<n>    generation n; the name may be cut off, the number tells projections apart
 *
 * A schema is made in the transaction that has the record name it. It is removed once the record does not: that waits for
 * whoever is in the middle of a batch there, and nothing else is to wait for them.
 */
import { differenceOf, FIRST, generationOf, goesLiveItself, parseControl, type Control } from '../read/control.ts'
import { noSuchGeneration, otherFormat, readModelUnavailable } from '../read/read-model-error.ts'
import {
  lend,
  sqlState,
  transact,
  type PostgresClient,
  type PostgresModel,
  type PostgresPool,
} from './postgres-pool.ts'

const FORMAT = 2
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

  /** Makes what is not there, and removes what was to be removed. */
  async prepare(): Promise<void> {
    const { schema, projection } = this.#place
    await this.#change(async (client) => {
      // Two that make the same schema at once would trip over each other.
      await client.query('SELECT pg_advisory_xact_lock(hashtext($1))', [schema])
      const { rows } = await client.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema])
      if (rows.length === 0) await client.query(controlTable(schema))
      const known = await client.query<{ id: number; format: number }>(
        `SELECT id, format FROM ${schema}.projections WHERE name = $1`,
        [projection],
      )
      if (known.rows.length === 0) return await this.#createProjection(client)
      const [{ id, format }] = known.rows as [{ id: number; format: number }]
      if (format !== FORMAT) throw otherFormat(`PostgreSQL, ${schema}.projections`, format)
      this.#id = id
    })
    await this.#remove(await this.#change((client) => this.#left(client)))
  }

  async control(): Promise<Control> {
    return await this.#change((client) => this.#read(client))
  }

  async replaceControl(from: Control, to: Control): Promise<boolean> {
    const { begun, dropped } = differenceOf(from, to)
    const isReplaced = await this.#change(async (client) => {
      const { revision } = await this.#read(client, 'FOR UPDATE')
      if (revision !== from.revision) return false
      const next = goesLiveItself(from, to)
      if (next !== undefined && (await this.#hasParked(client, next))) return false
      for (const generation of begun) await this.#create(client, generation)
      const { schema } = this.#place
      const values = [this.#id, JSON.stringify(to)]
      await client.query(`UPDATE ${schema}.projections SET control = $2 WHERE id = $1`, values)
      return true
    })
    if (isReplaced) await this.#remove(dropped)
    return isReplaced
  }

  async #hasParked(client: PostgresClient, generation: number): Promise<boolean> {
    const { rows } = await client.query(`SELECT 1 FROM "${this.schemaOf(generation)}".penhold_parked LIMIT 1`)
    return rows.length > 0
  }

  schemaOf(generation: number): string {
    return `${this.#prefix}${generation}`
  }

  /** How the schemas of the projection's generations begin. */
  get #prefix(): string {
    const { schema, projection } = this.#place
    return `${schema}_${projection.slice(0, NAME_SHOWN)}_${this.#id}_`
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

  async #read(client: PostgresClient, lock: '' | 'FOR UPDATE' = ''): Promise<Control> {
    const { schema } = this.#place
    const { rows } = await client.query<{ control: string }>(
      `SELECT control FROM ${schema}.projections WHERE id = $1 ${lock}`,
      [this.#id],
    )
    return parseControl(rows[0]?.control, `PostgreSQL, ${schema}.projections`)
  }

  async #createProjection(client: PostgresClient): Promise<void> {
    const { schema, projection } = this.#place
    const { rows } = await client.query<{ id: number }>(
      `INSERT INTO ${schema}.projections (name, format, control) VALUES ($1, $2, $3) RETURNING id`,
      [projection, FORMAT, JSON.stringify(FIRST)],
    )
    this.#id = rows[0]!.id
    await this.#create(client, FIRST.live)
  }

  async #create(client: PostgresClient, generation: number): Promise<void> {
    const name = this.schemaOf(generation)
    await client.query(`CREATE SCHEMA "${name}"; SET LOCAL search_path TO "${name}"; ${TABLES}`)
    await lend(client, this.#place.setup)
  }

  /** Generations that have a schema, and that the record does not name. */
  async #left(client: PostgresClient): Promise<readonly number[]> {
    const control = await this.#read(client, 'FOR UPDATE')
    const prefix = this.#prefix
    const { rows } = await client.query<{ name: string }>(
      'SELECT nspname AS name FROM pg_namespace WHERE starts_with(nspname, $1)',
      [prefix],
    )
    const numbers = rows.map(({ name }) => name.slice(prefix.length)).filter((rest) => /^\d+$/.test(rest))
    return numbers.map(Number).filter((number) => generationOf(control, number) === undefined)
  }

  /** Where one cannot be removed now, it is when the read model is opened next: nobody sees it. */
  async #remove(generations: readonly number[]): Promise<void> {
    for (const generation of generations) {
      const drop = `DROP SCHEMA IF EXISTS "${this.schemaOf(generation)}" CASCADE`
      await this.#change((client) => client.query(drop)).catch(() => undefined)
    }
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

function controlTable(schema: string): string {
  return `
    CREATE SCHEMA ${schema};
    CREATE TABLE ${schema}.projections (
      id serial PRIMARY KEY, name text NOT NULL UNIQUE, format int NOT NULL, control text NOT NULL
    );`
}
