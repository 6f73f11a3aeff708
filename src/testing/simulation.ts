/**
 * A simulated machine room: one disk, a few places where a node may run, a lease store that says where, and a schedule of
 * faults. Whoever holds the lease starts a node there; one that is killed is started again; one that was stopped and
 * superseded goes on as a second writer, which is what the log must withstand.
 */
import type { Leases } from '../cluster/leases.ts'
import type { Storage } from '../log/storage.ts'
import type { ClusterConfig } from '../node/config.ts'
import { Kernel } from './kernel.ts'
import { SeededRandom } from './random.ts'
import { SimulatedDisk } from './simulated-disk.ts'
import { SimulatedLeases } from './simulated-leases.ts'
import { SimulatedNetwork } from './simulated-network.ts'
import { SimulatedNode, type StepFault } from './simulated-node.ts'
import { WALL_MS, type MachineClock } from './simulated-thread.ts'

export interface SimulationOptions {
  readonly seed: number
  readonly config: ClusterConfig
  /** Places where a node may run. */
  readonly places: number
  /** Puts something around the storage of every worker. */
  readonly wrapStorage?: (storage: Storage, disk: SimulatedDisk) => Storage
}

/** What goes wrong, and when. `place` is taken modulo the number of places. */
export type SimulatedFault = { readonly atMs: number } & (
  | { readonly kind: 'kill-node'; readonly place: number }
  | { readonly kind: 'stop-node'; readonly place: number; readonly forMs: number }
  | { readonly kind: 'kill-worker'; readonly place: number; readonly worker: number }
  | { readonly kind: 'stop-worker'; readonly place: number; readonly worker: number; readonly forMs: number }
  | ({ readonly kind: 'strike-step'; readonly place: number; readonly forMs: number } & StepFault)
  | { readonly kind: 'power-loss' }
  | { readonly kind: 'disk-full'; readonly forMs: number }
  | { readonly kind: 'slow-disk'; readonly forMs: number }
  | { readonly kind: 'slow-network'; readonly forMs: number }
  | { readonly kind: 'set-clock'; readonly place: number; readonly byMs: number }
  | { readonly kind: 'leases-forget' }
  | { readonly kind: 'leases-hang'; readonly forMs: number }
  | { readonly kind: 'leases-grant-twice' }
)

interface Place {
  readonly name: string
  readonly leases: Leases
  readonly machine: MachineClock
  node: SimulatedNode | undefined
  isServing: boolean
  isStopped: boolean
  /** How often in a row it was told that another has the lease. */
  denials: number
  /** How long a fault inside of a call stops it. */
  stopMs: number
  /** It said that another has taken its shards over. */
  isSuperseded: boolean
  /** It said that a failing disk keeps shards closed until it is mended and the node started again. */
  needsRestart: boolean
}

const LEASE_MS = 600
const RENEW_MS = 150
const DISK_MS = 1
const SLOW_DISK_MS = 60
const LATENCY_MS = 0.2
const SLOW_LATENCY_MS = 40
/** A node that was denied its lease so often goes, as one that was superseded. */
const DENIALS_MAX = 4

export class Simulation {
  readonly kernel: Kernel
  readonly disk: SimulatedDisk
  readonly random: SeededRandom
  readonly #options: SimulationOptions
  readonly #network: SimulatedNetwork
  readonly #leases: SimulatedLeases
  readonly #places: Place[]
  readonly warnings: string[] = []
  /** Nodes that could not start, or ended, with the reason. */
  readonly failures: unknown[] = []
  #diskMs = DISK_MS
  #isHealed = false

