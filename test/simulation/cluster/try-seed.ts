/** Plans of a cluster, tried. */
import { Trials } from '../try-seed.ts'
import { CLUSTER_MUTANTS } from './mutants.ts'
import { clusterPlans, latePlans, type ClusterPlan } from './plan.ts'
import { runCluster } from './run.ts'

export const CLUSTER_TRIALS: Trials<ClusterPlan> = new Trials({
  plans: clusterPlans,
  plansFor: ({ name }) => (name === 'epoch-not-compared' ? latePlans : undefined),
  run: runCluster,
  mutants: CLUSTER_MUTANTS,
  test: 'test/simulation/cluster/cluster.test.ts',
})
