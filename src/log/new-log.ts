/**
 * A data directory that is made of events that were in another: all of them in one journal, with the ids, versions,
 * positions, times and bytes that they had. Snapshots are not taken along; aggregates make new ones.
 *
 * Until it is whole nothing starts on it: a file says that it is unfinished, and `cluster.json`, without which no node
 * touches what is there, is written last.
 *
 * Memory: the newest record of each stream, some 24 bytes each, and what a worker's log takes.
 */
import type { Clock } from './clock.ts'
import { encodeIdentity, type ClusterIdentity } from './cluster-identity.ts'
import { Log } from './log.ts'
import { CLUSTER_PATH, UNFINISHED_PATH } from './path.ts'
import { NOWHERE, RecordKind, type Address, type RecordParts } from './record.ts'
import { writeRestorations, type Restoration } from './restoration.ts'
import type { Storage } from './storage.ts'
import type { Stream } from './stream.ts'
import { StreamChains, type Chained } from './verify/stream-chains.ts'

export interface NewLogOptions {
  /** Of a directory that is there and empty. */
  readonly storage: Storage
  readonly clock: Clock
  readonly identity: ClusterIdentity
  readonly segmentBytes: number
}

/** What of an event the log does not give itself. */
export type EventParts = Omit<RecordParts, 'epoch' | 'seq' | 'previous' | 'kind'>

export interface NewLogEnd extends Omit<Restoration, 'resumesAt' | 'time'> {
  /** The restorations before this one. */
  readonly before: readonly Restoration[]
  /** The greatest position that is known to have been given. */
  readonly resumesAfter: number
}

export class NewLog {
  readonly #options: NewLogOptions
  readonly #log: Log
  readonly #chains = new StreamChains()
  #events = 0

  private constructor(options: NewLogOptions, log: Log) {
    this.#options = options
    this.#log = log
  }

  /** @throws PenholdError `StorageFull` */
  static async begin(options: NewLogOptions): Promise<NewLog> {
    const { storage, clock, identity, segmentBytes } = options
    await storage.createExclusive(UNFINISHED_PATH, Buffer.from('This is not all: begin anew, in an empty folder.\n'))
    const { clusterId, shards } = identity
    const own = Array.from({ length: shards }, (_, shard) => shard)
    const log = await Log.open({ storage, clock, clusterId, shards, own, segmentBytes, node: 'restored' })
    return new NewLog(options, log)
  }

  get events(): number {
    return this.#events
  }

  get streams(): number {
    return this.#chains.size
  }

  streamOf(name: string): Stream {
    return this.#log.placement.stream(name)
  }

  /**
   * Adds the next event, in the order of `$all`, which is durable some batches later. Its position is greater than every
   * other's of its shard, its version the next of its stream.
   * @throws PenholdError `StorageFull`
   */
  async add(stream: Stream, parts: EventParts): Promise<void> {
    const { version } = parts
    const before = this.#chains.endBefore(chained(stream, NOWHERE, 0))
    const { journal } = this.#log
    const previous = before === undefined ? NOWHERE : { journal, segment: before.segment, offset: before.offset }
    const address = this.#log.add(stream, { ...parts, kind: RecordKind.event, epoch: 0, seq: 0, previous })
    this.#chains.add(chained(stream, address, version), address.segment)
    this.#events += 1
    if (this.#log.isBatchFull) await this.#log.append(this.#log.cut())
  }

  /**
   * Makes it a data directory that a node can start on. Whatever is written to it has a position greater than
   * `resumesAfter` and than what the clock gives now, so that none can be mistaken for one that is not there any more.
   */
  async finish({ before, resumesAfter, ...end }: NewLogEnd): Promise<void> {
    const { storage, clock, identity } = this.#options
    const log = this.#log
    log.positions.observe(Math.max(end.position, resumesAfter))
    const resumesAt = log.positions.next()
    log.mark(resumesAt)
    await log.append(log.cut())
    await log.close()
    await writeRestorations(storage, [...before, { ...end, resumesAt, time: clock.now() }])
    // If we crash before, no node takes this for a log. After it, all that is left is to take the sign away.
    await storage.createExclusive(CLUSTER_PATH, encodeIdentity(identity))
    await storage.remove(UNFINISHED_PATH)
  }

  /** Lets go of the files. What is there stays unfinished. */
  abandon(): Promise<void> {
    return this.#log.abandon()
  }
}

function chained({ hash, bytes, name }: Stream, address: Address, version: number): Chained {
  const streamSlice = { bytes, start: 0, end: bytes.length }
  return { hashHigh: hash.high, hashLow: hash.low, streamSlice, stream: name, version, address }
}