  constructor(options: SimulationOptions) {
    this.#options = options
    this.kernel = new Kernel()
    this.disk = new SimulatedDisk()
    this.random = new SeededRandom(options.seed)
    this.#network = new SimulatedNetwork(this.kernel, new SeededRandom(this.random.next()), LATENCY_MS)
    this.#leases = new SimulatedLeases(this.kernel)
    this.#places = Array.from({ length: options.places }, (_, i) => ({
      name: `place-${i}`,
      leases: this.#leases.connect(`place-${i}`),
      // Quartz is right to a ten-thousandth or so; much worse is allowed for here.
      machine: { wallMs: WALL_MS + this.random.below(2000), rate: 0.95 + this.random.below(100) / 1000 },
      node: undefined,
      isServing: false,
      isStopped: false,
      denials: 0,
      stopMs: 0,
      isSuperseded: false,
      needsRestart: false,
    }))
    for (const place of this.#places) this.#tend(place)
  }

  /** A node that somebody might talk to: any that was started, also one that has been superseded and does not know. */
  pick(random: SeededRandom): SimulatedNode | undefined {
    const serving = this.#places.filter(({ isServing, isStopped }) => isServing && !isStopped)
    return serving.length === 0 ? undefined : serving[random.below(serving.length)]!.node
  }

  schedule(faults: readonly SimulatedFault[]): void {
    for (const fault of faults) this.kernel.after(fault.atMs - this.kernel.now, () => this.#strike(fault))
  }

  /** Ends all faults: from here on everything must be answered. */
  heal(): void {
    this.#isHealed = true
    this.disk.room = Number.POSITIVE_INFINITY
    this.#diskMs = DISK_MS
    this.#network.latencyMs = LATENCY_MS
    for (const place of this.#places) {
      place.node?.forgetFaults()
      this.#wake(place)
    }
  }

  killAll(): void {
    for (const place of this.#places) this.#kill(place)
  }

  #strike(fault: SimulatedFault): void {
    if (this.#isHealed) return
    this.kernel.note(fault.kind)
    switch (fault.kind) {
      case 'kill-node':
        return this.#kill(this.#place(fault.place))
      case 'stop-node':
        return this.#stop(this.#place(fault.place), fault.forMs)
      case 'kill-worker':
        return this.#place(fault.place).node?.killWorker(fault.worker)
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
      case 'disk-full':
        this.disk.room = 0
        this.kernel.after(fault.forMs, () => (this.disk.room = Number.POSITIVE_INFINITY))
        return
      case 'slow-disk':
        this.#diskMs = SLOW_DISK_MS
        this.kernel.after(fault.forMs, () => (this.#diskMs = DISK_MS))
        return
      case 'slow-network':
        this.#network.latencyMs = SLOW_LATENCY_MS
        this.kernel.after(fault.forMs, () => (this.#network.latencyMs = LATENCY_MS))
        return
      case 'set-clock':
        this.#place(fault.place).machine.wallMs += fault.byMs
        return
      case 'leases-forget':
        return this.#leases.forget()
      case 'leases-hang':
        return this.#leases.hang(fault.forMs)
      case 'leases-grant-twice':
        return this.#leases.grantTwice()
    }
  }

  /** The agent of a place: asks for the lease again and again, and starts a node where it has it. */
  #tend(place: Place): void {
    const again = (): void => void this.kernel.after(RENEW_MS, () => this.#tend(place))
    // A stopped process renews nothing.
    if (place.isStopped) return again()
    void this.#isGranted(place).then((isGranted) => {
      if (isGranted === undefined) return again()
      place.denials = isGranted ? 0 : place.denials + 1
      // One that was superseded by somebody who has gone since must claim its shards again.
      if (isGranted && place.isSuperseded) this.#kill(place)
      if (this.#isHealed && place.needsRestart) this.#kill(place)
      if (isGranted && place.node === undefined && !place.isStopped) void this.#start(place)
      if (place.denials === DENIALS_MAX && place.isServing) this.#retire(place)
      again()
    })
  }

  /**
   * Whether the place has the one lease that there is; undefined where the store does not answer. Agents assert nothing and call everything new, so that a store
   * that forgets grants it to whoever comes next: there are more second writers than nodes would make.
   */
  async #isGranted(place: Place): Promise<boolean | undefined> {
    const { name } = place
    const want = [{ shard: 0, worker: 0 }]
    const member = { id: name, name, address: name, workers: 1, weight: 1, protocol: 1, state: 'up' as const }
    const cluster = { clusterId: 'simulated', shards: 1 }
    try {
      const view = await place.leases.beat({
        cluster,
        member,
        ttlMs: LEASE_MS,
        hold: [],
        want,
        release: [],
        isNew: true,
      })
      return view.leases.some((lease) => lease.member === name)
    } catch {
      return undefined
    }
  }

  async #start(place: Place): Promise<void> {
    const { kernel, disk, random } = this
    const { config, wrapStorage } = this.#options
    const node = new SimulatedNode({
      kernel,
      random: new SeededRandom(random.next()),
      disk,
      network: this.#network,
      machine: place.machine,
      config: { ...config, onWarning: (message) => this.#warn(place, message) },
      diskMs: () => this.#diskMs,
      onStruck: (fault) => (fault === 'kill' ? this.#kill(place) : this.#stop(place, place.stopMs)),
      wrapStorage: (storage) => wrapStorage?.(storage, disk) ?? storage,
    })
    place.node = node
    try {
      await node.start()
      place.isServing = place.node === node
    } catch (error) {
      this.failures.push(error)
      node.kill()
      if (place.node === node) place.node = undefined
    }
  }

  /** Half of those that are superseded end in good order, which must hurt nobody either. */
  #retire(place: Place): void {
    const { node } = place
    if (node === undefined || this.random.chance(0.5)) return this.#kill(place)
    const end = (): void => {
      if (place.node === node) this.#kill(place)
    }
    node.main.run(() => void node.running.close().then(end, end))
  }

  #warn(place: Place, message: string): void {
    this.warnings.push(message)
    if (message.startsWith('another process has taken over')) place.isSuperseded = true
    if (message.includes('cannot be used')) place.needsRestart = true
  }

  #place(number: number): Place {
    return this.#places[number % this.#places.length]!
  }

  #kill(place: Place): void {
    place.node?.kill()
    place.node = undefined
    place.isServing = false
    place.isStopped = false
    place.isSuperseded = false
    place.needsRestart = false
  }

  #stop(place: Place, forMs: number): void {
    place.isStopped = true
    place.node?.stop()
    this.kernel.after(forMs, () => this.#wake(place))
  }

  #wake(place: Place): void {
    place.isStopped = false
    place.node?.wake()
  }
}
