/** Read models of the bank in SQLite, as a dashboard has them: how many events there were, and what they add up to. */
import { defineProjection, sqliteStore, type Projection } from '../src/index.ts'
import { Account, AccountWithoutSnapshots } from './account.ts'

/** What all rows of a read model add up to. */
export interface Totals {
  readonly rows: number
  readonly events: number
  readonly balance: number
}

export interface Counters {
  readonly add: (stream: string, amount: number) => unknown
  readonly totals: () => Totals
}

/** By branch, which the last four digits of an account's number say: 10,000 rows. */
export const Branches: Projection<Counters> = counters('branches', (stream) => stream.slice(-4))
/** By account: a row each. */
export const Accounts: Projection<Counters> = counters('accounts', (stream) => stream)

function counters(name: string, rowOf: (stream: string) => string): Projection<Counters> {
  return defineProjection({
    name,
    from: [Account, AccountWithoutSnapshots],
    store: sqliteStore({
      path: 'read-models',
      setup: (db) => {
        db.exec(`CREATE TABLE IF NOT EXISTS counters (
          name TEXT PRIMARY KEY, events INTEGER NOT NULL, balance INTEGER NOT NULL) STRICT, WITHOUT ROWID`)
        const add = db.prepare(
          `INSERT INTO counters VALUES (?, 1, ?)
           ON CONFLICT DO UPDATE SET events = events + 1, balance = balance + excluded.balance`,
        )
        const totals = db.prepare(
          'SELECT count(*) AS rows, sum(events) AS events, sum(balance) AS balance FROM counters',
        )
        return {
          add: (stream: string, amount: number): unknown => add.run(rowOf(stream), amount),
          totals: () => ({ ...totals.get() }) as unknown as Totals,
        }
      },
    }),
    on: {
      AccountOpened: ({ stream }, { add }) => add(stream, 0),
      MoneyDeposited: ({ stream, data }, { add }) => add(stream, data.amount),
      MoneyWithdrawn: ({ stream, data }, { add }) => add(stream, -data.amount),
    },
  })
}
