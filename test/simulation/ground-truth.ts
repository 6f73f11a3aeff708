/** The look into the log when all is over: what `verify` says of it, and what a fresh process reads. */
import { DEFAULT_ACTOR_LIMITS } from '../../src/actor/limits.ts'
import { Worker } from '../../src/actor/worker.ts'
import type { ClusterConfig } from '../../src/index.ts'
import { encodeIdentity } from '../../src/log/cluster-identity.ts'
import { Log } from '../../src/log/log.ts'
import { CLUSTER_PATH } from '../../src/log/path.ts'
import { RecordKind } from '../../src/log/record.ts'
import { streamType } from '../../src/log/stream.ts'
import { verify } from '../../src/log/verify/verify.ts'
import { TimersRecord } from '../../src/react/timer-records.ts'
import type { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import type { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import type { LoggedEvent, LoggedStreams } from '../checker/history.ts'
import { after, digestOf, NOTHING } from './bank.ts'
import { streamOf, type Operation } from './plan.ts'
import { bucketsOf } from './reactors/timed.ts'

export interface Remains {
  readonly disk: SimulatedDisk
  readonly random: SeededRandom
}

/** What `penhold verify` takes for damage, though nothing was damaged. Indexes are not synced, and made again. */
export async function findDamage({ disk }: Remains, { name, shards }: ClusterConfig): Promise<string[]> {
  const storage = new SimulatedStorage(disk)
  await storage.replaceDurably(CLUSTER_PATH, encodeIdentity({ format: 1, clusterId: 'simulated', name, shards }))
  const { findings } = await verify({ storage, clock: new SimulatedClock() })
  const damage = findings.kept.filter(({ severity, file }) => severity === 'damage' && !file.endsWith('.idx'))
  return damage.map(({ file, offset, problem }) => `verify finds damage in ${file} at byte ${offset}: ${problem}`)
}

/** Workers that ended because the code broke a rule of its own: they were replaced, and it is a bug all the same. */
export function brokenRules(warnings: readonly string[]): string[] {
  return warnings.filter((warning) => warning.includes('BrokenInvariant'))
}

/** An event, with what it says. */
export interface OtherEvent extends LoggedEvent {
  readonly type: string
  readonly data: unknown
}

export interface Found {
  /** The streams that clients write to. */
  readonly log: LoggedStreams
  /** Those that are asked for by name, as those that others write to. */
  readonly others: ReadonlyMap<string, readonly OtherEvent[]>
}

/** The log as a fresh process finds it, with half of its indexes gone: they are derived. */
export async function readLog(
  { disk, random }: Remains,
  { shards, segmentBytes, aggregates }: ClusterConfig,
  operations: readonly Operation[],
  othersOf: (streams: LoggedStreams) => readonly string[] = () => [],
): Promise<Found | Error> {
  for (const path of disk.files.keys()) if (path.endsWith('.idx') && random.chance(0.5)) disk.files.delete(path)
  const clock = new SimulatedClock(Date.UTC(2027, 0, 1))
  const own = Array.from({ length: shards }, (_, shard) => shard)
  const storage = new SimulatedStorage(disk)
  const log = await Log.open({ storage, clock, clusterId: 'simulated', shards, own, segmentBytes, node: 'reader' })
  for (const error of log.refusedShards.values()) return error
  const progress = { enter: () => undefined, leave: () => undefined }
  const onBroken = (error: unknown): never => {
    throw error
  }
  const ports = {
    log,
    clock,
    random,
    progress,
    quarantined: [],
    onWarning: () => undefined,
    onLost: () => undefined,
    onBroken,
  }
  const worker = new Worker({ ...ports, aggregates, limits: DEFAULT_ACTOR_LIMITS })
  const streams = new Map<string, LoggedEvent[]>()
  for (const stream of new Set(operations.map(streamOf))) {
    const records = await Array.fromAsync(log.back(log.placement.stream(stream)))
    let view = NOTHING
    const events = records
      .toReversed()
      .filter(({ kind }) => kind === RecordKind.event)
      .map(({ shard, seq, version, position, type, data }): LoggedEvent => {
        view = after(view, type, data)
        const commandId = String((data as { readonly by: number }).by)
        return { shard, seq, version, position, commandId, digest: digestOf(view) }
      })
    streams.set(stream, events)
  }
  const beside = new Map<string, OtherEvent[]>()
  const others = [...othersOf(streams)]
  for (const stream of others) {
    const records = await Array.fromAsync(log.back(log.placement.stream(stream)))
    const events = records.toReversed().filter(({ kind }) => kind === RecordKind.event)
    if (streamType(stream) === TimersRecord.type) {
      for (const { shard, data } of events) others.push(...bucketsOf(log.placement, shard, data))
    }
    beside.set(
      stream,
      events.map(({ shard, seq, version, position, type, data }) => {
        return { shard, seq, version, position, type, data, commandId: '' }
      }),
    )
  }
  await worker.close()
  return { log: streams, others: beside }
}
