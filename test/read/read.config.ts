import { defineCluster } from '../../src/index.ts'
import { Account } from '../account.ts'

export default defineCluster({
  name: 'reading',
  aggregates: [Account],
  dataDir: '../../.tmp/reading',
  shards: 8,
  workers: 2,
})
