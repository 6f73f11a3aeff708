/** The cluster that is tormented: a Redis, and nodes in processes of their own over one data directory. */
import fs from 'node:fs'
import { join } from 'node:path'
import { CLUSTER_PATH } from '../../src/log/path.ts'
import { StreamPlacement } from '../../src/log/stream.ts'
import { startRedis, type RedisProcess } from '../redis-server.ts'
import type { Chaos } from './chaos.ts'
import { Impact, Watch } from './impact.ts'
import type { NodeProcess } from './node.ts'

export const NODES = 3
const SHARDS = 16
const OVERRIDES = { shards: SHARDS, workers: 2, timeouts: { askMs: 20_000 } }

export class Cluster {
  readonly dataDir: string
  readonly redis: RedisProcess
  readonly #chaos: Chaos
  #nodes: NodeProcess[] = []
  #started = 0

  private constructor(chaos: Chaos, redis: RedisProcess) {
    this.#chaos = chaos
    this.redis = redis
    this.dataDir = join(chaos.folder, 'data')
    chaos.bank.impatience = 0
    // One account a shard: what becomes of a shard shows in its account.
    chaos.bank.accountsOf = (round) => onePerShard(this.dataDir, round)
  }

  static async start(chaos: Chaos): Promise<Cluster> {
    const cluster = new Cluster(chaos, await startRedis())
    await cluster.restore()
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

  /** Starts those that are missing, and closes those too many. */
  async restore(): Promise<void> {
    const surplus = this.#nodes.slice(NODES)
    for (const node of surplus) this.take(node)
    await Promise.all(surplus.map((node) => node.close()))
    await Promise.all(Array.from({ length: NODES - this.#nodes.length }, () => this.startNode()))
  }

  /** Starts a node, again and again while it finds no Redis. Resolves when it serves; callers ask it from then on. */
  async startNode(): Promise<void> {
    for (;;) {
      const node = this.#chaos.boot()
      this.#started += 1
      node.expectEnd()
      node.open({ ...OVERRIDES, dataDir: this.dataDir, redis: this.redis.url, nodeName: `node-${this.#started}` })
      const ms = await node.opened
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

  /** Callers do without this node; it is none of those that serve any more. */
  take(node: NodeProcess): void {
    this.#nodes = this.#nodes.filter((each) => each !== node)
    this.#chaos.bank.leave(node)
  }

  /**
   * Does something to the cluster and looks how callers fare, until every shard has accepted a command that was sent
   * after it, and again one that was sent when all was done.
   */
  async suffer({ kind, isHarmless, run }: Torment): Promise<void> {
    const { bank, figures } = this.#chaos
    const watch = new Watch()
    bank.observe = (observation) => watch.observe(observation)
    bank.fault(kind)
    const [servedAt] = await Promise.all([this.#served(), run()])
    await this.#served()
    bank.observe = () => undefined
    const impact = figures.impacts.get(kind) ?? new Impact()
    figures.impacts.set(kind, impact)
    watch.end(impact, servedAt)
    if (isHarmless && watch.failures.length > 0) {
      this.#chaos.violated(`callers were told of '${kind}': ${watch.failures.join(', ')}`)
    }
  }

  async stop(): Promise<void> {
    await this.redis.stop()
  }

  /** When the last of the shards has accepted a command that was sent after now. */
  async #served(): Promise<number> {
    const { bank } = this.#chaos
    const served = Promise.all(bank.accounts.map((account) => bank.probe(account)))
    const late = this.#chaos.late(SERVED_MS_MAX)
    const times = await Promise.race([served, late])
    if (times !== 'late') return Math.max(...times.map((time) => time ?? 0))
    this.#chaos.violated(`some shard was not served for ${SERVED_MS_MAX} ms`)
    return performance.now()
  }

  #join(node: NodeProcess): void {
    this.#nodes.push(node)
    this.#chaos.bank.serve(node)
    void node.ended.then(() => this.take(node))
  }
}

/** Something that is done to the cluster, and undone. */
export interface Torment {
  readonly kind: string
  /** No caller whose process goes on may be told of it. */
  readonly isHarmless: boolean
  readonly run: () => Promise<unknown>
}

const SERVED_MS_MAX = 60_000

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
