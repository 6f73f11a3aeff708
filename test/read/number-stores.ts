/** Stores whose models are numbers by name, for what is the same in all of them. */
import { postgresStore, type PostgresStoreOptions } from '../../src/platform/postgres-read-model.ts'
import { redisStore, type RedisStoreOptions } from '../../src/platform/redis-read-model.ts'
import { sqliteStore } from '../../src/platform/sqlite-read-model.ts'
import type { ReadModelStore } from '../../src/read/read-model.ts'

export interface NumberStore<Model> {
  readonly store: ReadModelStore<Model>
  readonly set: (model: Model, name: string, value: number) => void | Promise<void>
  readonly get: (model: Model, name: string) => number | undefined | Promise<number | undefined>
}

export function sqliteNumbers(path: string) {
  const store = sqliteStore({
    path,
    setup(db) {
      db.exec(
        'CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID',
      )
      return {
        db,
        put: db.prepare('INSERT OR REPLACE INTO numbers VALUES (?, ?)'),
        find: db.prepare('SELECT value FROM numbers WHERE name = ?'),
      }
    },
  })
  return numbersIn(store, {
    set: (model, name, value) => void model.put.run(name, value),
    get: (model, name) => model.find.get(name)?.['value'] as number | undefined,
  })
}

export function postgresNumbers(options: Omit<PostgresStoreOptions, 'setup'>) {
  const store = postgresStore({
    ...options,
    setup: (sql) => sql.query('CREATE TABLE numbers (name text PRIMARY KEY, value int NOT NULL)'),
  })
  return numbersIn(store, {
    async set(sql, name, value) {
      await sql.query('INSERT INTO numbers VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2', [name, value])
    },
    async get(sql, name) {
      const { rows } = await sql.query<{ value: number }>('SELECT value FROM numbers WHERE name = $1', [name])
      return rows[0]?.value
    },
  })
}

export function redisNumbers(options: RedisStoreOptions) {
  return numbersIn(redisStore(options), {
    set: ({ key, write }, name, value) => write('hset', key('numbers'), name, value),
    async get({ key, read }, name) {
      const value = await read.hget(key('numbers'), name)
      return value === null ? undefined : Number(value)
    },
  })
}

/** Once all is done; at once where all was done at once. */
export function all(done: readonly (void | Promise<void>)[]): void | Promise<void> {
  if (done.some((one) => one !== undefined)) return Promise.all(done.map(async (one) => one)).then(() => undefined)
}

function numbersIn<Model>(store: ReadModelStore<Model>, calls: Omit<NumberStore<Model>, 'store'>): NumberStore<Model> {
  return { store, ...calls }
}

/** Runs something with the store at `sqlite:<path>`, `postgres://…` or `redis://…`. */
export async function withNumbersAt<Result>(
  where: string,
  run: <Model>(numbers: NumberStore<Model>) => Promise<Result>,
): Promise<Result> {
  const kind = where.slice(0, where.indexOf(':'))
  switch (kind) {
    case 'sqlite':
      return await run(sqliteNumbers(where.slice('sqlite:'.length)))
    case 'postgres':
      return await run(postgresNumbers({ connection: where }))
    case 'redis':
      return await run(redisNumbers({ redis: where }))
    default:
      throw new Error(`there is no store '${where}'`)
  }
}
