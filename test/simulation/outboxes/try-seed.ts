/** Plans of a cluster whose nodes run outboxes, tried. */
import { runCluster } from '../cluster/run.ts'
import { Trials } from '../try-seed.ts'
import { OUTBOX_MUTANTS } from './mutants.ts'
import { outboxPlans, type OutboxPlan } from './plan.ts'

export const OUTBOX_TRIALS: Trials<OutboxPlan> = new Trials({
  plans: outboxPlans,
  run: runCluster,
  mutants: OUTBOX_MUTANTS,
  test: 'test/simulation/outboxes/outboxes.test.ts',
})
