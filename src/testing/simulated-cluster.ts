/**
 * A simulated cluster: nodes at a few places, over one disk, one lease store and one network, and a schedule of faults.
 * At each place somebody starts a node whenever there is none; what nodes do with each other is their own affair.
 */
import type { Leases, View } from '../cluster/leases.ts'
import type { Network } from '../cluster/network.ts'
import type { Storage } from '../log/storage.ts'
import type { ClusterConfig } from '../node/config.ts'
import { Kernel } from './kernel.ts'
import { SeededRandom } from './random.ts'
import { SimulatedDisk } from './simulated-disk.ts'
import { SimulatedLeases } from './simulated-leases.ts'
import { SimulatedNetwork } from './simulated-network.ts'
import { SimulatedNode, type NodeParts } from './simulated-node.ts'
import { WALL_MS, type MachineClock, type SimulatedThread } from './simulated-thread.ts'
import type { SimulatedFault } from './simulation.ts'

export interface SimulatedClusterOptions {
  readonly seed: number
  readonly config: ClusterConfig
  /** When the first node starts at each place. */
  readonly joinsAtMs: readonly number[]
  /** A place whose nodes have another config until then; the last of these is killed. */
  readonly older?: { readonly place: number; readonly config: ClusterConfig; readonly untilMs: number } | undefined
  /** What a node at a place runs beside its aggregates, made for its main thread. */
  readonly parts?: ((place: string, main: SimulatedThread) => NodeParts) | undefined
  /** Puts something around the storage of every worker. */
  readonly wrapStorage?: (storage: Storage, disk: SimulatedDisk) => Storage
}

/** What goes wrong, and when. Places are taken modulo their number. */
export type ClusterFault =
  | SimulatedFault
  | ({ readonly atMs: number } & (
      | { readonly kind: 'drain-node'; readonly place: number; readonly forMs: number }
      | { readonly kind: 'isolate-node'; readonly place: number; readonly forMs: number }
      | { readonly kind: 'cut-network'; readonly from: number; readonly to: number; readonly forMs: number }
      | {
          readonly kind: 'slow-path'
          readonly from: number
          readonly to: number
          readonly byMs: number
          readonly forMs: number
        }
      /** Workers end, and none starts for a while. */
      | { readonly kind: 'refuse-workers'; readonly place: number; readonly forMs: number }
      | { readonly kind: 'reset-connections'; readonly from: number; readonly to: number }
      | { readonly kind: 'refuse-connections'; readonly place: number; readonly forMs: number }
      | { readonly kind: 'leases-away'; readonly forMs: number }
      | { readonly kind: 'leases-late'; readonly byMs: number; readonly forMs: number }
      | { readonly kind: 'leases-cut-off'; readonly place: number; readonly forMs: number }
    ))

/** What befalls the network and the lease store. */
type FaultBetween = Extract<
  ClusterFault,
  {
    readonly kind:
      'slow-network' | 'slow-path' | 'isolate-node' | 'cut-network' | `${string}-connections` | `leases-${string}`
  }
>

interface Place {
  readonly name: string
  readonly machine: MachineClock
  node: SimulatedNode | undefined
  /** How many nodes have been started here. */
  lives: number
  phase: 'starting' | 'serving' | 'draining'
  isStopped: boolean
  /** How long a fault inside of a call stops it. */
  stopMs: number
  /** No worker starts before. */
  workersFromMs: number
}

const LEASE_MS = 900
const RESTART_MS = 100
const RESTART_MS_MAX = 1_500
const DISK_MS = 1
const SLOW_DISK_MS = 60
const LATENCY_MS = 0.2
const SLOW_LATENCY_MS = 40

export class SimulatedCluster {
  readonly kernel: Kernel
  readonly disk: SimulatedDisk
  readonly random: SeededRandom
  readonly warnings: string[] = []
  /** Nodes that could not start, or ended, with the reason. */
  readonly failures: unknown[] = []
  readonly #options: SimulatedClusterOptions
  readonly #network: SimulatedNetwork
  readonly #leases: SimulatedLeases
  readonly #places: Place[]
  #diskMs = DISK_MS
  #isHealed = false
  /** Nobody starts nodes any more. */
  #isOver = false

