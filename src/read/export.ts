/** Events as lines of JSON (NDJSON): one event a line, in the order of `$all`, as they stand in the log. */
import { Catalog } from '../log/catalog.ts'
import type { Clock } from '../log/clock.ts'
import { decodeIdentity } from '../log/cluster-identity.ts'
import { dataFormat } from '../log/error.ts'
import { formatId } from '../log/identity.ts'
import { findMoment, type Moment } from '../log/backup/moment.ts'
import { readOnly } from '../log/backup/read-only.ts'
import { CLUSTER_PATH } from '../log/path.ts'
import type { LogRecord } from '../log/record.ts'
import { readWhole, type Storage } from '../log/storage.ts'
import { hash64, streamType } from '../log/stream.ts'
import { AllReader, BEGINNING, type Frontier } from './all.ts'
import { toJson } from './event-json.ts'
import { wholeCommands } from './whole-commands.ts'

export interface ExportOptions {
  /** A data directory. Nothing is written there; nodes may run on it. */
  readonly storage: Storage
  readonly clock: Clock
  readonly pause: () => Promise<void>
  /** The first position, and the last; by default all that there is. */
  readonly from?: number
  readonly until?: number
  /** Types of events, as `MoneyDeposited` or `account/MoneyDeposited`; by default all. */
  readonly types?: readonly string[]
  readonly signal?: AbortSignal
}

/** Some lines, each with its end, and how many. */
export interface Lines {
  readonly text: string
  readonly count: number
}

const TEXT_CHARS = 256 * 1024
/** Greater than any shard. */
const NO_SHARD = 2 ** 16

/** @throws PenholdError `LogCorrupt` where something cannot be read; `DataFormat`; `BackupUnsettled` */
export async function* exportLines(options: ExportOptions): AsyncGenerator<Lines> {
  const storage = readOnly(options.storage)
  const content = await readWhole(storage, CLUSTER_PATH)
  const identity = content === undefined ? undefined : decodeIdentity(content)
  if (identity === undefined) {
    throw dataFormat(`${CLUSTER_PATH} is missing or not what was written. Run 'penhold verify'.`, {})
  }
  const { clock, pause, signal, from = 0, until = Number.POSITIVE_INFINITY } = options
  const { shards } = identity
  const catalog = new Catalog({ storage, clock, cluster: hash64(identity.clusterId, 0), shards })
  const onRead = (): void => signal?.throwIfAborted()
  try {
    const moment = await findMoment({ storage, catalog, clock, shards, known: [], atLeast: 0, onRead, pause })
    const reader = new AllReader(catalog, { after: from <= 1 ? BEGINNING : { position: from - 1, shard: NO_SHARD } })
    const types = options.types === undefined ? undefined : new Set(options.types)
    let [text, count] = ['', 0]
    for await (const events of wholeCommands(reader, frontierOf(moment, until))) {
      signal?.throwIfAborted()
      for (const event of events) {
        if (event.isInternal || (types !== undefined && !isOf(event, types))) continue
        text += `${lineOf(event)}\n`
        count += 1
        if (text.length < TEXT_CHARS) continue
        yield { text, count }
        ;[text, count] = ['', 0]
      }
    }
    if (count > 0) yield { text, count }
  } finally {
    await catalog.close()
  }
}

function frontierOf({ reigns, journals, position }: Moment, until: number): Frontier {
  const ends = new Map(journals.map(({ journal, end }) => [journal, end]))
  return { reigns, ends, position: Math.min(position, until) }
}

function isOf({ type, stream }: LogRecord, types: ReadonlySet<string>): boolean {
  return types.has(type) || types.has(`${streamType(stream)}/${type}`)
}

/** Data and metadata are left out where there are none. */
function lineOf(event: LogRecord): string {
  const { position, stream, version, type, typeVersion, payloadHash, data, metadata } = event
  return JSON.stringify({
    position,
    id: formatId(event.eventIdSlice),
    stream,
    version,
    time: new Date(event.time).toISOString(),
    type,
    typeVersion,
    data: toJson(data),
    metadata: toJson(metadata),
    commandId: formatId(event.commandId),
    payloadHash,
  })
}
