/** Plans of a cluster, tried. */
import { Trials } from '../try-seed.ts'
import { CLUSTER_MUTANTS } from './mutants.ts'
import { clusterPlans, type ClusterPlan } from './plan.ts'
import { runCluster } from './run.ts'

export const CLUSTER_TRIALS: Trials<ClusterPlan> = new Trials({
  plans: clusterPlans,
  run: runCluster,
  mutants: CLUSTER_MUTANTS,
  test: 'test/simulation/cluster/cluster.test.ts',
})
