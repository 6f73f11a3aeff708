/**
 * Read models in PostgreSQL (13 or newer): model, places and parked events of a generation are tables of one schema, where
 * alone handlers' and queries' names are looked for (postgres-generations.ts). A commit moves its lane first, which locks
 * the lane's row: of two that run a lane, one waits, and then finds it moved.
 */
import { assert } from '../aggregate/assert.ts'
import { definitionError, describe } from '../aggregate/error.ts'
import { checkKeys } from '../read/definition-check.ts'
import type { AllPlace } from '../read/all.ts'
import { BEGINNING } from '../read/all.ts'
import type { Control } from '../read/control.ts'
import { checkProjectionName } from '../read/read-model-error.ts'
import {
  isAt,
  LaneMoved,
  type Change,
  type ParkedEvent,
  type ReadModel,
  type ReadModelStore,
} from '../read/read-model.ts'
import { PostgresGenerations } from './postgres-generations.ts'
import { lend, SharedPool, type PostgresConnection, type PostgresModel, type PostgresPool } from './postgres-pool.ts'

export type { PostgresModel } from './postgres-pool.ts'

export interface PostgresStoreOptions {
  /** A URL or settings, for a pool of the store's own; or a pool of `pg`, which stays open. */
  readonly connection: string | PostgresConnection | { readonly pool: PostgresPool }
  /** Makes the tables of a generation, when it is begun. */
  readonly setup: (sql: PostgresModel) => Promise<unknown>
  /** The control schema, and how the others' names begin, for clusters that share a database. `penhold` if not given. */
  readonly schema?: string
  /** So long a statement may take, and a transaction may wait for the next. 30 s if not given. */
  readonly timeoutMs?: number
}

/**
 * Model and place are in one transaction a batch. Handlers neither begin nor commit, and await what they ask for. The
 * database's user must be allowed to make schemas (`GRANT CREATE ON DATABASE`).
 */
export function postgresStore(options: PostgresStoreOptions): ReadModelStore<PostgresModel> {
  checkKeys('postgresStore', options, { required: ['connection', 'setup'], optional: ['schema', 'timeoutMs'] })
  const { connection, setup, schema = 'penhold', timeoutMs = 30_000 } = options
  if (
    (typeof connection !== 'string' && (typeof connection !== 'object' || connection === null)) ||
    connection === ''
  ) {
    throw definitionError(
      `postgresStore: connection is ${describe(connection)}; give a URL, as postgres://user:password@host/database, or settings, or { pool }`,
    )
  }
  if (typeof setup !== 'function') {
    throw definitionError(`postgresStore: setup is ${describe(setup)}; give an async function that makes the tables`)
  }
  if (typeof schema !== 'string' || !/^[a-z][a-z0-9]{0,15}$/.test(schema)) {
    throw definitionError(
      `postgresStore: schema is ${describe(schema)}; give up to 16 small letters and digits, a letter first`,
    )
  }
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > 2 ** 31 - 1) {
    throw definitionError(`postgresStore: timeoutMs is ${describe(timeoutMs)}; give a number of milliseconds`)
  }
  const shared = new SharedPool(connection, timeoutMs)
  return {
    async open(projection) {
      checkProjectionName(projection)
      const pool = await shared.take()
      const generations = new PostgresGenerations({ pool, projection, schema, timeoutMs, setup })
      try {
        await generations.prepare()
      } catch (error) {
        await shared.giveBack()
        throw error
      }
      return new PostgresReadModel(generations, () => shared.giveBack())
    },
  }
}

class PostgresReadModel implements ReadModel<PostgresModel> {
  readonly #opened: PostgresGenerations
  readonly #giveBack: () => Promise<void>
  #isClosed = false

  constructor(generations: PostgresGenerations, giveBack: () => Promise<void>) {
    this.#opened = generations
    this.#giveBack = giveBack
  }

  get #generations(): PostgresGenerations {
    assert(!this.#isClosed, 'a read model is asked for nothing once it is closed')
    return this.#opened
  }

  async control(): Promise<Control> {
    return await this.#generations.control()
  }

  async replaceControl(from: Control, to: Control): Promise<boolean> {
    return await this.#generations.replaceControl(from, to)
  }

  async places(generation: number): Promise<ReadonlyMap<string, AllPlace>> {
    const rows = await this.#read<PlaceRow>(generation, 'SELECT lane, position, shard FROM penhold_places')
    return new Map(rows.map(({ lane, position, shard }) => [lane, { position: Number(position), shard }]))
  }

