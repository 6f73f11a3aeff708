import { defineCluster } from '../src/index.ts'
import { Account, AccountWithoutSnapshots, PaymentAccount } from './account.ts'
import { Branches } from './counters.ts'

/** The bank, with a projection. */
export default defineCluster({
  name: 'bench',
  aggregates: [Account, AccountWithoutSnapshots, PaymentAccount],
  projections: [Branches],
  dataDir: '.tmp/data',
})
