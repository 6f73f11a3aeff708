/** Runs a plan: clients and faults for a while, then peace until everyone has an answer, then the look into the log. */
import { DEFAULT_ACTOR_LIMITS } from '../../src/actor/limits.ts'
import { Worker } from '../../src/actor/worker.ts'
import { defineCluster, deriveId, PenholdError, Rejected, type ClusterConfig } from '../../src/index.ts'
import { encodeIdentity } from '../../src/log/cluster-identity.ts'
import { Log } from '../../src/log/log.ts'
import { CLUSTER_PATH } from '../../src/log/path.ts'
import { RecordKind } from '../../src/log/record.ts'
import { verify } from '../../src/log/verify/verify.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import type { SimulatedNode } from '../../src/testing/simulated-node.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { Simulation, type SimulationOptions } from '../../src/testing/simulation.ts'
import { check, checkShards } from '../checker/check.ts'
import type { LoggedEvent } from '../checker/history.ts'
import { after, createAccount, digestOf, NOTHING, type Account, type View } from './bank.ts'
import { brokenCauses } from './causes.ts'
import { entryOf, type Attempt, type Outcome } from './history.ts'
import type { Operation, Plan } from './plan.ts'

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
const PATIENCE_MS = 4_000
const BACK_OFF_MS = 80

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
  const log = await readLog(simulation, config, plan)
  if (log instanceof Error) return { ...result, violations: [`the log cannot be read: ${log.message}`] }
  const history = attempts.map(entryOf).filter((entry) => entry !== undefined)
  const broken = [...check(history, log), ...checkShards(log)].map(
    ({ kind, stream, message }) => `${kind} on ${stream}: ${message}`,
  )
  return { ...result, violations: [...damage, ...broken, ...brokenCauses(attempts)] }
}

/** What `penhold verify` takes for damage, though nothing was damaged. Indexes are not synced, and made again. */
async function findDamage({ disk }: Simulation, { name, shards }: ClusterConfig): Promise<string[]> {
  const storage = new SimulatedStorage(disk)
  await storage.replaceDurably(CLUSTER_PATH, encodeIdentity({ format: 1, clusterId: 'simulated', name, shards }))
  const { findings } = await verify({ storage, clock: new SimulatedClock() })
  const damage = findings.kept.filter(({ severity, file }) => severity === 'damage' && !file.endsWith('.idx'))
  return damage.map(({ file, offset, problem }) => `verify finds damage in ${file} at byte ${offset}: ${problem}`)
}

