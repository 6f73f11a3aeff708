/** One generation of a read model: a SQLite file with the user's tables, and beside them the places and parked events. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { definitionError } from '../aggregate/error.ts'
import type { AllPlace } from '../read/all.ts'
import { isAt, LaneMoved, type Change, type ParkedEvent } from '../read/read-model.ts'
import { createDatabase, inTransaction, openDatabase, understanding } from './sqlite-file.ts'

/**
 * Makes the tables that are not there (`CREATE TABLE IF NOT EXISTS`), and returns what handlers and queries get, such as
 * prepared statements. It runs whenever the file is opened, which is twice in each process.
 */
export type SqliteSetup<Model> = (db: DatabaseSync) => Model

const TABLES = `
  CREATE TABLE penhold_places (
    lane TEXT PRIMARY KEY, position INTEGER NOT NULL, shard INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE penhold_parked (
    stream TEXT, version INTEGER, position INTEGER NOT NULL, shard INTEGER NOT NULL,
    type TEXT NOT NULL, reason TEXT NOT NULL, parked_at INTEGER NOT NULL,
    PRIMARY KEY (stream, version)
  ) STRICT, WITHOUT ROWID;`

/**
 * What a loss of power takes from the end it takes from model and places alike; the log has it. Cache (KiB) and WAL (pages)
 * are larger than SQLite's own: with 100,000 rows that events fall on at random it is twice as fast. A setup may set others.
 */
const WRITER_PRAGMAS = `
  PRAGMA synchronous = NORMAL;
  PRAGMA cache_size = -32000;
  PRAGMA wal_autocheckpoint = 10000;`

interface Opened<Model> {
  readonly db: DatabaseSync
  readonly model: Model
}

interface Writer<Model> extends Opened<Model> {
  readonly place: StatementSync
  readonly move: StatementSync
  readonly park: StatementSync
  readonly unpark: StatementSync
}

export class SqliteGeneration<Model> {
  readonly #path: string
  readonly #setup: SqliteSetup<Model>
  #writer: Writer<Model> | undefined
  /** A connection that cannot change anything, so that no query does. */
  #reader: Opened<Model> | undefined

  constructor(path: string, setup: SqliteSetup<Model>) {
    this.#path = path
    this.#setup = setup
  }

  /** Makes the file. */
  create(): void {
    const db = createDatabase(this.#path)
    try {
      // Readers and the writer do not wait for each other. This is kept in the file.
      db.exec('PRAGMA journal_mode = WAL')
      inTransaction(db, () => db.exec(TABLES))
      returned(this.#setup(db), 'setup')
    } finally {
      db.close()
    }
  }

  /** Synchronous from its beginning to its end, so that nobody comes between. */
  commit(change: Change<Model>): void {
    understanding(this.#path, () => {
      const writer = this.#openWriter()
      inTransaction(writer.db, () => apply(writer, change))
    })
  }

  query<Answer>(ask: (model: Model) => Answer | Promise<Answer>): Answer {
    const isWriting = false
    return understanding(
      this.#path,
      () => {
        const { db, model } = this.#openReader()
        // All that is asked sees the same state.
        db.exec('BEGIN')
        try {
          return returned(ask(model), 'a query')
        } finally {
          if (db.isTransaction) db.exec('ROLLBACK')
        }
      },
      isWriting,
    )
  }

  places(): ReadonlyMap<string, AllPlace> {
    const rows = this.#all('SELECT lane, position, shard FROM penhold_places') as unknown as LaneRow[]
    return new Map(rows.map(({ lane, position, shard }) => [lane, { position, shard }]))
  }

  parkedStreams(): ReadonlySet<string> {
    const rows = this.#all('SELECT DISTINCT stream FROM penhold_parked') as unknown as { stream: string }[]
    return new Set(rows.map(({ stream }) => stream))
  }

  parked(stream: string | undefined, limit: number): readonly ParkedEvent[] {
    const which = stream === undefined ? [] : [stream]
    const rows = this.#all(
      `SELECT * FROM penhold_parked ${stream === undefined ? '' : 'WHERE stream = ?'} ORDER BY stream, version LIMIT ?`,
      ...which,
      limit,
    ) as unknown as ParkedRow[]
    return rows.map(({ position, shard, parked_at: parkedAt, ...row }) => ({
      ...row,
      place: { position, shard },
      parkedAt,
    }))
  }

  close(): void {
    const opened = [this.#writer, this.#reader]
    this.#writer = undefined
    this.#reader = undefined
    for (const connection of opened) connection?.db.close()
  }

  #all(sql: string, ...values: (string | number)[]): unknown[] {
    return understanding(this.#path, () =>
      this.#openWriter()
        .db.prepare(sql)
        .all(...values),
    )
  }

  #openWriter(): Writer<Model> {
    this.#writer ??= this.#open((db) => {
      db.exec(WRITER_PRAGMAS)
      return {
        db,
        model: returned(this.#setup(db), 'setup'),
        place: db.prepare('SELECT position, shard FROM penhold_places WHERE lane = ?'),
        move: db.prepare('INSERT OR REPLACE INTO penhold_places VALUES (?, ?, ?)'),
        park: db.prepare('INSERT OR IGNORE INTO penhold_parked VALUES (?, ?, ?, ?, ?, ?, ?)'),
        unpark: db.prepare('DELETE FROM penhold_parked WHERE stream = ? AND version = ?'),
      }
    })
    return this.#writer
  }

  #openReader(): Opened<Model> {
    this.#reader ??= this.#open((db) => {
      const model = returned(this.#setup(db), 'setup')
      db.exec('PRAGMA query_only = ON')
      return { db, model }
    })
    return this.#reader
  }

  #open<Result>(use: (db: DatabaseSync) => Result): Result {
    const db = openDatabase(this.#path)
    try {
      return use(db)
    } catch (error) {
      db.close()
      throw error
    }
  }
}

interface LaneRow extends AllPlace {
  readonly lane: string
}

interface ParkedRow extends Omit<ParkedEvent, 'place' | 'parkedAt'>, AllPlace {
  readonly parked_at: number
}

function apply<Model>(writer: Writer<Model>, change: Change<Model>): void {
  const { lane, from, to, park, unpark } = change
  if (!isAt(writer.place.get(lane) as AllPlace | undefined, from)) throw new LaneMoved(lane, from)
  for (const { stream, version } of unpark) {
    if (Number(writer.unpark.run(stream, version).changes) === 0) throw new LaneMoved(lane, from)
  }
  writer.db.exec('SAVEPOINT penhold')
  returned(change.apply(writer.model), 'a handler')
  release(writer.db)
  for (const { stream, version, place, type, reason, parkedAt } of park) {
    writer.park.run(stream, version, place.position, place.shard, type, reason, parkedAt)
  }
  writer.move.run(lane, to.position, to.shard)
}

/** Finds out whether the transaction is still the one that was begun. */
function release(db: DatabaseSync): void {
  try {
    db.exec('RELEASE penhold')
  } catch (error) {
    throw definitionError(
      'sqliteStore: a handler has ended the transaction, so that a part of its batch may be kept without the rest. The store begins and commits; handlers may use savepoints. Mend the handler, and rebuild.',
      error,
    )
  }
}

/** SQLite answers at once, and a transaction that waits would be everybody's. */
function returned<Result>(result: Result | Promise<Result>, what: string): Result {
  if (typeof result !== 'object' || result === null || !('then' in result) || typeof result.then !== 'function') {
    return result as Result
  }
  result.then(undefined, () => undefined)
  throw definitionError(
    `sqliteStore: ${what} returned a promise. With SQLite they are synchronous; nothing was changed.`,
  )
}
