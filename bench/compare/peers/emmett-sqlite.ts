/**
 * Emmett's command handler over its SQLite event store: fold the account from all its events, decide, append.
 *
 * There is one connection, and two kinds of turns on it. A turn an account: after a version conflict Emmett's store
 * commits the raised stream position without the event, and no later command of that account succeeds. A turn a
 * transaction: on one connection Emmett counts overlapping transactions as nested, and acknowledges all but the
 * last to end before anything is committed.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { CommandHandler } from '@event-driven-io/emmett'
import {
  createEventStoreSchema,
  getSQLiteEventStore,
  sqliteConnection,
  type SQLiteConnection,
  type SQLiteEventStore,
} from '@event-driven-io/emmett-sqlite'
import sqlite3 from 'sqlite3'

import {
  decide,
  evolve,
  unopenedAccount,
  type Account,
  type AccountCommand,
  type AccountEvent,
} from '../bank-account.ts'
import { Ledger } from '../ledger.ts'
import type { Outcome, Peer } from '../peer.ts'
import { Turns } from './turns.ts'

export function createPeer(): Peer {
  return new EmmettSqlitePeer()
}

const handle = CommandHandler<Account, AccountEvent>({ evolve, initialState: () => unopenedAccount })

class EmmettSqlitePeer implements Peer {
  readonly name = 'Emmett over SQLite'
  readonly #turns = new Map<string, Turns>()
  #connection!: SQLiteConnection
  #store!: SQLiteEventStore

  async open(dir: string): Promise<string> {
    const fileName = join(dir, 'emmett.db')
    const connection = sqliteConnection({ fileName })
    await syncEveryCommit(connection)
    // Before the turns: creating the schema nests one transaction in another, and would wait for itself.
    await createEventStoreSchema(connection)
    this.#connection = withTurns(connection)
    const connectionOptions = { singleton: true, connection: this.#connection } as const
    this.#store = getSQLiteEventStore({ fileName, connectionOptions, schema: { autoMigration: 'None' } })
    return `Emmett ${emmettVersion()}, SQLite ${sqlite3.VERSION}`
  }

  async submit(accountId: string, command: AccountCommand): Promise<Outcome> {
    const { newEvents } = await this.#turnsOf(accountId).take(() =>
      handle(this.#store, accountId, (account) => decide(account, command) ?? []),
    )
    return newEvents.length > 0 ? 'accepted' : 'rejected'
  }

  /** Reads the table over Emmett's own connection: a second SQLite in the process would drop the file locks of the first. */
  async verify(): Promise<Ledger> {
    const ledger = new Ledger()
    type StoredMessage = { stream_id: string; stream_position: number; message_type: string; message_data: string }
    const messages = await this.#connection.query<StoredMessage>('SELECT * FROM emt_messages ORDER BY global_position')
    for (const { stream_id, stream_position, message_type, message_data } of messages) {
      const event = { type: message_type, data: JSON.parse(message_data) } as AccountEvent
      ledger.add({ accountId: stream_id, version: stream_position, event })
    }
    return ledger
  }

  async close(): Promise<void> {
    this.#connection.close()
    this.#turns.clear()
  }

  #turnsOf(accountId: string): Turns {
    const known = this.#turns.get(accountId)
    if (known) return known
    const turns = new Turns()
    this.#turns.set(accountId, turns)
    return turns
  }
}

/** Emmett asks for the WAL itself but does not wait: where its first transaction is faster, the WAL stays off, silently. */
async function syncEveryCommit(connection: SQLiteConnection): Promise<void> {
  await connection.querySingle('PRAGMA journal_mode = WAL')
  await connection.command('PRAGMA synchronous = FULL')
  assert.deepEqual(await connection.querySingle('PRAGMA journal_mode'), { journal_mode: 'wal' })
  assert.deepEqual(await connection.querySingle('PRAGMA synchronous'), { synchronous: 2 })
}

function withTurns(connection: SQLiteConnection): SQLiteConnection {
  const turns = new Turns()
  return { ...connection, withTransaction: (work) => turns.take(() => connection.withTransaction(work)) }
}

function emmettVersion(): string {
  const description = new URL('../package.json', import.meta.resolve('@event-driven-io/emmett-sqlite'))
  return (JSON.parse(readFileSync(description, 'utf8')) as { version: string }).version
}
