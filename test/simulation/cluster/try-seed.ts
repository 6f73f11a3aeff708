/** From a seed to a cluster's plan, its run, and, where a promise was broken, to the shortest story that breaks it. */
import fc from 'fast-check'
import type { Result, RunOptions } from '../run.ts'
import { clusterPlans, type ClusterPlan } from './plan.ts'
import { runCluster } from './run.ts'

export interface ClusterStory extends Result {
  readonly seed: number
  readonly plan: ClusterPlan
}

export async function tryClusterPlan(plan: ClusterPlan, options: RunOptions = {}): Promise<Result> {
  try {
    return await runCluster(plan, options)
  } catch (error) {
    const problem = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { violations: [`it threw: ${problem}`], trace: 0, attempts: 0, acknowledged: 0, simulatedMs: 0 }
  }
}

export async function tryClusterSeed(seed: number, options: RunOptions = {}): Promise<ClusterStory> {
  const [plan] = fc.sample(clusterPlans, { seed, numRuns: 1 })
  return { seed, plan: plan!, ...(await tryClusterPlan(plan!, options)) }
}
