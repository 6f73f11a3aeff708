/**
 * Read models in SQLite, the store of embedded nodes. A projection is a folder:
 *
 *     <path>/<projection>/control.db         the record of them (read/control.ts)
 *     <path>/<projection>/generation-1.db    one generation: the user's tables, places and parked events
 *
 * Each generation is a file of its own: a rebuild does not wait for the live one's writer, nor make it wait; handlers name
 * their tables without saying in which generation; a damaged file is one generation; and dropping one gives its room back
 * at once. What changes control.db holds its lock until the files are as it says, so that a crash leaves at most a file
 * that nobody knows of, which the next opening removes.
 */
import fs from 'node:fs'
import { join, resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { assert } from '../aggregate/assert.ts'
import { definitionError, describe } from '../aggregate/error.ts'
import type { AllPlace } from '../read/all.ts'
import { differenceOf, FIRST, generationOf, goesLiveItself, parseControl, type Control } from '../read/control.ts'
import { checkKeys } from '../read/definition-check.ts'
import { checkProjectionName, noSuchGeneration, otherFormat, readModelUnusable } from '../read/read-model-error.ts'
import type { Change, ParkedEvent, ReadModel, ReadModelStore } from '../read/read-model.ts'
import { createDatabase, inTransaction, openDatabase, removeDatabase, understanding } from './sqlite-file.ts'
import { SqliteGeneration, type SqliteSetup } from './sqlite-generation.ts'

export interface SqliteStoreOptions<Model> {
  /**
   * A folder, which is made where there is none; relative to the node's data directory. On a local disk: SQLite's locks do
   * not work over most networks.
   */
  readonly path: string
  readonly setup: SqliteSetup<Model>
}

/**
 * Model and place are in one transaction a batch. Handlers and queries are synchronous; handlers neither begin nor commit.
 * Tables whose names begin with `penhold_` are the store's.
 */
export function sqliteStore<Model>(options: SqliteStoreOptions<Model>): ReadModelStore<Model> {
  checkKeys('sqliteStore', options, { required: ['path', 'setup'], optional: [] })
  const { path, setup } = options
  if (typeof path !== 'string' || path === '') {
    throw definitionError(`sqliteStore: path is ${describe(path)}; give a folder, as 'read-models'`)
  }
  if (typeof setup !== 'function') {
    throw definitionError(`sqliteStore: setup is ${describe(setup)}; give a function of the database`)
  }
  return {
    async open(projection, dataDir = '.') {
      checkProjectionName(projection)
      const folder = resolve(dataDir, path, projection)
      fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
      return new SqliteReadModel({ projection, folder, setup })
    },
  }
}

const FORMAT = 2
const CONTROL_TABLE = `
  CREATE TABLE IF NOT EXISTS penhold_projection (name TEXT NOT NULL, format INTEGER NOT NULL, control TEXT);`

interface Where<Model> {
  readonly projection: string
  readonly folder: string
  readonly setup: SqliteSetup<Model>
}

class SqliteReadModel<Model> implements ReadModel<Model> {
  readonly #where: Where<Model>
  readonly #controlPath: string
  readonly #control: DatabaseSync
  readonly #opened = new Map<number, SqliteGeneration<Model>>()
  #isClosed = false

  constructor(where: Where<Model>) {
    this.#where = where
    this.#controlPath = join(where.folder, 'control.db')
    this.#control = openControl(this.#controlPath)
    try {
      this.#changing(() => this.#prepare())
    } catch (error) {
      this.#control.close()
      throw error
    }
  }

  async control(): Promise<Control> {
    return this.#asking(() => this.#read())
  }

  async replaceControl(from: Control, to: Control): Promise<boolean> {
    const { begun, dropped } = differenceOf(from, to)
    const next = goesLiveItself(from, to)
    const isReplaced = this.#changing(() => {
      if (this.#read().revision !== from.revision) return false
      if (next !== undefined && this.#generation(next).parkedStreams().size > 0) return false
      for (const number of begun) this.#create(number)
      this.#write(to)
      return true
    })
    if (!isReplaced) return false
    for (const number of dropped) {
      this.#forget(number)
      removeDatabase(this.#path(number))
    }
    return true
  }

  async places(generation: number): Promise<ReadonlyMap<string, AllPlace>> {
    return this.#generation(generation).places()
  }

  async commit(generation: number, change: Change<Model>): Promise<void> {
    this.#generation(generation).commit(change)
  }

  async query<Answer>(generation: number, ask: (model: Model) => Answer | Promise<Answer>): Promise<Answer> {
    return this.#generation(generation).query(ask)
  }

  async parkedStreams(generation: number): Promise<ReadonlySet<string>> {
    return this.#generation(generation).parkedStreams()
  }

  async parked(
    generation: number,
    { stream, limit }: { readonly stream?: string; readonly limit: number },
  ): Promise<readonly ParkedEvent[]> {
    return this.#generation(generation).parked(stream, limit)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const generation of this.#opened.values()) generation.close()
    this.#control.close()
  }

  #prepare(): void {
    const { projection, folder } = this.#where
    this.#control.exec(CONTROL_TABLE)
    const about = this.#control.prepare('SELECT name, format FROM penhold_projection').get()
    if (about === undefined) {
      this.#control.prepare('INSERT INTO penhold_projection VALUES (?, ?, NULL)').run(projection, FORMAT)
      this.#write(FIRST)
      this.#create(FIRST.live)
    } else {
      if (about['format'] !== FORMAT) throw otherFormat(this.#controlPath, about['format'])
      // On disks that take upper and lower case for the same.
      if (about['name'] !== projection) {
        throw readModelUnusable(folder, `it belongs to '${String(about['name'])}'. Give '${projection}' another name.`)
      }
    }
    const control = this.#read()
    for (const file of fs.readdirSync(folder)) {
      const number = /^generation-(\d+)\.db$/.exec(file)?.[1]
      if (number !== undefined && generationOf(control, Number(number)) === undefined)
        removeDatabase(join(folder, file))
    }
  }

  #create(number: number): void {
    const path = this.#path(number)
    // A process that ended here before has left it, and nobody uses it.
    removeDatabase(path)
    try {
      new SqliteGeneration(path, this.#where.setup).create()
    } catch (error) {
      removeDatabase(path)
      throw error
    }
  }

  #read(): Control {
    const row = this.#control.prepare('SELECT control FROM penhold_projection').get()
    return parseControl(row?.['control'], this.#controlPath)
  }

  #write(control: Control): void {
    this.#control.prepare('UPDATE penhold_projection SET control = ?').run(JSON.stringify(control))
  }

  #generation(number: number): SqliteGeneration<Model> {
    assert(!this.#isClosed, 'a read model is asked for nothing once it is closed')
    // Another process may have dropped it. A look costs a microsecond or two, against a batch's thousands.
    if (!fs.existsSync(this.#path(number))) {
      this.#forget(number)
      const control = this.#asking(() => this.#read())
      if (generationOf(control, number) === undefined) throw noSuchGeneration(this.#where.projection, number)
      throw readModelUnusable(this.#path(number), 'the file is gone. Rebuild the projection.')
    }
    const opened = this.#opened.get(number) ?? new SqliteGeneration(this.#path(number), this.#where.setup)
    this.#opened.set(number, opened)
    return opened
  }

  #forget(generation: number): void {
    this.#opened.get(generation)?.close()
    this.#opened.delete(generation)
  }

  #path(generation: number): string {
    return join(this.#where.folder, `generation-${generation}.db`)
  }

  #asking<Result>(ask: () => Result): Result {
    assert(!this.#isClosed, 'a read model is asked for nothing once it is closed')
    return understanding(this.#controlPath, ask)
  }

  #changing<Result>(change: () => Result): Result {
    return this.#asking(() => inTransaction(this.#control, change))
  }
}

function openControl(path: string): DatabaseSync {
  try {
    return createDatabase(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return openDatabase(path)
  }
}
