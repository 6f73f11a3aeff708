/** Runs a cluster's plan: clients and faults for a while, then peace, a look at who owns what, an orderly end, the log. */
import { reasonOf } from '../../../src/aggregate/error.ts'
import { defineCluster, type Aggregate, type ClusterConfig } from '../../../src/index.ts'
import { SimulatedCluster } from '../../../src/testing/simulated-cluster.ts'
import type { NodeParts } from '../../../src/testing/simulated-node.ts'
import type { SimulatedThread } from '../../../src/testing/simulated-thread.ts'
import { check, checkShards } from '../../checker/check.ts'
import { createAccount, createOlderAccount, type Account } from '../bank.ts'
import { brokenCauses } from '../causes.ts'
import { Clients } from '../clients.ts'
import { createTill, type Till } from '../inboxes/till.ts'
import { areClocksSet, Tally } from '../reactors/party.ts'
import { Gate, guestOf, strictGate } from '../reactors/admitted.ts'
import { auditOf, Ledger } from '../reactors/audited.ts'
import { Shifted } from '../reactors/shifted.ts'
import { Stamp } from '../reactors/stamped.ts'
import { Timed } from '../reactors/timed.ts'
import { brokenRules, findDamage, readLog } from '../ground-truth.ts'
import { entryOf, type Attempt } from '../history.ts'
import type { Result, RunOptions } from '../run.ts'
import { brokenGentleness } from './gentle.ts'
import { brokenOrder } from './order.ts'
import { partiesOf, type Party } from './parties.ts'
import { Readers } from './readers.ts'
import { STRIKES_END_MS, timed, type ClusterPlan } from './plan.ts'

/** Faults have struck, and ended, by then. */
const PEACE_MS = STRIKES_END_MS + 500
/** Without faults everything is answered within this time, and owned as it should be. */
const ANSWER_MS = 120_000
const CALM_MS = 200_000
const END_MS = 30_000
/** Nodes that could not reach each other have called again. */
const REDIAL_MS = 2_500
const PROBE_MS = 500
const READ_MS = 20_000

export async function runCluster(plan: ClusterPlan, { wrapStorage }: RunOptions = {}): Promise<Result> {
  const declined = new Set<number>()
  const account = createAccount(plan.snapshotEvery, (by) => declined.add(by))
  const declinedPayments = new Set<number>()
  const till = createTill((n) => declinedPayments.add(n))
  const config = configOf(plan, account, till)
  const { seed, joinsAtMs } = plan
  const older = plan.older && {
    ...plan.older,
    config: { ...config, aggregates: [createOlderAccount(plan.snapshotEvery)] },
  }
  let parties: readonly Party[] = []
  const parts = (place: string, main: SimulatedThread): NodeParts =>
    Object.assign({}, ...parties.map((party) => party.parts(place, main))) as NodeParts
  const cluster = new SimulatedCluster({ seed, config, joinsAtMs, older, parts, ...(wrapStorage && { wrapStorage }) })
  parties = partiesOf(plan, { cluster, account, config, till, declinedPayments })
  const { kernel } = cluster
  cluster.schedule(plan.faults)
  const { namesCommands, impatienceMs, clings } = plan
  const onTold = (attempt: Attempt): void => {
    for (const party of parties) party.told?.(attempt)
  }
  const impatience = impatienceMs !== undefined && { impatienceMs }
  const errands = { operations: timed(plan), namesCommands, ...impatience, clings, onTold }
  const clients = new Clients(cluster, account, errands)
  clients.start()
  const readers = new Readers(cluster, plan.readers ?? 0)
  readers.start()
  await kernel.run({ untilMs: PEACE_MS })
  cluster.heal()
  for (const party of parties) party.heal()
  const why = (): string => [...cluster.failures.map(String), ...cluster.warnings].slice(-3).join('; ')
  const problems: string[] = []
  if (!(await kernel.run({ untilMs: PEACE_MS + ANSWER_MS, isDone: () => clients.open === 0 }))) {
    problems.push(`${clients.open} clients are never answered: ${clients.last()} (${why()})`)
  } else {
    problems.push(...(await unrest(cluster, config, why)))
    await kernel.run({ untilMs: kernel.now + REDIAL_MS })
    if (problems.length === 0) problems.push(...(await silence(cluster, clients, plan)))
    if (problems.length === 0) problems.push(...(await unheard(cluster, readers)))
    for (const party of parties) if (problems.length === 0) problems.push(...(await party.unfinished()))
    if (problems.length === 0) problems.push(...(await leftBehind(cluster, why)))
  }
  cluster.killAll()
  cluster.disk.losePower(cluster.random)
  const { attempts } = clients
  const result = {
    trace: kernel.trace,
    attempts: attempts.length,
    acknowledged: attempts.filter(({ outcome }) => outcome.kind === 'accepted').length,
    simulatedMs: kernel.now,
  }
  if (problems.length > 0) return { ...result, violations: problems }
  const damage = await findDamage(cluster, config)
  const found = await readLog(cluster, config, plan.operations, (streams) =>
    parties.flatMap((party) => party.streams(plan.shards, streams)),
  )
  if (found instanceof Error) return { ...result, violations: [`the log cannot be read: ${found.message}`] }
  const { log, others } = found
  const history = attempts.map(entryOf).filter((entry) => entry !== undefined)
  const broken = [...check(history, log), ...checkShards(new Map([...log, ...others]))].map(
    ({ kind, stream, message }) => `${kind} on ${stream}: ${message}`,
  )
  const rules = brokenRules(cluster.warnings)
  const order = brokenOrder(attempts, log, declined)
  const causes = [...brokenCauses(attempts), ...order, ...readers.broken(log)]
  for (const party of parties) causes.push(...(await party.broken(found)))
  return { ...result, violations: [...damage, ...broken, ...causes, ...brokenGentleness(plan, attempts), ...rules] }
}

