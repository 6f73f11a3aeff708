/** A machine on which one node lives at a time, life after life, over one disk. */
import { reasonOf } from '../../../src/aggregate/error.ts'
import type { ClusterConfig } from '../../../src/index.ts'
import type { Storage } from '../../../src/log/storage.ts'
import { Kernel } from '../../../src/testing/kernel.ts'
import { SeededRandom } from '../../../src/testing/random.ts'
import { SimulatedDisk } from '../../../src/testing/simulated-disk.ts'
import { SimulatedNetwork } from '../../../src/testing/simulated-network.ts'
import { SimulatedNode } from '../../../src/testing/simulated-node.ts'
import { WALL_MS } from '../../../src/testing/simulated-thread.ts'

const DISK_MS = 1
const LATENCY_MS = 0.2
const START_MS = 20_000
const END_MS = 20_000

export interface HouseOptions {
  readonly seed: number
  readonly config: ClusterConfig
  readonly wrapStorage: (storage: Storage, disk: SimulatedDisk) => Storage
}

export class House {
  readonly kernel: Kernel = new Kernel()
  readonly random: SeededRandom
  readonly disk: SimulatedDisk = new SimulatedDisk()
  readonly warnings: string[] = []
  readonly #options: HouseOptions
  readonly #network: SimulatedNetwork
  /** The one that serves. */
  node: SimulatedNode | undefined

  constructor(options: HouseOptions) {
    this.#options = options
    this.random = new SeededRandom(options.seed)
    this.#network = new SimulatedNetwork(this.kernel, new SeededRandom(this.random.next()), LATENCY_MS)
  }

  /** Resolves to what keeps it from starting; undefined where it serves. */
  async start(): Promise<string | undefined> {
    const warn = (message: string): void => void this.warnings.push(message)
    const started = await this.#start({ disk: this.disk, random: new SeededRandom(this.random.next()), warn })
    if (typeof started === 'string') return started
    this.node = started
    return undefined
  }

  /** A node over another disk, as that would be found now, which leaves no trace here. */
  startBeside(disk: SimulatedDisk, warn: (message: string) => void): Promise<SimulatedNode | string> {
    return this.#start({ disk, random: new SeededRandom(1), warn })
  }

  kill(): void {
    this.node?.kill()
    this.node = undefined
  }

  /** Ends the node in good order. Returns whether it has ended in time. */
  async close(): Promise<boolean> {
    const { node, kernel } = this
    if (node === undefined) return true
    let isClosed = false
    const end = (): void => void (isClosed = true)
    node.main.run(() => void node.running.close().then(end, end))
    await kernel.run({ untilMs: kernel.now + END_MS, isDone: () => isClosed })
    this.kill()
    return isClosed
  }

  /** Does something that takes simulated time; undefined where that is too long. */
  async within<Result>(ms: number, work: Promise<Result>): Promise<Result | undefined> {
    let result: Result | undefined
    let isDone = false
    let failure: unknown
    work.then(
      (value) => {
        result = value
        isDone = true
      },
      (error: unknown) => {
        failure = error
        isDone = true
      },
    )
    await this.kernel.run({ untilMs: this.kernel.now + ms, isDone: () => isDone })
    if (failure !== undefined) throw failure
    return result
  }

  async #start({
    disk,
    random,
    warn,
  }: {
    readonly disk: SimulatedDisk
    readonly random: SeededRandom
    readonly warn: (message: string) => void
  }): Promise<SimulatedNode | string> {
    const { config, wrapStorage } = this.#options
    const node = new SimulatedNode({
      kernel: this.kernel,
      random,
      disk,
      network: this.#network,
      machine: { wallMs: WALL_MS, rate: 1 },
      config: { ...config, onWarning: warn },
      diskMs: () => DISK_MS,
      onStruck: () => undefined,
      wrapStorage: (storage) => wrapStorage(storage, disk),
    })
    const starting = node.start().then(
      () => 'serves' as const,
      (error: unknown) => ({ reason: reasonOf(error) }),
    )
    const started = await this.within(START_MS, starting)
    if (started === 'serves') return node
    node.kill()
    return started === undefined ? 'it does not start' : started.reason
  }
}