  async commit(generation: number, change: Change<PostgresModel>): Promise<void> {
    const { lane, from, unpark, park, apply } = change
    const generations = this.#generations
    await generations.within(generation, async (client) => {
      const moved = await generations.ask(client, generation, ...moveOf(change))
      if (moved.length === 0) throw new LaneMoved(lane, from)
      if (unpark.length > 0) {
        const done = await generations.ask(client, generation, UNPARK, columnsOf(unpark, ['stream', 'version']))
        if (done.length < unpark.length) throw new LaneMoved(lane, from)
      }
      await lend(client, apply)
      if (park.length > 0) await generations.ask(client, generation, PARK, columnsOf(park.map(toRow), PARKED_COLUMNS))
    })
  }

  async query<Answer>(generation: number, ask: (model: PostgresModel) => Answer | Promise<Answer>): Promise<Answer> {
    const generations = this.#generations
    const isReading = true
    return await generations.within(
      generation,
      async (client) => {
        await generations.ask(client, generation, 'SELECT FROM penhold_places LIMIT 0')
        return await lend(client, ask)
      },
      isReading,
    )
  }

  async parkedStreams(generation: number): Promise<ReadonlySet<string>> {
    const rows = await this.#read<{ stream: string }>(generation, 'SELECT DISTINCT stream FROM penhold_parked')
    return new Set(rows.map(({ stream }) => stream))
  }

  async parked(
    generation: number,
    { stream, limit }: { readonly stream?: string; readonly limit: number },
  ): Promise<readonly ParkedEvent[]> {
    const which = stream === undefined ? '' : 'WHERE stream = $2'
    const rows = await this.#read<ParkedRow>(
      generation,
      `SELECT * FROM penhold_parked ${which} ORDER BY stream, version LIMIT $1`,
      stream === undefined ? [limit] : [limit, stream],
    )
    return rows.map(({ version, position, shard, parked_at: parkedAt, ...row }) => ({
      ...row,
      version: Number(version),
      place: { position: Number(position), shard },
      parkedAt: Number(parkedAt),
    }))
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#giveBack()
  }

  async #read<Row extends object>(generation: number, text: string, values?: unknown[]): Promise<readonly Row[]> {
    const generations = this.#generations
    return await generations.within(generation, (client) => generations.ask<Row>(client, generation, text, values))
  }
}

/** PostgreSQL's `bigint` comes as a text. */
interface PlaceRow {
  readonly lane: string
  readonly position: string
  readonly shard: number
}

interface ParkedRow {
  readonly stream: string
  readonly version: string
  readonly position: string
  readonly shard: number
  readonly type: string
  readonly reason: string
  readonly parked_at: string
}

const UNPARK = `
  DELETE FROM penhold_parked p USING unnest($1::text[], $2::bigint[]) AS done (stream, version)
  WHERE p.stream = done.stream AND p.version = done.version
  RETURNING p.version`

const PARKED_COLUMNS = ['stream', 'version', 'position', 'shard', 'type', 'reason', 'parkedAt'] as const

const PARK = `
  INSERT INTO penhold_parked
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::int[], $5::text[], $6::text[], $7::bigint[])
  ON CONFLICT DO NOTHING`

/** Gives back a row if the lane stood where it was to stand. */
function moveOf<Model>({ lane, from, to }: Change<Model>): [text: string, values: unknown[]] {
  if (isAt(from, BEGINNING)) {
    const text = `
      INSERT INTO penhold_places AS p VALUES ($1, $2, $3)
      ON CONFLICT (lane) DO UPDATE SET position = $2, shard = $3 WHERE p.position = $4 AND p.shard = $5 RETURNING 1`
    return [text, [lane, to.position, to.shard, from.position, from.shard]]
  }
  const text = `
    UPDATE penhold_places SET position = $2, shard = $3 WHERE lane = $1 AND position = $4 AND shard = $5 RETURNING 1`
  return [text, [lane, to.position, to.shard, from.position, from.shard]]
}

function toRow({ place, reason, ...event }: ParkedEvent): object {
  // PostgreSQL's texts cannot hold the character 0.
  return { ...event, ...place, reason: reason.replaceAll('\0', '\u{fffd}') }
}

/** A list for each column. */
function columnsOf(rows: readonly object[], columns: readonly string[]): unknown[] {
  return columns.map((column) => rows.map((row) => (row as Record<string, unknown>)[column]))
}
