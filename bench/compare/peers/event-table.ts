/**
 * The table of events that both peers on SQLite by hand write to. Its caller owns the transactions; this file owns the
 * statements. The balance after each event stands beside it, so that an account is loaded from its last row.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'

import { unopenedAccount, type Account, type AccountEvent } from '../bank-account.ts'
import { Ledger } from '../ledger.ts'

export type StoredAccount = Account & { readonly version: number }
export type Append = { readonly accountId: string; readonly account: StoredAccount; readonly event: AccountEvent }

const schema = `
  CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    balance INTEGER NOT NULL,
    UNIQUE (account_id, version)
  ) STRICT`

export class EventTable {
  readonly #database: DatabaseSync
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #append: StatementSync
  readonly #last: StatementSync

  constructor(dir: string) {
    this.#database = new DatabaseSync(join(dir, 'events.db'))
    this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    assert.deepEqual(this.#pragmas(), ['wal', 2], 'SQLite must run with WAL and synchronous=FULL')
    this.#database.exec(schema)
    this.#begin = this.#database.prepare('BEGIN IMMEDIATE')
    this.#commit = this.#database.prepare('COMMIT')
    this.#append = this.#database.prepare(
      'INSERT INTO events (account_id, version, type, data, balance) VALUES (?, ?, ?, ?, ?)',
    )
    this.#last = this.#database.prepare(
      'SELECT version, balance FROM events WHERE account_id = ? ORDER BY version DESC LIMIT 1',
    )
  }

  get version(): string {
    return `SQLite ${process.versions.sqlite}`
  }

  /** Commits what the work appends. Once this returns it is synced; if it throws, nothing of it is stored. */
  transaction<Result>(work: () => Result): Result {
    this.#begin.run()
    try {
      const result = work()
      this.#commit.run()
      return result
    } catch (failure) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw failure
    }
  }

  load(accountId: string): StoredAccount {
    const row = this.#last.get(accountId) as { version: number; balance: number } | undefined
    return row ? { isOpen: true, balance: row.balance, version: row.version } : { ...unopenedAccount, version: 0 }
  }

  append({ accountId, account, event }: Append): void {
    this.#append.run(accountId, account.version, event.type, JSON.stringify(event.data), account.balance)
  }

  ledger(): Ledger {
    const ledger = new Ledger()
    const rows = this.#database.prepare('SELECT account_id, version, type, data FROM events ORDER BY position')
    for (const row of rows.iterate() as Iterable<
      Record<'account_id' | 'type' | 'data', string> & { version: number }
    >) {
      const event = { type: row.type, data: JSON.parse(row.data) } as AccountEvent
      ledger.add({ accountId: row.account_id, version: row.version, event })
    }
    return ledger
  }

  close(): void {
    this.#database.close()
  }

  #pragmas(): unknown[] {
    const read = (name: string): unknown => Object.values(this.#database.prepare(`PRAGMA ${name}`).get() ?? {})[0]
    return [read('journal_mode'), read('synchronous')]
  }
}