function configOf(plan: Plan, account: Account): ClusterConfig {
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

function eventsOf({ name }: Operation): number {
  if (name === 'transferIn') return 2
  return name === 'deposit' || name === 'withdraw' ? 1 : 0
}

function isRead({ name }: Operation): boolean {
  return name === 'view' || name === 'past'
}

/** People who ask until they are answered, each one thing after the other, at whatever node they find. */
class Clients {
  readonly attempts: Attempt[] = []
  open = 0
  readonly #simulation: Simulation
  readonly #account: Account
  readonly #plan: Plan
  readonly #random: SeededRandom

  constructor(simulation: Simulation, account: Account, plan: Plan) {
    this.#simulation = simulation
    this.#account = account
    this.#plan = plan
    this.#random = new SeededRandom(simulation.random.next())
  }

  start(): void {
    const clients = new Map<number, number[]>()
    for (const [i, { client }] of this.#plan.operations.entries()) {
      clients.set(client, [...(clients.get(client) ?? []), i])
    }
    this.open = clients.size
    for (const operations of clients.values()) void this.#live(operations)
  }

  last(): string {
    const { outcome, stream } = this.attempts.at(-1) ?? {}
    return `${stream}: ${JSON.stringify(outcome)}`
  }

  async #live(operations: readonly number[]): Promise<void> {
    const { kernel } = this.#simulation
    for (const operation of operations) {
      await kernel.sleep(this.#plan.operations[operation]!.thinkMs)
      while (!(await this.#attempt(operation))) await kernel.sleep(this.#random.below(BACK_OFF_MS))
    }
    this.open -= 1
  }

  /** One attempt; resolves to whether it was answered. */
  async #attempt(operation: number): Promise<boolean> {
    const node = this.#simulation.pick(this.#random)
    if (node === undefined) return false
    const { kernel } = this.#simulation
    const { namesCommands, operations } = this.#plan
    const attempt: Attempt = {
      by: namesCommands ? operation : operations.length + this.attempts.length,
      stream: `account/${operations[operation]!.account}`,
      isRead: isRead(operations[operation]!),
      events: eventsOf(operations[operation]!),
      via: node,
      invokedAt: kernel.now,
      returnedAt: Number.POSITIVE_INFINITY,
      outcome: { kind: 'unknown', code: 'open' },
    }
    this.attempts.push(attempt)
    const outcome = await this.#outcome(node, operations[operation]!, attempt.by)
    kernel.note(`${operation} ${outcome.kind}`)
    attempt.outcome = outcome
    attempt.returnedAt = kernel.now
    return outcome.kind !== 'none' && (outcome.kind !== 'unknown' || (!namesCommands && !attempt.isRead))
  }

  /** The node's answer; `unknown` where it dies or says nothing for too long. */
  #outcome(node: SimulatedNode, operation: Operation, by: number): Promise<Outcome> {
    return new Promise((resolve) => {
      node.onDead(() => resolve({ kind: 'unknown', code: 'died' }))
      this.#simulation.kernel.after(PATIENCE_MS, () => resolve({ kind: 'unknown', code: 'silent' }))
      node.main.run(() => void this.#ask(node, operation, by).then(resolve))
    })
  }

  async #ask(node: SimulatedNode, { account, name, amount }: Operation, by: number): Promise<Outcome> {
    const ref = node.running.ref(this.#account, String(account))
    const options = this.#plan.namesCommands ? { commandId: deriveId('command', by) } : {}
    try {
      if (name === 'view') return { kind: 'read', seen: await ref.query('view') }
      if (name === 'past') return { kind: 'read', seen: await ref.state() }
      const { version, position } =
        name === 'look' ? await ref.ask('look', undefined, options) : await ref.ask(name, { amount, by }, options)
      return { kind: 'accepted', version, position }
    } catch (error) {
      if (error instanceof Rejected) return { kind: 'rejected', seen: error.details as View }
      if (!(error instanceof PenholdError)) throw error
      return { kind: error.outcome, code: error.code }
    }
  }
}

/** The log as a fresh process finds it, with half of its indexes gone: they are derived. */
async function readLog(
  { disk, random }: Simulation,
  { shards, segmentBytes, aggregates }: ClusterConfig,
  plan: Plan,
): Promise<ReadonlyMap<string, readonly LoggedEvent[]> | Error> {
  for (const path of disk.files.keys()) if (path.endsWith('.idx') && random.chance(0.5)) disk.files.delete(path)
  const clock = new SimulatedClock(Date.UTC(2027, 0, 1))
  const own = Array.from({ length: shards }, (_, shard) => shard)
  const storage = new SimulatedStorage(disk)
  const log = await Log.open({ storage, clock, clusterId: 'simulated', shards, own, segmentBytes, node: 'reader' })
  for (const error of log.refusedShards.values()) return error
  const progress = { enter: () => undefined, leave: () => undefined }
  const onBroken = (error: unknown): never => {
    throw error
  }
  const ports = { log, clock, random, progress, onWarning: () => undefined, onLost: () => undefined, onBroken }
  const worker = new Worker({ ...ports, aggregates, limits: DEFAULT_ACTOR_LIMITS })
  const streams = new Map<string, LoggedEvent[]>()
  for (const account of new Set(plan.operations.map((operation) => operation.account))) {
    const stream = `account/${account}`
    const records = await Array.fromAsync(log.back(log.placement.stream(stream)))
    let view = NOTHING
    const events = records
      .toReversed()
      .filter(({ kind }) => kind === RecordKind.event)
      .map(({ shard, seq, version, position, type, data }): LoggedEvent => {
        view = after(view, type, data)
        const commandId = String((data as { readonly by: number }).by)
        return { shard, seq, version, position, commandId, digest: digestOf(view) }
      })
    streams.set(stream, events)
  }
  await worker.close()
  return streams
}