/** That in the end all places have a node, each shard has one owner, and each node reaches every one. */
async function unrest(cluster: SimulatedCluster, { shards }: ClusterConfig, why: () => string): Promise<string[]> {
  const { kernel } = cluster
  let told = 'nothing'
  const isCalm = async (): Promise<boolean> => {
    const view = await cluster.look()
    const leases = view?.leases.filter(({ epoch }) => epoch > 0).length ?? 0
    told = `${cluster.nodes.length} nodes, ${view?.members.length ?? 0} members, ${leases} leases of ${shards}`
    return leases === shards && view?.members.length === cluster.nodes.length && cluster.nodes.length === cluster.places
  }
  let isDone = false
  const wait = async (): Promise<void> => {
    while (!(await isCalm())) await kernel.sleep(500)
    isDone = true
  }
  void wait()
  if (await kernel.run({ untilMs: kernel.now + CALM_MS, isDone: () => isDone })) return []
  return [`it does not come to rest: ${told} (${why()})`]
}

/** That once all is well each node answers for each aggregate, soon and at the first try. */
async function silence({ kernel, nodes }: SimulatedCluster, clients: Clients, plan: ClusterPlan): Promise<string[]> {
  const accounts = new Set(plan.operations.map(({ account }) => account))
  const open = new Set<string>()
  const failed: string[] = []
  for (const [i, node] of nodes.entries()) {
    for (const account of accounts) {
      const name = `account/${account} at node ${i}`
      open.add(name)
      void clients.probe(node, account).then((outcome) => {
        open.delete(name)
        if (outcome.kind !== 'read') failed.push(`${name}: ${JSON.stringify(outcome)}`)
      })
    }
  }
  await kernel.run({ untilMs: kernel.now + PROBE_MS, isDone: () => open.size === 0 })
  return [...failed, ...open].map((name) => `in peace nobody answers for ${name}`)
}

/** That whoever reads everything comes to the end of it. */
async function unheard({ kernel }: SimulatedCluster, readers: Readers): Promise<string[]> {
  let events = Number.POSITIVE_INFINITY
  let failure: string | undefined
  readers.count().then(
    (count) => (events = count),
    (error: unknown) => (failure = reasonOf(error)),
  )
  const isDone = (): boolean => failure !== undefined || readers.haveHeard(events)
  const hasEnded = await kernel.run({ untilMs: kernel.now + READ_MS, isDone })
  if (failure !== undefined) return [`in peace not everything can be read: ${failure}`]
  return hasEnded ? [] : [`of ${events} events readers have heard ${readers.counts}`]
}

/** What is there when all nodes have ended in good order. */
async function leftBehind(cluster: SimulatedCluster, why: () => string): Promise<string[]> {
  const { kernel } = cluster
  let isDone = false
  let left: string[] = []
  const end = async (): Promise<void> => {
    await cluster.drainAll()
    const view = await cluster.look()
    left = [...(view?.members ?? []).map(({ id }) => id), ...(view?.leases ?? []).map(({ shard }) => `shard ${shard}`)]
    isDone = true
  }
  void end()
  if (!(await kernel.run({ untilMs: kernel.now + END_MS, isDone: () => isDone }))) return [`it does not end (${why()})`]
  return left.length === 0 ? [] : [`nodes that have ended left behind: ${left.join(', ')}`]
}

function configOf(plan: ClusterPlan, account: Account, till: Till): ClusterConfig {
  const config = defineCluster({
    name: 'simulated',
    aggregates: [
      account,
      ...(plan.reacting === undefined ? [] : [Tally, Timed, Ledger]),
      ...(plan.isStamped === true ? [Stamp] : []),
      ...(plan.isShifting === true ? [Shifted] : []),
      ...(plan.gatesTurnMs === undefined ? [] : [gateOf(plan)]),
      ...(plan.taking === undefined ? [] : [till]),
    ],
    processes: [
      ...(plan.isAudited === true ? [auditOf(account, areClocksSet(plan))] : []),
      ...(plan.gatesTurnMs === undefined ? [] : [guestOf(account, plan.gateRefusesEvery !== undefined)]),
    ],
    dataDir: 'none',
    workers: plan.workers,
    shards: plan.shards,
    // What a router sends again must be found behind any number of others; what clients repeat, within the window.
    limits: {
      activeActorsMax: plan.activeActorsMax,
      dedupeWindow: plan.namesCommands || plan.impatienceMs !== undefined ? 1_000 : 1,
    },
    timeouts: { askMs: 2_000, stopMs: 1_000 },
  })
  // Far smaller than a user may choose, so that a short life has many.
  return { ...config, segmentBytes: plan.segmentBytes }
}

function gateOf({ gateRefusesEvery: every }: ClusterPlan): Aggregate {
  return every === undefined ? Gate : strictGate(every)
}
