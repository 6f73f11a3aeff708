/** Plans of a cluster, tried. */
import { Trials } from '../try-seed.ts'
import { CLUSTER_MUTANTS } from './mutants.ts'
import { clusterPlans, latePlans, readPlans, resetPlans, type ClusterPlan } from './plan.ts'
import { runCluster } from './run.ts'

/** Where what a mutant breaks is rare among all plans. */
const PLANS_FOR = new Map([
  ['epoch-not-compared', latePlans],
  ['older-connection-still-read', resetPlans],
  ['watermark-ignored', readPlans],
  ['promise-without-mark', readPlans],
  ['former-owners-forgotten', readPlans],
])

export const CLUSTER_TRIALS: Trials<ClusterPlan> = new Trials({
  plans: clusterPlans,
  plansFor: ({ name }) => PLANS_FOR.get(name),
  run: runCluster,
  mutants: CLUSTER_MUTANTS,
  test: 'test/simulation/cluster/cluster.test.ts',
})
