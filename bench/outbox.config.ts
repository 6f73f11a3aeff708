import { defineCluster, defineOutbox, redisStreamPublisher } from '../src/index.ts'
import { Account, AccountWithoutSnapshots, PaymentAccount } from './account.ts'

/** The bank, with an outbox that publishes all there is, to a Redis that keeps the last of it. */
const Movements = defineOutbox({
  name: 'movements',
  startAt: 'beginning',
  from: [Account, AccountWithoutSnapshots],
  map: {
    AccountOpened: ({ data }) => ({ type: 'bench.account.opened', data }),
    MoneyDeposited: ({ data }) => ({ type: 'bench.money.deposited', data }),
    MoneyWithdrawn: ({ data }) => ({ type: 'bench.money.withdrawn', data }),
  },
  publisher: redisStreamPublisher({
    redis: process.env['BENCH_REDIS'] ?? 'redis://127.0.0.1',
    stream: 'movements',
    maxLen: 100_000,
  }),
})

export default defineCluster({
  name: 'bench',
  aggregates: [Account, AccountWithoutSnapshots, PaymentAccount],
  outboxes: [Movements],
  dataDir: '.tmp/data',
})
