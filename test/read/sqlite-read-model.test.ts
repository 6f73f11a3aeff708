import fs from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { sqliteStore } from '../../src/platform/sqlite-read-model.ts'
import { BEGINNING } from '../../src/read/all.ts'
import type { Change, ReadModel } from '../../src/read/read-model.ts'
import { temporaryFolder } from '../temporary.ts'
import { expectWholeAfterKills } from './kill.ts'
import { begin, drop, numbersOf, promote } from './generation-steps.ts'
import { sqliteNumbers } from './number-stores.ts'
import { testReadModelContract } from './read-model-contract.ts'

testReadModelContract('a store in SQLite', async () => {
  const folder = temporaryFolder()
  const opened: { close(): Promise<void> }[] = []
  const { set, get } = sqliteNumbers(folder)
  return {
    set,
    get,
    async open(projection) {
      const model = await sqliteNumbers(join(folder, 'read-models')).store.open(projection)
      opened.push(model)
      return model
    },
    cleanUp: async () => void (await Promise.all(opened.map((model) => model.close()))),
  }
})

describe('a store in SQLite', () => {
  type Numbers =
    ReturnType<typeof sqliteNumbers> extends { store: { open(name: string): Promise<ReadModel<infer M>> } } ? M : never
  const change = (fields: Partial<Change<Numbers>>): Change<Numbers> => ({
    lane: 'all',
    from: BEGINNING,
    to: { position: 1, shard: 0 },
    park: [],
    unpark: [],
    apply: () => undefined,
    ...fields,
  })
  async function open(folder = temporaryFolder()) {
    const { store, get } = sqliteNumbers(folder)
    const model = await store.open('balances')
    onTestFinished(() => model.close())
    return { folder: join(folder, 'balances'), model, valueOf: (name: string) => model.query(1, (m) => get(m, name)) }
  }

  test('keeps model and place together, whenever its process is killed', { timeout: 120_000 }, () =>
    expectWholeAfterKills(`sqlite:${temporaryFolder()}`),
  )

  test('has its folder in the data directory, unless its path leads elsewhere', async () => {
    const [dataDir, elsewhere] = [temporaryFolder(), temporaryFolder()]
    for (const path of ['read-models', elsewhere]) {
      const model = await sqliteNumbers(path).store.open('balances', dataDir)
      await model.close()
    }
    expect(fs.readdirSync(dataDir)).toEqual(['read-models'])
    expect(fs.readdirSync(join(dataDir, 'read-models'))).toEqual(['balances'])
    expect(fs.readdirSync(elsewhere)).toEqual(['balances'])
  })

  test('keeps its files to its own user', async () => {
    const { folder, model } = await open()
    await model.commit(1, change({}))
    await model.query(1, () => 1)
    expect(fs.statSync(folder).mode & 0o777).toBe(0o700)
    const files = fs.readdirSync(folder)
    expect(files).toEqual(expect.arrayContaining(['control.db', 'generation-1.db', 'generation-1.db-wal']))
    for (const file of files) expect(fs.statSync(join(folder, file)).mode & 0o777, file).toBe(0o600)
  })

  test.each(['COMMIT', 'ROLLBACK', 'COMMIT; BEGIN', 'ROLLBACK; BEGIN'])(
    'refuses a handler that runs %s itself',
    async (sql) => {
      const { model } = await open()
      const apply = ({ db }: Numbers) => db.exec(sql)
      const expected = { code: 'BadDefinition', message: expect.stringContaining('ended the transaction') }
      await expect(model.commit(1, change({ apply }))).rejects.toMatchObject(expected)
      expect(await model.places(1)).toEqual(new Map())
      await model.commit(1, change({}))
    },
  )

  test('lets a handler use savepoints', async () => {
    const { model, valueOf } = await open()
    const apply = ({ db, put }: Numbers) => {
      put.run('a', 1)
      db.exec('SAVEPOINT mine')
      put.run('a', 2)
      db.exec('ROLLBACK TO mine')
    }
    await model.commit(1, change({ apply }))
    expect(await valueOf('a')).toBe(1)
  })

  test('refuses handlers and queries that are asynchronous', async () => {
    const { model, valueOf } = await open()
    const apply = async ({ put }: Numbers) => {
      put.run('a', 1)
      throw new Error('later')
    }
    const expected = { code: 'BadDefinition', message: expect.stringContaining('promise') }
    await expect(model.commit(1, change({ apply }))).rejects.toMatchObject(expected)
    await expect(model.query(1, async () => 1)).rejects.toMatchObject(expected)
    expect(await valueOf('a')).toBe(undefined)
    await model.commit(1, change({}))
  })

  test('refuses a query that would change something', async () => {
    const { model, valueOf } = await open()
    await expect(model.query(1, ({ put }) => put.run('a', 1))).rejects.toThrow('readonly')
    expect(await valueOf('a')).toBe(undefined)
  })

  test('lets queries go on while another process writes, and tells who would write too that it is to try again', async () => {
    const { folder, model, valueOf } = await open()
    await model.commit(1, change({ apply: ({ put }) => void put.run('a', 1) }))
    const other = new DatabaseSync(join(folder, 'generation-1.db'))
    onTestFinished(() => other.close())
    other.exec("BEGIN IMMEDIATE; UPDATE numbers SET value = 2 WHERE name = 'a'")
    expect(await valueOf('a')).toBe(1)
    const next = change({ from: { position: 1, shard: 0 }, to: { position: 2, shard: 0 } })
    await expect(model.commit(1, next)).rejects.toMatchObject({ code: 'ReadModelUnavailable', retryable: true })
    other.exec('ROLLBACK')
    await model.commit(1, next)
  })

  test('says which file is damaged; another generation is begun all the same', async () => {
    const { folder, model } = await open()
    await model.commit(1, change({ apply: ({ put }) => void put.run('a', 1) }))
    await model.close()
    const path = join(folder, 'generation-1.db')
    fs.writeFileSync(path, 'no database'.repeat(1000))
    const { model: again } = await open(join(folder, '..'))
    const expected = { code: 'ReadModelUnusable', message: expect.stringContaining(path) }
    await expect(again.commit(1, change({}))).rejects.toMatchObject(expected)
    await expect(again.query(1, () => 1)).rejects.toMatchObject(expected)
    await expect(again.places(1)).rejects.toMatchObject(expected)
    await promote(again, await begin(again))
    await drop(again, 1)
    expect(await again.places(2)).toEqual(new Map())
  })

  test('says so where a file is gone', async () => {
    const { folder, model } = await open()
    fs.rmSync(join(folder, 'generation-1.db'))
    await expect(model.places(1)).rejects.toMatchObject({ code: 'ReadModelUnusable' })
  })

  test('does not open what is no database, or was made by a newer version', async () => {
    const { folder, model } = await open()
    await model.close()
    const path = join(folder, 'control.db')
    const expected = { code: 'ReadModelUnusable', message: expect.stringContaining(path) }
    const db = new DatabaseSync(path)
    db.exec('UPDATE penhold_projection SET format = 9')
    db.close()
    await expect(open(join(folder, '..'))).rejects.toMatchObject(expected)
    fs.writeFileSync(path, 'no database'.repeat(1000))
    await expect(open(join(folder, '..'))).rejects.toMatchObject(expected)
  })

  test('does not take the folder of another projection, where the disk knows no upper case', async () => {
    const { folder, model } = await open()
    await model.close()
    fs.renameSync(folder, join(folder, '..', 'BALANCES'))
    const { store } = sqliteNumbers(join(folder, '..'))
    await expect(store.open('BALANCES')).rejects.toMatchObject({ code: 'ReadModelUnusable' })
  })

  test('removes what a crash has left of a generation', async () => {
    const { folder, model } = await open()
    fs.writeFileSync(join(folder, 'generation-2.db'), 'half')
    fs.writeFileSync(join(folder, 'generation-7.db'), 'half')
    expect(await begin(model)).toBe(2)
    expect(await model.places(2)).toEqual(new Map())
    await model.close()
    await open(join(folder, '..'))
    expect(fs.readdirSync(folder).filter((file) => file.startsWith('generation-7'))).toEqual([])
    expect(fs.existsSync(join(folder, 'generation-2.db'))).toBe(true)
  })

  test('leaves nothing where the setup fails, and passes on why', async () => {
    const path = temporaryFolder()
    const error = new Error('the setup')
    const setup = vi.fn<() => object>(() => ({}))
    setup.mockImplementationOnce(() => {
      throw error
    })
    const store = sqliteStore({ path, setup })
    await expect(store.open('balances')).rejects.toBe(error)
    expect(fs.readdirSync(join(path, 'balances'))).toEqual(['control.db'])
    const model = await store.open('balances')
    expect(await numbersOf(model)).toEqual({ live: 1, all: [1] })
    await model.close()
    const broken = sqliteStore({ path, setup: (db) => db.exec('CREATE TABEL') })
    await expect(broken.open('others')).rejects.toThrow('syntax error')
  })
})
