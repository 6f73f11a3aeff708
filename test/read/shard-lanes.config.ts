import { defineCluster, defineProjection, redisStore } from '../../src/index.ts'
import { Account } from '../account.ts'

/** Set by the test: where the nodes and their read models meet. */
const redis = process.env['PENHOLD_TEST_REDIS'] ?? 'redis://127.0.0.1:1'

export const Totals = defineProjection({
  name: 'totals',
  from: [Account],
  order: 'shard',
  store: redisStore({ redis }),
  on: {
    MoneyDeposited: ({ stream, version, data }, { key, write }) => {
      write('hincrby', key('totals'), stream, data.amount)
      write('rpush', key(`versions-${stream}`), version)
    },
  },
})

export default defineCluster({
  name: 'shard-lanes',
  aggregates: [Account],
  projections: [Totals],
  dataDir: '../../.tmp/shard-lanes',
  shards: 16,
  workers: 2,
  redis,
})
