import { defineCluster } from '../src/index.ts'
import { Account, AccountWithoutSnapshots, PaymentAccount } from './account.ts'

/** Everything has its default, for that is what is measured. Each row gives a data directory of its own. */
export default defineCluster({
  name: 'bench',
  aggregates: [Account, AccountWithoutSnapshots, PaymentAccount],
  dataDir: '.tmp/data',
})
