/**
 * What a worker does when shards come to it, played through before it serves. Code that runs for the first time is many
 * times slower than later, and the callers of the shards that are handed to a node which has just started, as in every
 * rolling restart, would wait for that.
 */
import { randomUUID } from 'node:crypto'
import { defineAggregate } from '../aggregate/aggregate.ts'
import { reasonOf } from '../aggregate/error.ts'
import { createLinkPair, type Link } from '../cluster/link.ts'
import { createRef, type RefHost } from '../cluster/ref.ts'
import { Router } from '../cluster/router.ts'
import type { Cancel } from '../log/clock.ts'
import { IdSource } from '../log/identity.ts'
import { MemoryStorage } from '../log/memory-storage.ts'
import type { Storage } from '../log/storage.ts'
import { StreamPlacement } from '../log/stream.ts'
import { systemClock, systemRandom } from '../platform/system.ts'
import { defineCluster, type ClusterConfig } from './config.ts'
import { UNWATCHED } from './progress.ts'
import { hostWorker, type WorkerHost } from './worker-host.ts'

/** Owners after each other: by then what matters was compiled. */
const OWNERS = 6
const SHARDS = 8
const SHARDS_AT_ONCE = 4
const AGGREGATES = 16
/** A worker that has not come to the end by then serves all the same: whoever waits for it to start waits as well. */
const MS_MAX = 5_000

const Extra = defineAggregate({
  type: 'extra',
  initialState: () => 0,
  events: { Spoke: (lines: number) => lines + 1 },
  commands: { speak: (_lines, _payload: undefined, { emit }) => emit.Spoke(undefined) },
})

export interface RehearsalOptions {
  readonly onWarning: (message: string) => void
  readonly storage?: Storage
  readonly msMax?: number
}

/**
 * Plays in memory, so that nothing is left behind, however it ends. Never fails: what keeps it from its end is told.
 * Resolves to how many shards have come to an owner.
 */
export async function rehearse({
  onWarning,
  storage = new MemoryStorage(),
  msMax = MS_MAX,
}: RehearsalOptions): Promise<number> {
  const play = new Play(storage, msMax)
  let cancel: Cancel = () => undefined
  const isLate = new Promise<string>((resolve) => {
    cancel = systemClock.afterAlive(msMax, () => resolve(`it took more than ${msMax} ms`))
  })
  const problem = await Promise.race([play.run().then(() => undefined, reasonOf), isLate])
  cancel()
  play.stop()
  if (problem !== undefined) {
    onWarning(
      `the first shards that come to this worker will keep their callers waiting, as it could not rehearse that: ${problem}`,
    )
  }
  return play.taken
}

class Play {
  taken = 0
  readonly #storage: Storage
  readonly #msMax: number
  readonly #callers: Callers
  readonly #hosts: WorkerHost[] = []
  /** What has broken may never say that it is done. */
  readonly #broken = Promise.withResolvers<never>()
  #isStopped = false

  constructor(storage: Storage, msMax: number) {
    const sizes = { shards: SHARDS, segmentBytes: 64 * 1024, workers: 'inline' } as const
    const config = defineCluster({ name: 'rehearsal', aggregates: [Extra], dataDir: 'none', ...sizes })
    this.#storage = storage
    this.#msMax = msMax
    this.#callers = new Callers(config, msMax, this.#broken.reject)
  }

  run(): Promise<void> {
    return Promise.race([this.#run(), this.#broken.promise])
  }

  async #run(): Promise<void> {
    for (let owner = 0; owner < OWNERS; owner += 1) {
      const before = this.#hosts.at(-1)
      const next = await this.#callers.host(this.#storage, owner)
      this.#hosts.push(next)
      if (this.#isStopped) return next.abandon()
      for (let from = 0; from < SHARDS; from += SHARDS_AT_ONCE) await this.#move(from, owner)
      await this.#callers.speak()
      await before?.close()
    }
    await this.#hosts.at(-1)?.close()
  }

  /** What is still under way comes to nothing. */
  stop(): void {
    this.#isStopped = true
    this.#callers.router.close()
    for (const host of this.#hosts) void host.abandon()
  }

  async #move(from: number, owner: number): Promise<void> {
    const [before, next] = [this.#hosts[owner - 1], this.#hosts[owner]!]
    const moving = Array.from({ length: SHARDS_AT_ONCE }, (_, i) => from + i)
    await before?.prepareRelease()
    await before?.release(moving, this.#msMax)
    for (const { shard, epoch } of await next.takeOver(moving)) {
      this.#callers.router.assign(shard, String(owner), epoch)
      this.taken += 1
    }
  }
}

/** Who sends commands to the workers. */
class Callers {
  readonly router: Router
  readonly #config: ClusterConfig
  readonly #onBroken: (error: unknown) => void
  readonly #clusterId = randomUUID()
  readonly #placement = new StreamPlacement(this.#clusterId, SHARDS)
  readonly #refs: RefHost

  constructor(config: ClusterConfig, timeoutMs: number, onBroken: (error: unknown) => void) {
    this.#config = config
    this.#onBroken = onBroken
    const { underWayMax, commandBytesMax } = config.limits
    const ports = { clock: systemClock, onBadFrame: ignore, onElsewhere: ignore }
    this.router = new Router({ ...ports, shards: SHARDS, underWayMax, timeoutMs })
    this.#refs = {
      ids: new IdSource(systemClock, systemRandom),
      commandBytesMax,
      shardOf: (stream) => this.#placement.shardOf(stream),
      send: ({ shard }, message, outcome, options) => this.router.send(shard, message, outcome, options),
      observe: () => undefined,
      onTellFailed: ignore,
    }
  }

  async host(storage: Storage, owner: number): Promise<WorkerHost> {
    const [near, far]: [Link, Link] = createLinkPair(systemClock)
    this.router.attach(String(owner), near)
    return hostWorker({
      storage,
      clock: systemClock,
      random: systemRandom,
      config: this.#config,
      clusterId: this.#clusterId,
      shards: [],
      quarantined: [],
      link: far,
      progress: UNWATCHED,
      onWarning: ignore,
      onLost: ignore,
      onBroken: this.#onBroken,
    })
  }

  async speak(): Promise<void> {
    const refs = Array.from({ length: AGGREGATES }, (_, i) => createRef(this.#refs, Extra, String(i)))
    await Promise.all([...refs, ...refs].map((ref) => ref.ask('speak', undefined)))
  }
}

function ignore(): void {}
