import { defineCluster } from '../src/index.ts'
import { Account } from './account.ts'

/** A bank for tests that need worker threads. Each gives a data directory of its own. */
export default defineCluster({ name: 'bank', aggregates: [Account], dataDir: '../.tmp/bank', shards: 8 })
