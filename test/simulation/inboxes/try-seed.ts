/** Plans of a cluster whose nodes run an inbox, tried. */
import { runCluster } from '../cluster/run.ts'
import { Trials } from '../try-seed.ts'
import { INBOX_MUTANTS } from './mutants.ts'
import { inboxPlans, type InboxPlan } from './plan.ts'

export const INBOX_TRIALS: Trials<InboxPlan> = new Trials({
  plans: inboxPlans,
  run: runCluster,
  mutants: INBOX_MUTANTS,
  test: 'test/simulation/inboxes/inboxes.test.ts',
})
