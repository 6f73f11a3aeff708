/**
 * A node in the simulator: the real router, supervisor and workers, each worker on a thread of its own, over a simulated
 * disk. The node, or one of its workers, can be stopped, woken up and killed at any moment.
 */
import type { Storage } from '../log/storage.ts'
import type { ClusterPorts } from '../node/cluster-side.ts'
import type { ClusterConfig } from '../node/config.ts'
import { UNWATCHED } from '../node/progress.ts'
import { RunningNode } from '../node/running-node.ts'
import type { WorkerEvents, WorkerHandle } from '../node/worker-handle.ts'
import { hostWorker, type Start, type WorkerHost } from '../node/worker-host.ts'
import type { Reactor } from '../react/reactor.ts'
import type { Kernel } from './kernel.ts'
import { SeededRandom } from './random.ts'
import type { SimulatedDisk } from './simulated-disk.ts'
import type { SimulatedNetwork } from './simulated-network.ts'
import { SimulatedStorage, type Fault, type Step, type StepName } from './simulated-storage.ts'
import { SimulatedThread, type MachineClock } from './simulated-thread.ts'

/** What consumes events at a node, or messages. What it does outside the node it does from the node's main thread. */
export type NodeParts = Partial<Pick<ClusterConfig, 'projections' | 'reactors' | 'outboxes' | 'inboxes'>>

export interface SimulatedNodeOptions {
  readonly kernel: Kernel
  readonly random: SeededRandom
  readonly disk: SimulatedDisk
  readonly network: SimulatedNetwork
  readonly machine: MachineClock
  readonly config: ClusterConfig
  /** How long a call to the disk takes at most. */
  readonly diskMs: () => number
  /** Puts something around the storage: how mutants come in. */
  readonly wrapStorage: (storage: Storage) => Storage
  /** Whether a worker that is to start can; left out where each does. */
  readonly startsWorkers?: () => boolean
  /** A fault stops or kills the node in the middle of a call. */
  readonly onStruck: (fault: 'stop' | 'kill') => void
  /** What makes it one of several; its main thread is the one that hears of everything. */
  readonly cluster?: (main: SimulatedThread) => ClusterPorts
  /** What it runs beside its aggregates, made for its main thread; left out where it runs nothing. */
  readonly parts?: ((main: SimulatedThread) => NodeParts) | undefined
}

/** A fault that strikes the next call of a kind: the call fails, or the node is stopped or killed inside of it, or the thread ends. */
export interface StepFault {
  readonly step: StepName
  readonly fault: 'fail' | 'full' | 'stop' | 'kill' | 'end-thread'
}

interface WorkerThread {
  readonly thread: SimulatedThread
  readonly storage: SimulatedStorage
  /** Tells the main thread that it has ended by itself. Before it serves this means that it could not start. */
  onEnd: (reason: unknown) => void
  /** Calls to it that are under way, which nobody will answer once it has ended. */
  readonly calls: Set<() => void>
}

export class SimulatedNode {
  readonly main: SimulatedThread
  readonly running: RunningNode
  readonly #options: SimulatedNodeOptions
  /** Of which its workers know which replies wait for them. */
  readonly #reactors: readonly Reactor[]
  #workers: WorkerThread[] = []
  readonly #stepFaults: StepFault[] = []
  readonly #onDead: (() => void)[] = []

  constructor(options: SimulatedNodeOptions) {
    this.#options = options
    const { kernel, machine, random } = options
    this.main = new SimulatedThread(kernel, machine)
    const parts = options.parts?.(this.main)
    this.#reactors = parts?.reactors ?? []
    const config = { ...options.config, ...parts }
    const identity = { format: 1, clusterId: 'simulated', name: config.name, shards: config.shards }
    this.running = new RunningNode(config, identity, {
      clock: this.main.clock,
      random: new SeededRandom(random.next()),
      storage: new SimulatedStorage(options.disk, undefined, () => this.main.awake()),
      startWorker: (start, events) => this.#startWorker(start, events),
      onClosed: () => Promise.resolve(),
      cluster: options.cluster?.(this.main),
    })
  }

  get isDead(): boolean {
    return this.main.isDead
  }

