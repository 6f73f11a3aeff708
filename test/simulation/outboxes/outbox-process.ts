/** Processes that run an outbox apart from the nodes, each at a place where somebody starts another whenever there is none. */
import { deriveId, PenholdError, type ClusterConfig } from '../../../src/index.ts'
import type { ConsumerStatus } from '../../../src/react/consumer-status.ts'
import type { Outbox } from '../../../src/react/outbox.ts'
import { RunningOutbox } from '../../../src/node/running-outbox.ts'
import { SeededRandom } from '../../../src/testing/random.ts'
import type { SimulatedCluster } from '../../../src/testing/simulated-cluster.ts'
import { SimulatedStorage } from '../../../src/testing/simulated-storage.ts'
import { SimulatedThread } from '../../../src/testing/simulated-thread.ts'
import type { ProcessStrike } from './plan.ts'

export interface OutboxProcessOptions {
  readonly cluster: SimulatedCluster
  readonly name: string
  readonly config: ClusterConfig
  /** The outbox as it publishes from a thread. */
  readonly outboxAt: (main: SimulatedThread) => Outbox
}

interface Life {
  readonly main: SimulatedThread
  running: RunningOutbox | undefined
}

const RESTART_MS = 300
const LOOK_MS = 100

export class OutboxProcess {
  readonly #options: OutboxProcessOptions
  readonly #random: SeededRandom
  #life: Life | undefined
  #lives = 0
  #isOver = false

  constructor(options: OutboxProcessOptions) {
    this.#options = options
    this.#random = new SeededRandom(options.cluster.random.next())
  }

  start(): void {
    if (this.#life !== undefined || this.#isOver) return
    const { cluster } = this.#options
    const main = new SimulatedThread(cluster.kernel, { wallMs: Date.UTC(2026, 0, 1), rate: 1 })
    const life: Life = { main, running: undefined }
    this.#life = life
    this.#lives += 1
    main.run(
      () =>
        void this.#run(life).catch((error: unknown) => {
          // The nodes do not answer yet, say: whoever starts it does so again.
          if (!(error instanceof PenholdError)) cluster.failures.push(error)
          this.#kill(life)
        }),
    )
  }

  strike({ does, forMs }: ProcessStrike): void {
    const life = this.#life
    if (life === undefined || this.#isOver) return
    if (does === 'kill') return this.#kill(life)
    if (does === 'drain') return void this.#drain(life)
    life.main.stop()
    this.#options.cluster.kernel.after(forMs, () => life.main.wake())
  }

  heal(): void {
    this.#life?.main.wake()
  }

  /** How it is; undefined where it does not run, or is killed before it says so. */
  status(): Promise<ConsumerStatus | undefined> {
    const { main, running } = this.#life ?? {}
    if (main === undefined || running === undefined) return Promise.resolve(undefined)
    return new Promise((resolve) => main.run(() => void running.status().then(resolve, () => resolve(undefined))))
  }

  /** Ends it in good order, and nobody starts another. */
  async end(): Promise<void> {
    this.#isOver = true
    if (this.#life !== undefined) await this.#drain(this.#life)
  }

  async #run(life: Life): Promise<void> {
    const { cluster, name, config, outboxAt } = this.#options
    const { main } = life
    const { leases, network } = cluster.surroundings(name, main)
    let view = await leases.look()
    for (; view === undefined; view = await leases.look()) {
      await new Promise<void>((resolve) => void main.after(LOOK_MS, resolve))
    }
    const ports = {
      clock: main.clock,
      random: new SeededRandom(this.#random.next()),
      storage: new SimulatedStorage(cluster.disk, undefined, () => main.awake()),
      leases,
      network,
      id: deriveId(name, this.#lives),
    }
    const identity = { format: 1, clusterId: 'simulated', name: config.name, shards: config.shards }
    const running = new RunningOutbox(config, outboxAt(main), { view, identity, ports })
    await running.start()
    life.running = running
  }

  #drain(life: Life): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        this.#kill(life)
        resolve()
      }
      life.main.run(() => void (life.running?.close() ?? Promise.resolve()).then(end, end))
    })
  }

  #kill(life: Life): void {
    if (life.main.isDead) return
    life.main.kill()
    const { cluster, name } = this.#options
    cluster.died(name)
    if (this.#life === life) this.#life = undefined
    cluster.kernel.after(RESTART_MS, () => this.start())
  }
}
