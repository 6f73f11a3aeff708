/** Runs a plan: clients and faults for a while, then peace until everyone has an answer, then the look into the log. */
import { defineCluster, type ClusterConfig } from '../../src/index.ts'
import { Simulation, type SimulationOptions } from '../../src/testing/simulation.ts'
import { check, checkShards } from '../checker/check.ts'
import { createAccount, type Account } from './bank.ts'
import { brokenCauses } from './causes.ts'
import { Clients } from './clients.ts'
import { brokenRules, findDamage, readLog } from './ground-truth.ts'
import { entryOf } from './history.ts'
import type { Plan } from './plan.ts'

export interface Result {
  readonly violations: readonly string[]
  /** A hash of all that happened. */
  readonly trace: number
  readonly attempts: number
  readonly acknowledged: number
  readonly simulatedMs: number
}

export type RunOptions = Pick<SimulationOptions, 'wrapStorage'>

const SHARDS = 4
/** Faults have struck by then. */
const PEACE_MS = 10_000
/** Without faults everything is answered within this time. */
const ANSWER_MS = 120_000

export async function run(plan: Plan, { wrapStorage }: RunOptions = {}): Promise<Result> {
  const account = createAccount(plan.snapshotEvery)
  const config = configOf(plan, account)
  const { seed, places } = plan
  const simulation = new Simulation({ seed, config, places, ...(wrapStorage && { wrapStorage }) })
  simulation.schedule(plan.faults)
  const clients = new Clients(simulation, account, plan)
  clients.start()
  await simulation.kernel.run({ untilMs: PEACE_MS })
  simulation.heal()
  const isAnswered = await simulation.kernel.run({
    untilMs: PEACE_MS + ANSWER_MS,
    isDone: () => clients.open === 0,
  })
  simulation.killAll()
  simulation.disk.losePower(simulation.random)
  const { attempts } = clients
  const result = {
    trace: simulation.kernel.trace,
    attempts: attempts.length,
    acknowledged: attempts.filter(({ outcome }) => outcome.kind === 'accepted').length,
    simulatedMs: simulation.kernel.now,
  }
  if (!isAnswered) {
    const why = [...simulation.failures.map(String), ...simulation.warnings].slice(-3).join('; ')
    return { ...result, violations: [`${clients.open} clients are never answered: ${clients.last()} (${why})`] }
  }
  const damage = await findDamage(simulation, config)
  const found = await readLog(simulation, config, plan.operations)
  if (found instanceof Error) return { ...result, violations: [`the log cannot be read: ${found.message}`] }
  const { log } = found
  const history = attempts.map(entryOf).filter((entry) => entry !== undefined)
  const broken = [...check(history, log), ...checkShards(log)].map(
    ({ kind, stream, message }) => `${kind} on ${stream}: ${message}`,
  )
  const rules = brokenRules(simulation.warnings)
  return { ...result, violations: [...damage, ...broken, ...brokenCauses(attempts), ...rules] }
}

type Setting = Pick<Plan, 'workers' | 'activeActorsMax' | 'namesCommands' | 'segmentBytes'>

export function configOf(plan: Setting, account: Account): ClusterConfig {
  const config = defineCluster({
    name: 'simulated',
    aggregates: [account],
    dataDir: 'none',
    workers: plan.workers,
    shards: SHARDS,
    // What a router sends again must be found behind any number of others; what clients repeat, within the window.
    limits: { activeActorsMax: plan.activeActorsMax, dedupeWindow: plan.namesCommands ? 1_000 : 1 },
    timeouts: { askMs: 2_000, stopMs: 1_000 },
  })
  // Far smaller than a user may choose, so that a short life has many.
  return { ...config, segmentBytes: plan.segmentBytes }
}
