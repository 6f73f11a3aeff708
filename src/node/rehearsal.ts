/**
 * What a worker does when shards come to it, played through before it serves. Code that runs for the first time is many
 * times slower than later, and the callers of the shards that are handed to a node which has just started, as in every
 * rolling restart, would wait for that.
 */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineAggregate } from '../aggregate/aggregate.ts'
import { createLinkPair, type Link } from '../cluster/link.ts'
import { createRef, type RefHost } from '../cluster/ref.ts'
import { Router } from '../cluster/router.ts'
import { IdSource } from '../log/identity.ts'
import { StreamPlacement } from '../log/stream.ts'
import { blocking } from '../platform/file-calls.ts'
import { FileStorage } from '../platform/file-storage.ts'
import { systemClock, systemRandom } from '../platform/system.ts'
import { defineCluster, type ClusterConfig } from './config.ts'
import { hostWorker, type WorkerHost } from './worker-host.ts'

/** Owners after each other: by then what matters was compiled. */
const OWNERS = 6
const SHARDS = 8
const SHARDS_AT_ONCE = 4
const AGGREGATES = 16
const COMMANDS_MS = 1_000

const Extra = defineAggregate({
  type: 'extra',
  initialState: () => 0,
  events: { Spoke: (lines: number) => lines + 1 },
  commands: { speak: (_lines, _payload: undefined, { emit }) => emit.Spoke(undefined) },
})

/**
 * Plays on the system's folder for temporary files, and leaves nothing there. Resolves to how many shards have come to an
 * owner; fails where nothing can be written there.
 */
export async function rehearse(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'penhold-rehearsal-'))
  try {
    return await play(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function play(folder: string): Promise<number> {
  let taken = 0
  const storage = new FileStorage(folder, { ...blocking, dataSync: nothing, fullSync: nothing })
  const sizes = { shards: SHARDS, segmentBytes: 64 * 1024, workers: 'inline' } as const
  const config = defineCluster({ name: 'rehearsal', aggregates: [Extra], dataDir: folder, ...sizes })
  const callers = new Callers(config)
  const shards = Array.from({ length: SHARDS }, (_, shard) => shard)
  const hosts: WorkerHost[] = []
  try {
    for (let owner = 0; owner < OWNERS; owner += 1) {
      const before = hosts.at(-1)
      const next = await callers.host(storage, owner)
      hosts.push(next)
      for (let from = 0; from < SHARDS; from += SHARDS_AT_ONCE) {
        const moving = shards.slice(from, from + SHARDS_AT_ONCE)
        await before?.prepareRelease()
        await before?.release(moving, COMMANDS_MS)
        for (const { shard, epoch } of await next.takeOver(moving)) {
          callers.router.assign(shard, String(owner), epoch)
          taken += 1
        }
      }
      await callers.speak()
      await before?.close()
    }
    return taken
  } finally {
    callers.router.close()
    // Those before the last are closed; where something has failed this may be none.
    await Promise.allSettled(hosts.map((host) => host.close()))
  }
}

/** Who sends commands to the workers. */
class Callers {
  readonly router: Router
  readonly #config: ClusterConfig
  readonly #clusterId = randomUUID()
  readonly #placement = new StreamPlacement(this.#clusterId, SHARDS)
  readonly #refs: RefHost

  constructor(config: ClusterConfig) {
    this.#config = config
    const { underWayMax, commandBytesMax } = config.limits
    const ports = { clock: systemClock, onBadFrame: ignore, onElsewhere: ignore }
    this.router = new Router({ ...ports, shards: SHARDS, underWayMax, timeoutMs: COMMANDS_MS })
    this.#refs = {
      ids: new IdSource(systemClock, systemRandom),
      commandBytesMax,
      shardOf: (stream) => this.#placement.shardOf(stream),
      send: ({ shard }, message, outcome, options) => this.router.send(shard, message, outcome, options),
      observe: () => undefined,
      onTellFailed: ignore,
    }
  }

  async host(storage: FileStorage, owner: number): Promise<WorkerHost> {
    const [near, far]: [Link, Link] = createLinkPair(systemClock)
    this.router.attach(String(owner), near)
    return hostWorker({
      storage,
      clock: systemClock,
      random: systemRandom,
      config: this.#config,
      clusterId: this.#clusterId,
      shards: [],
      link: far,
      progress: { enter: ignore, leave: ignore },
      onWarning: ignore,
      onLost: ignore,
      onBroken: ignore,
    })
  }

  async speak(): Promise<void> {
    const refs = Array.from({ length: AGGREGATES }, (_, i) => createRef(this.#refs, Extra, String(i)))
    await Promise.all([...refs, ...refs].map((ref) => ref.ask('speak', undefined)))
  }
}

function ignore(): void {}

async function nothing(): Promise<void> {}
