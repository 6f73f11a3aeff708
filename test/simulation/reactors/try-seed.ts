/** Plans of a cluster whose nodes run a reactor, tried. */
import { runCluster } from '../cluster/run.ts'
import { Trials } from '../try-seed.ts'
import {
  LATE_SENDERS,
  PROCESS_MUTANTS,
  REACTOR_MUTANTS,
  SHIFTING_MUTANTS,
  SYNCHRONOUS_MUTANTS,
  UNLOOKED,
} from './mutants.ts'
import {
  processPlans,
  reactorPlans,
  refusedPlans,
  shiftingPlans,
  strictPlans,
  synchronousPlans,
  type ReactorPlan,
} from './plan.ts'

export const REACTOR_TRIALS: Trials<ReactorPlan> = new Trials({
  plans: reactorPlans,
  run: runCluster,
  mutants: REACTOR_MUTANTS,
  test: 'test/simulation/reactors/reactors.test.ts',
})

/** The same, whose nodes run a synchronous reactor as well. */
export const SYNCHRONOUS_TRIALS: Trials<ReactorPlan> = new Trials({
  plans: synchronousPlans,
  run: runCluster,
  mutants: SYNCHRONOUS_MUTANTS,
  test: 'test/simulation/reactors/synchronous.test.ts',
})

/** The same, whose nodes run a reactor as well that replaces and cancels its timers. */
export const SHIFTING_TRIALS: Trials<ReactorPlan> = new Trials({
  plans: shiftingPlans,
  run: runCluster,
  mutants: SHIFTING_MUTANTS,
  test: 'test/simulation/reactors/shifted.test.ts',
})

/** The same, whose nodes run a process as well. */
export const PROCESS_TRIALS: Trials<ReactorPlan> = new Trials({
  plans: processPlans,
  plansFor: (mutant) => {
    if (mutant === UNLOOKED) return strictPlans
    return mutant === LATE_SENDERS ? refusedPlans : undefined
  },
  run: runCluster,
  mutants: PROCESS_MUTANTS,
  test: 'test/simulation/reactors/processes.test.ts',
})
