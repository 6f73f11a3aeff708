import { join } from 'node:path'
import { defineCluster, defineProjection, memoryStore, sqliteStore } from '../../src/index.ts'
import { Account } from '../account.ts'

/** Set by the tests: where read models are, and whose events the log refuses. */
const folder = process.env['PENHOLD_TEST_FOLDER'] ?? ''

export const Balances = defineProjection({
  name: 'balances',
  from: [Account],
  store: sqliteStore({
    path: join(folder, 'read-models'),
    setup: (db) => {
      db.exec(
        'CREATE TABLE IF NOT EXISTS balances (stream TEXT PRIMARY KEY, balance INTEGER NOT NULL, events INTEGER NOT NULL)',
      )
      const sql = `INSERT INTO balances VALUES (?, ?, 1)
        ON CONFLICT (stream) DO UPDATE SET balance = balance + excluded.balance, events = events + 1`
      return { db, add: db.prepare(sql) }
    },
  }),
  on: {
    MoneyDeposited: ({ stream, data }, { add }) => add.run(stream, data.amount),
    MoneyWithdrawn: ({ stream, data }, { add }) => add.run(stream, -data.amount),
  },
})

export const Lines = defineProjection({
  name: 'lines',
  from: 'all',
  store: memoryStore(() => ({ lines: new Map<number, string>() })),
  onFailure: 'park',
  retries: 0,
  on: {
    MoneyDeposited: ({ stream, version }, { lines }) => {
      if (stream === `account/${process.env['PENHOLD_TEST_REFUSED']}`) throw new Error('not this one')
      lines.set(lines.size, `${stream}@${version}`)
    },
  },
})

export const Counts = defineProjection({
  name: 'counts',
  from: [Account],
  order: 'shard',
  store: memoryStore(() => ({ counts: new Map<string, number>() })),
  onFailure: 'park',
  retries: 0,
  on: {
    MoneyDeposited: ({ stream, version }, { counts }) => {
      if (stream === `account/${process.env['PENHOLD_TEST_REFUSED']}`) throw new Error('not this one')
      if (version !== (counts.get(stream) ?? 0) + 1) throw new Error('out of order')
      counts.set(stream, version)
    },
  },
})

export default defineCluster({
  name: 'projecting',
  aggregates: [Account],
  projections: [Balances, Lines, Counts],
  dataDir: '../../.tmp/projecting',
  shards: 8,
  workers: 2,
})
