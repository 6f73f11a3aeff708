import { defineCluster } from '../../src/index.ts'
import { Account } from '../account.ts'
import { Troublesome } from './troublesome.ts'

/** For tests of what goes wrong on worker threads. Each gives a data directory of its own. */
export default defineCluster({
  name: 'trouble',
  aggregates: [Account, Troublesome],
  dataDir: '../../.tmp/trouble',
  shards: 4,
  workers: 2,
  timeouts: { handlerMs: 400, askMs: 60_000 },
  onWarning: () => undefined,
})
