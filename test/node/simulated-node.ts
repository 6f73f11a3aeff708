import { DEFAULT_ACTOR_LIMITS } from '../../src/actor/limits.ts'
import { createRef, type Ref, type RefHost } from '../../src/cluster/ref.ts'
import { Router } from '../../src/cluster/router.ts'
import { defineCluster } from '../../src/index.ts'
import { IdSource } from '../../src/log/identity.ts'
import { startInline, type WorkerHandle } from '../../src/node/worker-handle.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import type { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage, type Plan } from '../../src/testing/simulated-storage.ts'
import { Account } from '../account.ts'

export interface SimulatedNode {
  readonly worker: WorkerHandle
  readonly warnings: readonly string[]
  account(id: string): Ref<typeof Account>
}

/** An inline worker over a simulated disk, with refs to its accounts. */
export async function startSimulatedNode(disk: SimulatedDisk, plan?: Plan): Promise<SimulatedNode> {
  const clock = new SimulatedClock()
  const random = new SeededRandom(1)
  const warnings: string[] = []
  const definition = { name: 'bank', aggregates: [Account], dataDir: 'none', workers: 'inline', shards: 2 } as const
  const config = defineCluster({ ...definition, segmentBytes: 64 * 1024 })
  const worker = await startInline(
    {
      storage: new SimulatedStorage(disk, plan),
      clock,
      random,
      config,
      clusterId: 'test',
      shards: [0, 1],
      quarantined: [],
    },
    {
      onLost: () => undefined,
      onWarning: (message) => warnings.push(message),
      onEnd: (reason) => warnings.push(reason),
    },
  )
  const onBadFrame = (_: string, error: unknown): void => {
    throw error
  }
  const router = new Router({ shards: 1, clock, underWayMax: 1000, timeoutMs: 10_000, onBadFrame })
  router.assign(0, 'worker')
  router.attach('worker', worker.link)
  const host: RefHost = {
    ids: new IdSource(clock, random),
    commandBytesMax: DEFAULT_ACTOR_LIMITS.commandBytesMax,
    shardOf: () => 0,
    send: (to, message, outcome, options) => router.send(to.shard, message, outcome, options),
    observe: (position) => router.observe(position),
    onTellFailed: () => undefined,
  }
  return { worker, warnings, account: (id) => createRef(host, Account, id) }
}
