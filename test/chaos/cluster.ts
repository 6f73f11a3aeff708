/** The cluster that is tormented: its servers, and nodes in processes and networks of their own over one data directory. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Overrides } from '../../src/index.ts'
import { CLUSTER_PATH } from '../../src/log/path.ts'
import { StreamPlacement } from '../../src/log/stream.ts'
import { hasPostgres, startPostgres, type PostgresProcess } from '../postgres-server.ts'
import { startRedis, type RedisProcess } from '../redis-server.ts'
import type { Chaos } from './chaos.ts'
import { Impact, Watch } from './impact.ts'
import { Lan, type Place } from './lan.ts'
import type { Status } from './message.ts'
import type { NodeProcess } from './node.ts'
import { POSTGRES_VARIABLE } from './projections.ts'
import { BROKER_VARIABLE } from './reactions/consequences.ts'
import { isPair, type Torment } from './torment.ts'

export const NODES = 3
/** By `bank.config.ts`. */
export const CLUSTER_NAME = 'chaos'
const SHARDS = 16
const OVERRIDES = { shards: SHARDS, workers: 2, timeouts: { askMs: 20_000 } }
/** A place for each server, and for more nodes than are ever there at once. */
const PLACES = 3 + NODES + 3
/** Whoever reacts has many small records, each an actor. */
const REACTING = { limits: { activeActorsMax: 64 } }
const NETWORK = { port: 7400, secrets: ['chaos: nobody else is in this network'] }
/** Where something is to fail, some callers give up, and ask the next node with the same id. */
const IMPATIENCE = { share: 0.25, msMin: 500, msMax: 2_500 }
const SERVED_MS_MAX = 60_000
const OPEN_MS_MAX = 120_000
/** Twice `timeouts.stopMs`, and more. */
const CLOSE_MS_MAX = 90_000
/** More than a third of a lease. */
const REST_MS = 1_200
/** Half a lease: where everything on the machine stands still for longer, leases may run out of what nothing was done to. */
const STALL_MS_MAX = 1_500

type Servers = Pick<Cluster, 'redis' | 'postgres' | 'broker' | 'lan'>

export class Cluster {
  readonly dataDir: string
  readonly redis: RedisProcess
  readonly redisPlace: Place | undefined
  /** Where the nodes' projections have their read models; undefined where the machine has none to start. */
  readonly postgres: PostgresProcess | undefined
  readonly postgresPlace: Place | undefined
  /** A Redis that takes the nodes' messages, and gives them some; undefined where they react to nothing. */
  readonly broker: RedisProcess | undefined
  readonly brokerPlace: Place | undefined
  /** Undefined where the machine has none to give: then all are on loopback. */
  readonly lan: Lan | undefined
  readonly #chaos: Chaos
  readonly #places: Map<NodeProcess, Place> = new Map()
  #free: Place[]
  #nodes: NodeProcess[] = []
  #started = 0

  private constructor(chaos: Chaos, { redis, postgres, broker, lan }: Servers) {
    this.#chaos = chaos
    this.redis = redis
    this.postgres = postgres
    this.broker = broker
    this.lan = lan
    this.redisPlace = lan?.places[0]
    this.postgresPlace = lan?.places[1]
    this.brokerPlace = lan?.places[2]
    this.#free = lan?.places.slice(3) ?? []
    this.dataDir = join(chaos.folder, 'data')
    // Who gives up soon is under way when the first fault strikes, and would be laid to it.
    chaos.bank.impatience = { ...IMPATIENCE, share: 0 }
    // One account a shard: what becomes of a shard shows in its account.
    chaos.bank.accountsOf = (round) => onePerShard(this.dataDir, round)
  }