  constructor(options: SimulatedClusterOptions) {
    this.#options = options
    this.kernel = new Kernel()
    this.disk = new SimulatedDisk()
    this.random = new SeededRandom(options.seed)
    this.#network = new SimulatedNetwork(this.kernel, new SeededRandom(this.random.next()), LATENCY_MS)
    this.#leases = new SimulatedLeases(this.kernel)
    this.#places = options.joinsAtMs.map((_, i) => ({
      name: `place-${i}`,
      machine: { wallMs: WALL_MS + this.random.below(2000), rate: 0.95 + this.random.below(100) / 1000 },
      node: undefined,
      lives: 0,
      phase: 'starting',
      isStopped: false,
      stopMs: 0,
      workersFromMs: 0,
    }))
    for (const [i, place] of this.#places.entries()) this.#startIn(place, options.joinsAtMs[i]!)
    const { older } = options
    if (older !== undefined) this.#later(older.untilMs, () => this.#kill(this.#place(older.place)))
  }

  /** A node that somebody might talk to, whatever it can do for them; those that cling to theirs also when it stands still. */
  pick(random: SeededRandom, { clings = false }: { readonly clings?: boolean } = {}): SimulatedNode | undefined {
    const nodes = clings ? this.#serving.flatMap(({ node }) => node ?? []) : this.nodes
    return nodes.length === 0 ? undefined : nodes[random.below(nodes.length)]
  }

  /** Those that serve, as far as they know. */
  get nodes(): readonly SimulatedNode[] {
    return this.#serving.flatMap(({ isStopped, node }) => (isStopped ? [] : (node ?? [])))
  }

  get #serving(): readonly Place[] {
    return this.#places.filter(({ phase }) => phase === 'serving')
  }

  get places(): number {
    return this.#places.length
  }

  /** What a process finds that is no node, on a thread of its own. Another one that had its name has to be dead. */
  surroundings(name: string, thread: SimulatedThread): { readonly leases: Leases; readonly network: Network } {
    return { leases: this.#leases.connect(name, thread), network: this.#network.host(name, thread) }
  }

  /** A process that is no node was killed. */
  died(name: string): void {
    this.#network.died(name)
  }

  /** What the lease store knows. */
  look(): Promise<View | undefined> {
    return this.#leases.connect('observer').look()
  }

  schedule(faults: readonly ClusterFault[]): void {
    for (const fault of faults) this.kernel.after(fault.atMs - this.kernel.now, () => this.#strike(fault))
  }

  /** Ends all faults: from here on everything must be answered. */
  heal(): void {
    this.#isHealed = true
    this.disk.room = Number.POSITIVE_INFINITY
    this.#diskMs = DISK_MS
    this.#network.latencyMs = LATENCY_MS
    this.#network.heal()
    for (const place of this.#places) {
      place.workersFromMs = 0
      place.node?.forgetFaults()
      this.#wake(place)
    }
  }

  /** All nodes end in good order, one after the other. Resolves when the last has. */
  async drainAll(): Promise<void> {
    this.#isOver = true
    for (const place of this.#places) await this.#drain(place)
  }

  killAll(): void {
    for (const place of this.#places) this.#kill(place)
  }

  #strike(fault: ClusterFault): void {
    if (this.#isHealed) return
    this.kernel.note(fault.kind)
    switch (fault.kind) {
      case 'kill-node':
        return this.#kill(this.#place(fault.place))
      case 'stop-node':
        return this.#stop(this.#place(fault.place), fault.forMs)
      case 'drain-node': {
        const place = this.#place(fault.place)
        void this.#drain(place).then(() => this.#startIn(place, fault.forMs))
        return
      }
      case 'kill-worker':
        return this.#place(fault.place).node?.killWorker(fault.worker)
      case 'refuse-workers': {
        const place = this.#place(fault.place)
        place.workersFromMs = this.kernel.now + fault.forMs
        return place.node?.killWorkers()
      }
      case 'stop-worker':
        return this.#place(fault.place).node?.stopWorker(fault.worker, fault.forMs)
      case 'strike-step': {
        const place = this.#place(fault.place)
        place.stopMs = fault.forMs
        return place.node?.strikeNext(fault)
      }
      case 'power-loss':
        this.killAll()
        return this.disk.losePower(this.random)
      case 'set-clock':
        this.#place(fault.place).machine.wallMs += fault.byMs
        return
      case 'disk-full':
        this.disk.room = 0
        return this.#later(fault.forMs, () => (this.disk.room = Number.POSITIVE_INFINITY))
      case 'slow-disk':
        this.#diskMs = SLOW_DISK_MS
        return this.#later(fault.forMs, () => (this.#diskMs = DISK_MS))
      case 'slow-network':
      case 'slow-path':
      case 'isolate-node':
      case 'cut-network':
      case 'reset-connections':
      case 'refuse-connections':
      case 'leases-forget':
      case 'leases-hang':
      case 'leases-away':
      case 'leases-late':
      case 'leases-cut-off':
      case 'leases-grant-twice':
        return this.#strikeBetween(fault)
    }
  }

  /** What befalls the network and the lease store. */
  #strikeBetween(fault: FaultBetween): void {
    const name = (place: number): string => this.#place(place).name
    switch (fault.kind) {
      case 'slow-network':
        this.#network.latencyMs = SLOW_LATENCY_MS
        return this.#later(fault.forMs, () => (this.#network.latencyMs = LATENCY_MS))
      case 'cut-network': {
        const path = { from: name(fault.from), to: name(fault.to) }
        this.#network.cut(path)
        return this.#later(fault.forMs, () => this.#network.mend(path))
      }
      case 'isolate-node':
        return this.#isolate(name(fault.place), fault.forMs)
      case 'slow-path': {
        const path = { from: name(fault.from), to: name(fault.to) }
        this.#network.delay(path, fault.byMs)
        return this.#later(fault.forMs, () => this.#network.delay(path, 0))
      }
      case 'reset-connections':
        return this.#network.reset(name(fault.from), name(fault.to))
      case 'refuse-connections':
        this.#network.refuse(name(fault.place), true)
        return this.#later(fault.forMs, () => this.#network.refuse(name(fault.place), false))
      case 'leases-forget':
        return this.#leases.forget()
      case 'leases-hang':
        return this.#leases.hang(fault.forMs)
      case 'leases-away':
        return this.#leases.beAway(fault.forMs)
      case 'leases-late':
        return this.#leases.answerLate(fault.forMs, fault.byMs)
      case 'leases-cut-off':
        return this.#leases.cutOff(name(fault.place), fault.forMs)
      case 'leases-grant-twice':
        return this.#leases.grantTwice()
    }
  }

  /** Nothing goes between a place and the others or the lease store; the disk is within its reach as before. */
  #isolate(place: string, forMs: number): void {
    const others = this.#places.map(({ name }) => name).filter((name) => name !== place)
    const paths = others.flatMap((other) => [
      { from: place, to: other },
      { from: other, to: place },
    ])
    for (const path of paths) this.#network.cut(path)
    this.#leases.cutOff(place, forMs)
    this.#later(forMs, () => {
      for (const path of paths) this.#network.mend(path)
    })
  }

  #later(ms: number, callback: () => void): void {
    this.kernel.after(ms, callback)
  }

  #startIn(place: Place, ms: number): void {
    this.#later(ms, () => {
      if (place.node === undefined && !this.#isOver) void this.#start(place)
    })
  }

  async #start(place: Place): Promise<void> {
    place.lives += 1
    place.phase = 'starting'
    const node = this.#createNode(place)
    place.node = node
    try {
      await node.start()
      if (place.node === node) place.phase = 'serving'
    } catch (error) {
      this.failures.push(error)
      if (place.node === node) this.#kill(place)
    }
  }

  #createNode(place: Place): SimulatedNode {
    const { kernel, disk, random } = this
    const { wrapStorage, parts } = this.#options
    const { name } = place
    return new SimulatedNode({
      kernel,
      random: new SeededRandom(random.next()),
      disk,
      network: this.#network,
      machine: place.machine,
      config: { ...this.#configOf(place), onWarning: (message) => this.warnings.push(message) },
      diskMs: () => this.#diskMs,
      startsWorkers: () => kernel.now >= place.workersFromMs,
      onStruck: (fault) => (fault === 'kill' ? this.#kill(place) : this.#stop(place, place.stopMs)),
      wrapStorage: (storage) => wrapStorage?.(storage, disk) ?? storage,
      parts: parts && ((main) => parts(name, main)),
      cluster: (main) => ({
        leases: this.#leases.connect(name, main),
        network: this.#network.host(name, main),
        listen: `${name}:7400`,
        advertise: undefined,
        id: `${name}-${place.lives}`,
        name,
        weight: 1,
        leaseMs: LEASE_MS,
        shares: () => true,
        isNew: ![...disk.folders].some((folder) => folder.startsWith('shards/')),
      }),
    })
  }

  #configOf(place: Place): ClusterConfig {
    const { config, older } = this.#options
    const isOlder = older !== undefined && this.#place(older.place) === place && this.kernel.now < older.untilMs
    return isOlder ? older.config : config
  }

  /** Ends the node in good order; resolves when it is gone, or was killed before. */
  async #drain(place: Place): Promise<void> {
    const { node } = place
    if (node === undefined || place.phase !== 'serving' || place.isStopped) return
    place.phase = 'draining'
    await new Promise<void>((resolve) => {
      node.onDead(resolve)
      const end = (error?: unknown): void => {
        if (error !== undefined) this.failures.push(error)
        if (place.node === node) this.#kill(place)
      }
      node.main.run(() => void node.running.close().then(() => end(), end))
    })
  }

  #place(number: number): Place {
    return this.#places[number % this.#places.length]!
  }

  /** Somebody starts another before long. */
  #kill(place: Place): void {
    if (place.node === undefined) return
    place.node.kill()
    this.#network.died(place.name)
    place.node = undefined
    place.isStopped = false
    this.#startIn(place, RESTART_MS + this.random.below(RESTART_MS_MAX - RESTART_MS))
  }

  #stop(place: Place, forMs: number): void {
    place.isStopped = true
    place.node?.stop()
    this.#later(forMs, () => this.#wake(place))
  }

  #wake(place: Place): void {
    place.isStopped = false
    place.node?.wake()
  }
}
