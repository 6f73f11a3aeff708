/**
 * Transactions over a few connections to PostgreSQL. `pg` is loaded where it is used first: programs that keep their read
 * models elsewhere do not need it. The types here are as much of its own as is used, so that ours do not need them either.
 */
import { definitionError } from '../aggregate/error.ts'
import { readModelUnavailable } from '../read/read-model-error.ts'

export interface PostgresResult<Row> {
  readonly rows: Row[]
  readonly rowCount: number | null
}

/** A named statement is prepared once a connection, which is much faster where it is run for each event. */
export interface PostgresStatement {
  readonly text: string
  readonly name?: string
  readonly values?: unknown[]
}

/** What handlers and queries get: a connection within a transaction that the store begins and commits. */
export interface PostgresModel {
  query<Row extends object = Record<string, unknown>>(
    statement: string | PostgresStatement,
    values?: unknown[],
  ): Promise<PostgresResult<Row>>
}

/** A connection of a pool of `pg`. */
export interface PostgresClient extends PostgresModel {
  on(event: 'error', listener: (error: Error) => void): unknown
  off(event: 'error', listener: (error: Error) => void): unknown
  /** @param isBroken it is not to be used again */
  release(isBroken?: boolean): void
}

/** A pool of `pg`. */
export interface PostgresPool {
  connect(): Promise<PostgresClient>
  on(event: 'error', listener: (error: Error) => void): unknown
  end(): Promise<void>
}

/** As `pg` takes them; what is left out comes from the environment (`PGHOST` …). */
export interface PostgresConnection {
  readonly connectionString?: string
  readonly host?: string
  readonly port?: number
  readonly database?: string
  readonly user?: string
  readonly password?: string | (() => string | Promise<string>)
  /** `true` or what Node's `tls.connect` takes. */
  readonly ssl?: boolean | object
  /** Connections at once. 4 where it is not given. */
  readonly max?: number
}

const MAX = 4
const CONNECT_MS = 5_000
/** So much later than the server should have, a connection that does not answer is given up. */
const GRACE_MS = 5_000

/**
 * A pool that connects when it is asked to.
 * @throws PenholdError `BadDefinition` where `pg` is not installed
 */
async function openPool(connection: string | PostgresConnection, timeoutMs: number): Promise<PostgresPool> {
  const { default: pg } = await import('pg').catch((error: unknown) => {
    throw definitionError("postgresStore needs the package 'pg': npm install pg", error)
  })
  const given = typeof connection === 'string' ? { connectionString: connection } : connection
  const pool = new pg.Pool({
    max: MAX,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: timeoutMs + GRACE_MS,
    keepAlive: true,
    application_name: 'penhold',
    ...given,
  })
  // A connection that breaks while nobody uses it: the pool makes a new one when it needs one.
  pool.on('error', () => undefined)
  return pool
}

/** One pool for all that a store has open. */
export class SharedPool {
  readonly #connection: string | PostgresConnection | { readonly pool: PostgresPool }
  readonly #timeoutMs: number
  #opened: Promise<PostgresPool> | undefined
  #users = 0

  constructor(connection: string | PostgresConnection | { readonly pool: PostgresPool }, timeoutMs: number) {
    this.#connection = connection
    this.#timeoutMs = timeoutMs
  }

  async take(): Promise<PostgresPool> {
    const given = this.#connection
    if (typeof given === 'object' && 'pool' in given) return given.pool
    this.#users += 1
    this.#opened ??= openPool(given, this.#timeoutMs)
    return await this.#opened
  }

  /** The last one closes it; a pool of somebody else's stays open. */
  async giveBack(): Promise<void> {
    this.#users -= 1
    const opened = this.#opened
    if (opened === undefined || this.#users > 0) return
    this.#opened = undefined
    await (await opened).end()
  }
}

/** A transaction as its user goes through it. */
export interface Transaction {
  /** What begins it, and what ends it well; statements without values. */
  readonly begin: string
  readonly end: string
  /** Where this is, for messages. */
  readonly where: string
  /** It changes nothing: a refusal to change something is no failure of the server. */
  readonly isReading?: boolean
}

/**
 * Runs something in a transaction: whole, or not at all. What it throws is passed on.
 * @throws PenholdError `ReadModelUnavailable` where the connection broke, or the database refused for the moment
 */
export async function transact<Result>(
  pool: PostgresPool,
  { begin, end, where, isReading = false }: Transaction,
  run: (client: PostgresClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect().catch((error: unknown) => {
    throw readModelUnavailable(where, error)
  })
  // Whoever waits for an answer is told; an event that nobody listens to would end the process.
  const listener = (): void => undefined
  client.on('error', listener)
  let isBroken = false
  try {
    await client.query(begin)
    const result = await run(client)
    await client.query(end).catch((error: unknown) => Promise.reject(explained(error)))
    return result
  } catch (error) {
    isBroken = await client.query('ROLLBACK').then(
      () => false,
      () => true,
    )
    throw isBroken || isPassing(error, isReading) ? readModelUnavailable(where, error) : error
  } finally {
    client.off('error', listener)
    client.release(isBroken)
  }
}

/** Why a transaction does not end well though nothing in it was thrown. */
function explained(error: unknown): unknown {
  const state = sqlState(error)
  if (state === '25P02') {
    return definitionError(
      'postgresStore: a handler has gone on after a statement that failed. Pass the error on, or put a savepoint before such a statement. Nothing was changed.',
      error,
    )
  }
  if (state !== '25P01' && state !== '3B001') return error
  return definitionError(
    'postgresStore: a handler has ended the transaction, so that a part of its batch may be kept without the rest. The store begins and commits; handlers may use savepoints. Mend the handler, and rebuild.',
    error,
  )
}

/** The code of PostgreSQL for what it refused (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
export function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined
  return /^[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined
}

/**
 * Connections, conflicts with other transactions (also deadlocks), no room, an operator who stops it; waiting for a lock
 * in vain; and a server that is not the leader any more.
 */
function isPassing(error: unknown, isReading: boolean): boolean {
  const state = sqlState(error) ?? ''
  return /^(?:08|40|53|57P|55P03)/.test(state) || (state === '25006' && !isReading)
}

/**
 * Gives a connection out of hand for one call: whoever goes on with it later would be in somebody else's transaction.
 * Statements that are not awaited run one after the other all the same, and fail the transaction if they fail.
 */
export async function lend<Result>(
  client: PostgresClient,
  use: (sql: PostgresModel) => Result | Promise<Result>,
): Promise<Result> {
  let isOver = false
  let hasFailed = false
  let last: Promise<unknown> = Promise.resolve()
  const check = (isRefused: boolean): void => {
    if (isRefused) throw new TypeError('the transaction is over: a handler or query awaits whatever it asks for')
  }
  const query: PostgresModel['query'] = (statement, values) => {
    check(isOver)
    const result = last.then(() => {
      // What waited for its turn would be undone.
      check(hasFailed)
      return client.query<never>(statement, values)
    })
    last = result.catch(() => undefined)
    return result
  }
  try {
    return await use({ query })
  } catch (error) {
    hasFailed = true
    throw error
  } finally {
    isOver = true
    await last
  }
}
