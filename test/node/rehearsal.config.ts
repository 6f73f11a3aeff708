import { defineCluster } from '../../src/index.ts'
import { Account } from '../account.ts'

/** For a node of several whose warnings are heard. */
export default defineCluster({ name: 'rehearsing', aggregates: [Account], dataDir: '../../.tmp/rehearsing', shards: 8 })
