import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { postgresStore, type PostgresModel, type PostgresStoreOptions } from '../../src/platform/postgres-read-model.ts'
import { BEGINNING } from '../../src/read/all.ts'
import type { Change, ReadModel } from '../../src/read/read-model.ts'
import { hasPostgres, startPostgres, type PostgresProcess } from '../postgres-server.ts'
import { expectWholeAfterKills } from './kill.ts'
import { begin, drop, numbersOf } from './generation-steps.ts'
import { abortHangingRebuild, testHangingHandler } from './hanging-store.ts'
import { postgresNumbers } from './number-stores.ts'
import { testReadModelContract } from './read-model-contract.ts'

describe.skipIf(!hasPostgres)('on a real PostgreSQL', () => {
  let server: PostgresProcess
  let schemas = 0
  let schema: string
  beforeAll(async () => {
    server = await startPostgres()
  })
  afterAll(() => server?.stop())
  beforeEach(() => {
    schemas += 1
    schema = `test${schemas}`
  })

  const numbers = (options: Partial<PostgresStoreOptions> = {}) =>
    postgresNumbers({ connection: { connectionString: server.url, max: 2 }, schema, ...options })

  testReadModelContract('a store in PostgreSQL', async () => {
    const { set, get } = numbers()
    const opened: ReadModel<PostgresModel>[] = []
    return {
      set,
      get,
      async open(projection) {
        const model = await numbers().store.open(projection)
        opened.push(model)
        return model
      },
      cleanUp: async () => void (await Promise.all(opened.map((model) => model.close()))),
    }
  })

  const change = (fields: Partial<Change<PostgresModel>>): Change<PostgresModel> => ({
    lane: 'all',
    from: BEGINNING,
    to: { position: 1, shard: 0 },
    park: [],
    unpark: [],
    apply: () => undefined,
    ...fields,
  })
  async function open(options: Partial<PostgresStoreOptions> = {}) {
    const { store, set, get } = numbers(options)
    const model = await store.open('balances')
    onTestFinished(() => model.close())
    return {
      model,
      put: (value: number) => (sql: PostgresModel) => set(sql, 'a', value),
      valueOf: (name: string) => model.query(1, (sql) => get(sql, name)),
    }
  }

  test('keeps model and place together, whenever its process is killed', { timeout: 120_000 }, () =>
    expectWholeAfterKills(server.url),
  )

  test.each(['COMMIT', 'ROLLBACK', 'COMMIT; BEGIN', 'ROLLBACK; BEGIN'])(
    'refuses a handler that runs %s itself',
    async (text) => {
      const { model } = await open()
      const apply = async (sql: PostgresModel) => void (await sql.query(text))
      const expected = { code: 'BadDefinition', message: expect.stringContaining('ended the transaction') }
      await expect(model.commit(1, change({ apply }))).rejects.toMatchObject(expected)
      expect(await model.query(1, () => 1)).toBe(1)
    },
  )

  test('refuses a handler that goes on after a statement that failed', async () => {
    const { model, put, valueOf } = await open()
    const apply = async (sql: PostgresModel) => {
      await put(1)(sql)
      await sql.query('nonsense').catch(() => undefined)
    }
    await expect(model.commit(1, change({ apply }))).rejects.toMatchObject({ code: 'BadDefinition' })
    expect(await valueOf('a')).toBe(undefined)
    await model.commit(1, change({ apply: put(2) }))
    expect(await valueOf('a')).toBe(2)
  })

  test('passes on what a handler’s statement was refused for', async () => {
    const { model } = await open()
    for (const text of ['SELECT * FROM no_such_table', 'INSERT INTO numbers VALUES (NULL, 1)', 'nonsense']) {
      const apply = async (sql: PostgresModel) => void (await sql.query(text))
      await expect(model.commit(1, change({ apply }))).rejects.toBeInstanceOf(pg.DatabaseError)
    }
    await expect(model.query(1, (sql) => sql.query('DELETE FROM numbers'))).rejects.toMatchObject({ code: '25006' })
  })

  test('refuses what a handler asks for when its batch is over', async () => {
    const { model } = await open()
    let kept: PostgresModel | undefined
    await model.commit(1, change({ apply: (sql) => void (kept = sql) }))
    expect(() => kept!.query('SELECT 1')).toThrow('transaction is over')
  })

  test('waits for what a handler does not wait for, and fails with it', async () => {
    const { model, put, valueOf } = await open()
    await model.commit(1, change({ apply: (sql) => void put(1)(sql) }))
    expect(await valueOf('a')).toBe(1)
    const apply = (sql: PostgresModel) => void sql.query('nonsense')
    const next = change({ from: { position: 1, shard: 0 }, to: { position: 2, shard: 0 }, apply })
    await expect(model.commit(1, next)).rejects.toMatchObject({ code: 'BadDefinition' })
  })

  test('finds the tables of its generation alone', async () => {
    await server.query('CREATE TABLE IF NOT EXISTS public.stray (a int)')
    const { model } = await open()
    await expect(model.query(1, (sql) => sql.query('SELECT * FROM stray'))).rejects.toMatchObject({ code: '42P01' })
    await begin(model)
    const { rows } = await model.query(2, (sql) => sql.query('SELECT current_schema() AS found'))
    expect(rows).toEqual([{ found: `${schema}_balances_1_2` }])
    await drop(model, 2)
    const left = await server.query(`SELECT nspname FROM pg_namespace WHERE nspname LIKE '${schema}\\_%'`)
    expect(left).toEqual([{ nspname: `${schema}_balances_1_1` }])
  })

  test('tells a stuck lane, a deadlock and a closed connection from a handler that fails', async () => {
    const { model, put } = await open({ timeoutMs: 3_000 })
    const unavailable = { code: 'ReadModelUnavailable', retryable: true }
    await model.commit(1, change({}))
    const holder = new pg.Client({ connectionString: server.url })
    await holder.connect()
    onTestFinished(() => holder.end())
    await holder.query(`BEGIN; UPDATE ${schema}_balances_1_1.penhold_places SET shard = 1`)
    const next = change({ from: { position: 1, shard: 0 }, to: { position: 2, shard: 0 }, apply: put(1) })
    await expect(model.commit(1, next)).rejects.toMatchObject(unavailable)
    await holder.query('ROLLBACK')
    const shutDown = async (sql: PostgresModel) =>
      void (await sql.query('SELECT pg_terminate_backend(pg_backend_pid())'))
    await expect(model.commit(1, { ...next, apply: shutDown })).rejects.toMatchObject(unavailable)
    const fail = async (sql: PostgresModel) =>
      void (await sql.query("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40P01'; END $$"))
    await expect(model.commit(1, { ...next, apply: fail })).rejects.toMatchObject(unavailable)
    await model.commit(1, next)
  })

  test('gives up what a stopped process holds', async () => {
    const { model } = await open({ timeoutMs: 3_000 })
    const { promise, resolve } = Promise.withResolvers<void>()
    const stuck = model.commit(1, change({ apply: () => promise }))
    const { model: other } = await open({ timeoutMs: 60_000 })
    await other.commit(1, change({ to: { position: 7, shard: 0 } }))
    resolve()
    await expect(stuck).rejects.toMatchObject({ code: 'ReadModelUnavailable' })
    expect((await model.places(1)).get('all')).toEqual({ position: 7, shard: 0 })
  })

  test('a generation that cannot be removed now is removed when it is opened next', async () => {
    const { model } = await open({ timeoutMs: 3_000 })
    await begin(model)
    const holder = new pg.Client({ connectionString: server.url })
    await holder.connect()
    onTestFinished(() => holder.end())
    await holder.query(`BEGIN; SELECT * FROM ${schema}_balances_1_2.penhold_places`)
    await drop(model, 2)
    expect(await numbersOf(model)).toEqual({ live: 1, all: [1] })
    await holder.query('ROLLBACK')
    await model.close()
    await open()
    const left = await server.query(`SELECT nspname FROM pg_namespace WHERE nspname LIKE '${schema}\\_%'`)
    expect(left).toEqual([{ nspname: `${schema}_balances_1_1` }])
  })

  test('a generation is removed though a handler hangs in it', async () => {
    const close = await abortHangingRebuild(numbers({ timeoutMs: 5_000 }))
    const left = await server.query(`SELECT nspname FROM pg_namespace WHERE nspname LIKE '${schema}\\_%'`)
    await close()
    expect(left).toEqual([{ nspname: `${schema}_hangs_1_1` }])
  })

  test('what a handler that has failed has asked for and not awaited is not asked any more', async () => {
    const { model } = await open()
    await model.commit(1, change({ apply: async (sql) => void (await sql.query('CREATE SEQUENCE counted')) }))
    const apply = async (sql: PostgresModel) => {
      for (const text of ['SELECT pg_sleep(0.1)', "SELECT nextval('counted')"]) sql.query(text).catch(() => undefined)
      await Promise.reject(new Error('the handler'))
    }
    const next = { from: { position: 1, shard: 0 }, to: { position: 2, shard: 0 } }
    await expect(model.commit(1, change({ ...next, apply }))).rejects.toThrow('the handler')
    const { rows } = await model.query(1, (sql) => sql.query('SELECT is_called FROM counted'))
    expect(rows).toEqual([{ is_called: false }])
  })

  test('says where it stands whatever the setup is by now, which runs for new generations alone', async () => {
    const { model } = await open()
    await model.commit(1, change({}))
    await model.close()
    const setup = vi.fn<(sql: PostgresModel) => Promise<unknown>>((sql) => sql.query('CREATE TABLE others (id int)'))
    const again = await postgresStore({ connection: server.url, schema, setup }).open('balances')
    onTestFinished(() => again.close())
    expect(await again.places(1)).toEqual(new Map([['all', { position: 1, shard: 0 }]]))
    expect(await again.parkedStreams(1)).toEqual(new Set())
    expect(setup).not.toHaveBeenCalled()
    expect(await begin(again)).toBe(2)
    expect((await again.query(2, (sql) => sql.query('SELECT * FROM others'))).rows).toEqual([])
    expect(setup).toHaveBeenCalledTimes(1)
  })

  test('a handler that hangs is not waited for, and changes nothing later', async () => {
    await testHangingHandler(numbers())
  })

  test('is there again when the server is', { timeout: 120_000 }, async () => {
    const { model, put, valueOf } = await open()
    await model.commit(1, change({ apply: put(1) }))
    await server.kill()
    await expect(model.places(1)).rejects.toMatchObject({ code: 'ReadModelUnavailable' })
    const next = change({ from: { position: 1, shard: 0 }, to: { position: 2, shard: 0 }, apply: put(2) })
    await expect(model.commit(1, next)).rejects.toMatchObject({ code: 'ReadModelUnavailable', outcome: 'unknown' })
    await server.restart()
    await vi.waitFor(() => model.commit(1, next), { timeout: 60_000 })
    expect(await valueOf('a')).toBe(2)
  })

  test('uses a pool of the program’s own, and leaves it open', async () => {
    const pool = new pg.Pool({ connectionString: server.url, max: 1 })
    onTestFinished(() => pool.end())
    const { model } = await open({ connection: { pool } })
    await model.commit(1, change({}))
    await model.close()
    expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
  })

  test('opens what another process opens for the first time as well', async () => {
    const opened = await Promise.all(Array.from({ length: 6 }, () => numbers().store.open('balances')))
    onTestFinished(async () => void (await Promise.all(opened.map((model) => model.close()))))
    for (const model of opened) expect(await numbersOf(model)).toEqual({ live: 1, all: [1] })
  })

  test('does not open what a newer version has made', async () => {
    const { model } = await open()
    await model.close()
    await server.query(`UPDATE ${schema}.projections SET format = 9`)
    await expect(open()).rejects.toMatchObject({ code: 'ReadModelUnusable' })
  })

  test('leaves nothing where the setup fails, and passes on why', async () => {
    const connection = server.url
    const failing = postgresStore({ connection, schema, setup: (sql) => sql.query('CREATE TABEL') })
    await expect(failing.open('balances')).rejects.toMatchObject({ code: '42601' })
    const { model } = await open()
    expect(await numbersOf(model)).toEqual({ live: 1, all: [1] })
  })
})

test.each([{ schema: 'Größe' }, { schema: 'a_b' }, { schema: '' }, { timeoutMs: 0 }, { timeoutMs: Number.NaN }])(
  'a store in PostgreSQL refuses %j',
  (options) => {
    const setup = async (): Promise<void> => undefined
    expect(() => postgresStore({ connection: 'postgres://localhost', setup, ...options })).toThrow('postgresStore')
  },
)
