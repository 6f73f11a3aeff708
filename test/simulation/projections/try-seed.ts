/** Plans of a cluster whose nodes run projections, tried. */
import { runCluster } from '../cluster/run.ts'
import { Trials } from '../try-seed.ts'
import { PROJECTION_MUTANTS } from './mutants.ts'
import { projectionPlans, type ProjectionPlan } from './plan.ts'

export const PROJECTION_TRIALS: Trials<ProjectionPlan> = new Trials({
  plans: projectionPlans,
  run: runCluster,
  mutants: PROJECTION_MUTANTS,
  test: 'test/simulation/projections/projections.test.ts',
})
