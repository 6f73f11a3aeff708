/** Making a log of lines of JSON, as an export writes them. All lines are checked before the first is written. */
import { PenholdError } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import type { ClusterIdentity } from '../log/cluster-identity.ts'
import { NewLog } from '../log/new-log.ts'
import { RECORD_BYTES_MAX, recordLength, RecordKind, NOWHERE } from '../log/record.ts'
import type { Storage } from '../log/storage.ts'
import { StreamPlacement, type Stream } from '../log/stream.ts'
import { BadLine, readLine, type EventLine } from './event-line.ts'

export interface ImportOptions {
  /** The lines, from the first; asked for twice. */
  readonly lines: () => AsyncIterable<Uint8Array>
  /** How they are called in a message. */
  readonly name: string
  /** Of a data directory that is there and empty. */
  readonly to: Storage
  readonly clock: Clock
  readonly identity: ClusterIdentity
  readonly segmentBytes: number
  /** A UUID. */
  readonly id: string
  readonly signal?: AbortSignal
}

export interface Imported {
  readonly events: number
  readonly streams: number
  /** Of the last event. */
  readonly position: number
}

interface ImportedEvent extends Omit<EventLine, 'stream'> {
  readonly stream: Stream
}

/** @throws PenholdError `BadImport`, with nothing written; `StorageFull` */
export async function importLines(options: ImportOptions): Promise<Imported> {
  const { to, clock, identity, segmentBytes, id } = options
  let position = 0
  for await (const { parts } of eventsOf(options)) position = parts.position
  const log = await NewLog.begin({ storage: to, clock, identity, segmentBytes })
  try {
    for await (const { stream, parts } of inOrder(eventsOf(options))) await log.add(stream, parts)
    await log.finish({ id, position, before: [], resumesAfter: position })
    return { events: log.events, streams: log.streams, position }
  } catch (error) {
    await log.abandon()
    throw error
  }
}

/** Events of one position by their shards, as `$all` has them. */
async function* inOrder(events: AsyncIterable<ImportedEvent>): AsyncGenerator<ImportedEvent> {
  let row: ImportedEvent[] = []
  for await (const event of events) {
    if (row[0] !== undefined && row[0].parts.position !== event.parts.position) {
      yield* row.toSorted((a, b) => a.stream.shard - b.stream.shard)
      row = []
    }
    row.push(event)
  }
  yield* row.toSorted((a, b) => a.stream.shard - b.stream.shard)
}

async function* eventsOf({ lines, name, identity, signal }: ImportOptions): AsyncGenerator<ImportedEvent> {
  const check = new RowCheck(identity)
  let number = 0
  for await (const text of lines()) {
    signal?.throwIfAborted()
    number += 1
    try {
      yield check.next(readLine(text))
    } catch (error) {
      if (error instanceof BadLine) throw badImport(`${name}, line ${number}`, error.message)
      throw error
    }
  }
}

/** What lines have to keep among each other. Memory: the version of each stream. */
class RowCheck {
  readonly #placement: StreamPlacement
  readonly #versions = new Map<string, number>()
  /** By shard, of its last event. */
  readonly #positions = new Map<number, number>()
  #position = 0

  constructor({ clusterId, shards }: ClusterIdentity) {
    this.#placement = new StreamPlacement(clusterId, shards)
  }

  /** @throws BadLine */
  next({ stream: name, parts }: EventLine): ImportedEvent {
    const { version, position } = parts
    const stream = this.#placement.stream(name)
    const expected = (this.#versions.get(name) ?? 0) + 1
    if (version !== expected) throw new BadLine(`its version of ${name} is ${version}, and ${expected} is the next`)
    if (position < this.#position)
      throw new BadLine(`its position ${position} is below ${this.#position} of the line before`)
    if (position === this.#positions.get(stream.shard)) {
      throw new BadLine(
        `its position ${position} is that of another event, which falls into the same shard; give the cluster id and the number of shards of the log that was exported`,
      )
    }
    const length = recordLength(stream, { ...parts, kind: RecordKind.event, epoch: 0, seq: 0, previous: NOWHERE })
    if (length > RECORD_BYTES_MAX) throw new BadLine(`it takes ${length} bytes, of ${RECORD_BYTES_MAX} at most`)
    this.#versions.set(name, version)
    this.#positions.set(stream.shard, position)
    this.#position = position
    return { stream, parts }
  }
}

function badImport(where: string, problem: string): PenholdError {
  return new PenholdError('BadImport', `${where}: ${problem}. Nothing was imported.`, {
    outcome: 'none',
    retryable: false,
    details: { where, problem },
  })
}