  /** Resolves when it serves; never, where it is killed before. @throws what keeps it from starting */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.main.run(() => void this.running.start().then(resolve, reject))
    })
  }

  /** Tells when the node is killed. */
  onDead(callback: () => void): void {
    if (this.isDead) callback()
    else this.#onDead.push(callback)
  }

  kill(): void {
    if (this.isDead) return
    this.main.kill()
    for (const worker of this.#workers) this.#end(worker)
    this.#workers = []
    for (const callback of this.#onDead.splice(0)) callback()
  }

  stop(): void {
    this.main.stop()
    for (const { thread } of this.#workers) thread.stop()
  }

  wake(): void {
    this.main.wake()
    for (const { thread } of this.#workers) thread.wake()
  }

  /** One of its workers' threads ends, as if a handler had exited the thread. */
  killWorker(which: number): void {
    this.#endThread(this.#workers[which % Math.max(1, this.#workers.length)])
  }

  /** All of its workers' threads end. */
  killWorkers(): void {
    for (const worker of this.#workers) this.#endThread(worker)
  }

  /** One of its workers' threads stands still for a while: a long collection of garbage, say. */
  stopWorker(which: number, forMs: number): void {
    const worker = this.#workers[which % Math.max(1, this.#workers.length)]
    if (worker === undefined) return
    worker.thread.stop()
    this.#options.kernel.after(forMs, () => {
      if (this.main.isRunning) worker.thread.wake()
    })
  }

  strikeNext(fault: StepFault): void {
    this.#stepFaults.push(fault)
  }

  forgetFaults(): void {
    this.#stepFaults.length = 0
  }

  #endThread(worker: WorkerThread | undefined): void {
    if (worker === undefined) return
    this.#end(worker)
    this.main.run(() => worker.onEnd(new Error('the thread ended')))
  }

  #end(worker: WorkerThread): void {
    worker.thread.kill()
    worker.storage.kill(this.#options.random.chance(0.5))
    this.#workers = this.#workers.filter((other) => other !== worker)
    for (const giveUp of worker.calls) giveUp()
    worker.calls.clear()
  }

  #startWorker(start: Start, events: WorkerEvents): Promise<WorkerHandle> {
    const { kernel, machine, disk, network, random, config, startsWorkers } = this.#options
    if (startsWorkers?.() === false) return Promise.reject(new Error('no worker can start'))
    const thread = new SimulatedThread(kernel, machine)
    const storage = new SimulatedStorage(
      disk,
      (step) => this.#step(step, thread),
      () => thread.awake(),
    )
    const [near, far] = network.connect(this.main, thread)
    const toMain = (callback: () => void): void => void kernel.after(0, () => this.main.run(callback))
    return new Promise((resolve, reject) => {
      const worker: WorkerThread = { thread, storage, onEnd: reject, calls: new Set() }
      this.#workers.push(worker)
      const fail = (error: unknown): void => {
        this.#end(worker)
        toMain(() => worker.onEnd(error))
      }
      const starting = hostWorker({
        storage: this.#options.wrapStorage(storage),
        clock: thread.clock,
        random: new SeededRandom(random.next()),
        config: { ...config, reactors: this.#reactors },
        clusterId: 'simulated',
        ...start,
        link: far,
        progress: UNWATCHED,
        onWarning: (message) => toMain(() => events.onWarning(message)),
        onLost: (lost) => toMain(() => events.onLost(lost)),
        onBroken: fail,
      })
      const serve = (host: WorkerHost): void => {
        worker.onEnd = (reason) => events.onEnd(String(reason))
        resolve(this.#handle(worker, near, host))
      }
      starting.then((host) => toMain(() => (thread.isDead ? undefined : serve(host))), fail)
    })
  }

  #handle(worker: WorkerThread, link: WorkerHandle['link'], host: WorkerHost): WorkerHandle {
    const toMain = (callback: () => void): void => void this.#options.kernel.after(0, () => this.main.run(callback))
    const call = <T>(work: () => Promise<T>): Promise<T | undefined> =>
      new Promise((resolve, reject) => {
        if (worker.thread.isDead) return resolve(undefined)
        const giveUp = (): void => toMain(() => resolve(undefined))
        worker.calls.add(giveUp)
        const told = (tell: () => void): void => {
          if (worker.calls.delete(giveUp)) toMain(tell)
        }
        worker.thread.run(() => {
          work().then(
            (value) => told(() => resolve(value)),
            (error: unknown) => told(() => reject(error)),
          )
        })
      })
    return {
      link,
      takeOver: (shards) => call(() => host.takeOver(shards)),
      prepareRelease: () => call(() => host.prepareRelease()),
      release: (shards, ms) => call(() => host.release(shards, ms)),
      nextTail: (known, ms) => call(() => host.nextTail(known, ms)),
      tailAbove: (position) => call(() => host.tailAbove(position)),
      connect: (protocol) => {
        const [near, far] = this.#options.network.connect(this.main, worker.thread)
        worker.thread.run(() => host.connect(far, protocol))
        const close = (): void => {
          near.close()
          worker.thread.run(() => far.close())
        }
        return {
          send: (frame) => near.send(frame),
          onFrame: (receive) => near.onFrame(receive),
          isFull: near.isFull,
          onDrain: () => near.onDrain(),
          close,
        }
      },
      position: host.position,
      progress: () => undefined,
      status: () => call(() => host.status()),
      close: () =>
        new Promise((resolve) => {
          const end = (): void => {
            this.#end(worker)
            toMain(resolve)
          }
          worker.thread.run(() => void host.close().then(end, end))
        }),
      terminate: () => {
        this.#end(worker)
        return Promise.resolve()
      },
    }
  }

  async #step({ name, path }: Step, thread: SimulatedThread): Promise<Fault> {
    const { kernel, random, diskMs, onStruck } = this.#options
    kernel.note(`${name} ${path}`)
    const at = this.#stepFaults.findIndex(({ step }) => step === name)
    const fault = at === -1 ? undefined : this.#stepFaults.splice(at, 1)[0]!.fault
    if (fault === 'stop' || fault === 'kill') onStruck(fault)
    if (fault === 'end-thread') this.#endThread(this.#workers.find((worker) => worker.thread === thread))
    await kernel.sleep((random.below(1000) / 1000) * diskMs())
    return fault === 'fail' || fault === 'full' ? fault : 'none'
  }
}
