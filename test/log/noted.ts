/** Logs of two shards without actors, whose events say nothing: for tests of who owns what. */
import { Log } from '../../src/log/log.ts'
import { encode } from '../../src/log/codec.ts'
import { NOWHERE, RecordKind, type Address } from '../../src/log/record.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import type { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage, type Plan } from '../../src/testing/simulated-storage.ts'

export function openLog(disk: SimulatedDisk, own: readonly number[], plan?: Plan): Promise<Log> {
  const storage = new SimulatedStorage(disk, plan)
  const clock = new SimulatedClock()
  return Log.open({ storage, clock, clusterId: 'test', shards: 2, own, segmentBytes: 65_536, node: 'test' })
}

/** The first stream of the shard, or one of those behind it. */
export function streamOf(log: Log, shard: number, nth = 0): string {
  const ids = Array.from({ length: 100 }, (_, i) => i).filter((i) => log.placement.shardOf(`a/${i}`) === shard)
  return `a/${ids[nth]}`
}

interface Chained {
  readonly version?: number
  readonly previous?: Address
  readonly type?: string
  /** A snapshot is not counted. Default: an event. */
  readonly kind?: RecordKind
  /** Which of the shard's streams; the first. */
  readonly nth?: number
}

/** Writes an event of a stream of the shard; durable when it resolves to where it stands. */
export async function writeEvent(log: Log, shard: number, chained: Chained = {}): Promise<Address> {
  const address = addEvent(log, shard, log.positions.next(), chained)
  await log.append(log.cut())
  return address
}

/** Adds one to the batch under construction. */
export function addEvent(
  log: Log,
  shard: number,
  position: number,
  { version = 1, previous = NOWHERE, type = 'Noted', kind = RecordKind.event, nth }: Chained = {},
): Address {
  return log.add(log.placement.stream(streamOf(log, shard, nth)), {
    kind,
    epoch: 0,
    seq: 0,
    version,
    payloadHash: 0,
    position,
    previous,
    time: 0,
    eventId: new Uint8Array(16),
    commandId: sliceOf(new Uint8Array(16)),
    typeVersion: 1,
    type: Buffer.from(type),
    data: sliceOf(encode({})),
    metadata: encode({}),
  })
}
