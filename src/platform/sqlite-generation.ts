/** One generation of a read model: a SQLite file with the user's tables, and beside them the places and parked events. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { definitionError, PenholdError, reasonOf } from '../aggregate/error.ts'
import type { AllPlace } from '../read/all.ts'
import { readModelUnusable } from '../read/read-model-error.ts'
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

/** Between two commits the writer changes nothing: a handler that goes on by itself would do so without a transaction. */
const SHUT = 'PRAGMA query_only = ON'
const OPEN = 'PRAGMA query_only = OFF'

/** What the store itself writes and reads. */
interface Own {
  readonly db: DatabaseSync
  readonly place: StatementSync
  readonly move: StatementSync
  readonly park: StatementSync
  readonly unpark: StatementSync
}

interface Opened<Model> {
  readonly db: DatabaseSync
  readonly model: Model
}

export class SqliteGeneration<Model> {
  readonly #path: string
  readonly #setup: SqliteSetup<Model>
  /** The connection that writes. Its places are read whether the user's setup fits the file's tables or not. */
  #own: Own | undefined
  /** What handlers get of it. */
  #writer: Opened<Model> | undefined
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
      const { model } = this.#openWriter()
      const own = this.#openOwn()
      own.db.exec(OPEN)
      try {
        inTransaction(own.db, () => apply(own, model, change))
      } finally {
        own.db.exec(SHUT)
      }
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
    const opened = [this.#own, this.#reader]
    this.#own = undefined
    this.#writer = undefined
    this.#reader = undefined
    for (const connection of opened) connection?.db.close()
  }

  #all(sql: string, ...values: (string | number)[]): unknown[] {
    return understanding(this.#path, () =>
      this.#openOwn()
        .db.prepare(sql)
        .all(...values),
    )
  }

  #openOwn(): Own {
    this.#own ??= this.#open((db) => {
      db.exec(WRITER_PRAGMAS)
      db.exec(SHUT)
      return {
        db,
        place: db.prepare('SELECT position, shard FROM penhold_places WHERE lane = ?'),
        move: db.prepare('INSERT OR REPLACE INTO penhold_places VALUES (?, ?, ?)'),
        park: db.prepare('INSERT OR IGNORE INTO penhold_parked VALUES (?, ?, ?, ?, ?, ?, ?)'),
        unpark: db.prepare('DELETE FROM penhold_parked WHERE stream = ? AND version = ?'),
      }
    })
    return this.#own
  }

  #openWriter(): Opened<Model> {
    if (this.#writer !== undefined) return this.#writer
    const { db } = this.#openOwn()
    db.exec(OPEN)
    try {
      this.#writer = { db, model: this.#modelOf(db) }
    } catch (error) {
      // It may have left anything behind there.
      this.#own = undefined
      db.close()
      throw error
    }
    db.exec(SHUT)
    return this.#writer
  }

  #openReader(): Opened<Model> {
    this.#reader ??= this.#open((db) => {
      const model = this.#modelOf(db)
      db.exec(SHUT)
      return { db, model }
    })
    return this.#reader
  }

  /** @throws PenholdError `ReadModelUnusable` where the setup is another one by now, which the tables that are there do not fit */
  #modelOf(db: DatabaseSync): Model {
    try {
      return understanding(this.#path, () => returned(this.#setup(db), 'setup'))
    } catch (error) {
      if (error instanceof PenholdError) throw error
      const problem = `its setup fails: ${reasonOf(error)}. Where its tables have changed, rebuild the projection.`
      throw readModelUnusable(this.#path, problem, error)
    }
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

function apply<Model>(own: Own, model: Model, change: Change<Model>): void {
  const { lane, from, to, park, unpark } = change
  if (!isAt(own.place.get(lane) as AllPlace | undefined, from)) throw new LaneMoved(lane, from)
  for (const { stream, version } of unpark) {
    if (Number(own.unpark.run(stream, version).changes) === 0) throw new LaneMoved(lane, from)
  }
  own.db.exec('SAVEPOINT penhold')
  returned(change.apply(model), 'a handler')
  release(own.db)
  for (const { stream, version, place, type, reason, parkedAt } of park) {
    own.park.run(stream, version, place.position, place.shard, type, reason, parkedAt)
  }
  own.move.run(lane, to.position, to.shard)
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