  static async start(chaos: Chaos, { hasLan }: { readonly hasLan: boolean }): Promise<Cluster> {
    const lan = hasLan ? new Lan(PLACES, chaos.cleanup) : undefined
    const startOne = (place: number) => startRedis([], 'server', { parent: chaos.folder, network: lan?.places[place] })
    const redis = await startOne(0)
    const broker = chaos.reacts ? await startOne(2) : undefined
    // It does not run as root, and must come to its folder.
    fs.chmodSync(chaos.folder, 0o711)
    const hasProjections = hasPostgres && chaos.projects
    const network = lan?.places[1]
    const postgres = hasProjections ? await startPostgres({ parent: chaos.folder, network }) : undefined
    const cluster = new Cluster(chaos, { redis, postgres, broker, lan })
    await cluster.restore()
    chaos.follow()
    if (postgres !== undefined) chaos.project(postgres)
    if (broker !== undefined) chaos.react(broker)
    void chaos.bank.begin()
    return cluster
  }

  get all(): readonly NodeProcess[] {
    return this.#nodes
  }

  /** One of those that serve. */
  anyNode(): NodeProcess {
    return this.#nodes[this.#chaos.random.below(this.#nodes.length)]!
  }

  placeOf(node: NodeProcess): Place | undefined {
    return this.#places.get(node)
  }

