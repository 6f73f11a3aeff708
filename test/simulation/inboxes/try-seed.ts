/** Plans of a cluster whose nodes run an inbox, tried. */
import { runCluster } from '../cluster/run.ts'
import { Trials } from '../try-seed.ts'
import { LATE_SENDERS } from '../reactors/mutants.ts'
import { INBOX_MUTANTS } from './mutants.ts'
import { inboxPlans, refusedInboxPlans, type InboxPlan } from './plan.ts'

export const INBOX_TRIALS: Trials<InboxPlan> = new Trials({
  plans: inboxPlans,
  plansFor: (mutant) => (mutant === LATE_SENDERS ? refusedInboxPlans : undefined),
  run: runCluster,
  mutants: INBOX_MUTANTS,
  test: 'test/simulation/inboxes/inboxes.test.ts',
})