  /** Starts those that are missing, and closes those too many. */
  async restore(): Promise<void> {
    await Promise.all(this.#nodes.slice(NODES).map((node) => this.closeNode(node)))
    await Promise.all(Array.from({ length: NODES - this.#nodes.length }, () => this.startNode()))
  }

  /** Waits until each node knows of each, every shard is leased and all of it has stayed so for more than a heartbeat. */
  async rest(): Promise<void> {
    let since = Number.POSITIVE_INFINITY
    const isAtRest = async (): Promise<boolean> => {
      const telling = Promise.all(this.#nodes.map((node) => node.status()))
      const told = await Promise.race([telling, this.#chaos.late(SERVED_MS_MAX)])
      const isSo = told !== 'late' && told.every((status) => isWhole(status, this.#nodes.length))
      const now = performance.now()
      since = isSo ? Math.min(since, now) : Number.POSITIVE_INFINITY
      return now - since > REST_MS
    }
    if (await this.#chaos.until(isAtRest, SERVED_MS_MAX)) return
    this.#chaos.violated(`the nodes did not agree on who is there, and who has what, within ${SERVED_MS_MAX} ms`)
  }

  /** Starts a node, again and again while it finds no Redis. Resolves when it serves; callers ask it from then on. */
  async startNode(): Promise<void> {
    for (;;) {
      const node = this.#boot()
      const ms = await Promise.race([node.opened, this.#chaos.late(OPEN_MS_MAX)])
      if (ms === 'late') {
        this.#chaos.violated(`a node did not serve within ${OPEN_MS_MAX} ms`)
        await node.kill()
        return
      }
      if (ms !== undefined) {
        node.expectNoEnd()
        this.#chaos.figures.openMs.push(ms)
        this.#join(node)
        return
      }
      const { code, signal, stderr } = await node.ended
      if (node.refusal?.startsWith('LeasesUnavailable') === true) continue
      this.#chaos.violated(`a node could not start (${signal ?? code}): ${node.refusal ?? stderr.trim()}`)
      return
    }
  }

  /** Callers do without this node, and it is told to end in good order. */
  async closeNode(node: NodeProcess): Promise<void> {
    this.#take(node)
    const ended = await Promise.race([node.terminate(), this.#chaos.late(CLOSE_MS_MAX)])
    if (ended !== 'late') return
    this.#chaos.violated(`a node did not end within ${CLOSE_MS_MAX} ms of SIGTERM`)
    await node.kill()
  }

  /**
   * Does something to the cluster and looks how callers fare: until every shard has accepted a command that was sent
   * after it; and when all is undone, until every node has had one accepted by every shard, and nobody waits any more.
   */
  async suffer(torment: Torment): Promise<void> {
    const { kind, isHarmless, run } = torment
    const { bank, figures } = this.#chaos
    const watch = new Watch()
    const stall = monitorEventLoopDelay()
    stall.enable()
    bank.observe = (observation) => watch.observe(observation)
    bank.impatience = { ...IMPATIENCE, share: isHarmless ? 0 : IMPATIENCE.share }
    bank.fault(kind)
    const watched = this.#chaos.reactions?.watch()
    const running = run((...nodes) => {
      for (const node of nodes) watch.apart.add(node)
    })
    const [servedAt, undoneAt] = await Promise.all([
      this.#served([(node) => !watch.apart.has(node) || watch.apart.size >= this.#nodes.length]),
      running.then(() => performance.now()),
    ])
    bank.impatience = { ...IMPATIENCE, share: 0 }
    const wellAt = await this.#served(this.#nodes.map((each) => (node) => node === each))
    bank.observe = () => undefined
    stall.disable()
    const name = isPair(torment) ? 'two at once' : kind
    const impact = figures.impacts.get(name) ?? new Impact()
    figures.impacts.set(name, impact)
    watch.end(impact, { servedAt, undoneAt, wellAt })
    watched?.(impact)
    if (!isHarmless || watch.failures.length === 0) return
    const told = `callers were told of '${kind}': ${watch.failures.join(', ')}`
    const stallMs = Math.round(stall.max / 1e6)
    if (stallMs <= STALL_MS_MAX) this.#chaos.violated(told)
    else figures.leftOut.push(`${told}, but the machine stood still for ${stallMs} ms`)
  }

  async stop(): Promise<void> {
    await this.redis.stop()
    await this.postgres?.stop()
    await this.broker?.stop()
  }

  /**
   * When the last of the shards has accepted a command that was sent after now, through one of the nodes that each of
   * these lets it ask, and all that was under way was answered.
   */
  async #served(through: readonly ((node: NodeProcess) => boolean)[]): Promise<number> {
    const { bank } = this.#chaos
    const probes = through.flatMap((mayAsk) => bank.accounts.map((account) => bank.probe(account, mayAsk)))
    const isWell = through.length > 1
    const all = Promise.all([Promise.all(probes), isWell ? bank.answered() : undefined])
    const told = await Promise.race([all, this.#chaos.late(SERVED_MS_MAX)])
    if (told !== 'late') return Math.max(...told[0].map((time) => time ?? 0))
    this.#chaos.violated(`some shard was not served for ${SERVED_MS_MAX} ms`)
    return performance.now()
  }

  #boot(): NodeProcess {
    const place = this.#free.shift()
    assert(place !== undefined || this.lan === undefined, 'there is a place for each node')
    const environment = {
      ...(this.postgres && { [POSTGRES_VARIABLE]: this.postgres.url }),
      ...(this.broker && { [BROKER_VARIABLE]: this.broker.url }),
    }
    const node = this.#chaos.boot({ environment, ...(place && { prefix: place.prefix }) })
    this.#started += 1
    if (place !== undefined) {
      this.#places.set(node, place)
      void node.ended.then(() => this.#free.push(place))
    }
    node.expectEnd()
    node.open({
      ...OVERRIDES,
      ...(this.broker && REACTING),
      ...networkOf(place),
      dataDir: this.dataDir,
      redis: this.redis.url,
      nodeName: `node-${this.#started}`,
    })
    return node
  }

  #join(node: NodeProcess): void {
    this.#nodes.push(node)
    this.#chaos.bank.serve(node)
    void node.ended.then(() => this.#take(node))
  }

  #take(node: NodeProcess): void {
    this.#nodes = this.#nodes.filter((each) => each !== node)
    this.#chaos.bank.leave(node)
  }
}

/** Whether a node has heard of so many members and of an owner for every shard. */
function isWhole(status: Status | undefined, members: number): boolean {
  return status?.members === members && status.leases === SHARDS && !status.isSettling
}

function networkOf(place: Place | undefined): Overrides {
  if (place === undefined) return {}
  const { port, secrets } = NETWORK
  return { network: { listen: `${place.address}:${port}`, secrets } }
}

function onePerShard(dataDir: string, round: number): readonly string[] {
  const identity = JSON.parse(fs.readFileSync(join(dataDir, CLUSTER_PATH), 'utf8')) as { readonly clusterId: string }
  const placement = new StreamPlacement(identity.clusterId, SHARDS)
  const accounts = new Map<number, string>()
  for (let i = 0; accounts.size < SHARDS; i += 1) {
    const account = `round-${round}-${i}`
    const shard = placement.shardOf(`account/${account}`)
    if (!accounts.has(shard)) accounts.set(shard, account)
  }
  return [...accounts.values()]
}
