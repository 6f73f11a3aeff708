/** A subscription to one stream: what it has from a version on, and then what comes, read from its owner. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { describe, PenholdError } from '../aggregate/error.ts'
import { badPayload } from '../cluster/error.ts'
import { checkOptions } from '../cluster/options.ts'
import { pause, type Clock } from '../log/clock.ts'
import { isCount } from '../log/count.ts'
import { logCorrupt } from '../log/error.ts'
import { filterProblem, type EventFilter } from '../log/event-filter.ts'
import { journalPath } from '../log/path.ts'
import type { LogRecord } from '../log/record.ts'
import type { Restoration } from '../log/restoration.ts'
import { versionAhead } from '../read/error.ts'
import type { StreamNews } from '../read/stream-news.ts'
import { checkName, type LoadOptions, type RecordsPage } from './event-store.ts'
import type { RawOption } from './read-options.ts'
import type { StreamRequest } from './reading-request.ts'
import { toRawEvent, toStoredEvent, typesOf, type RawEvent, type StoredEvent } from './stored-event.ts'

export interface FollowOptions {
  /** `category/id`. It need not be there yet. */
  readonly stream: string
  /** Behind which version to begin. Default: from the first. */
  readonly after?: number
  /** What is not wanted is not sent. */
  readonly filter?: EventFilter
  /** Ends the reading. */
  readonly signal?: AbortSignal
}

export interface AggregatePort {
  /** The stream's, where it is one's. */
  readonly aggregate: Aggregate | undefined
}

export interface FollowPorts {
  readonly news: StreamNews
  readonly load: (name: string, options: LoadOptions) => AsyncGenerator<RecordsPage, void, undefined>
  /** Of the stream's last event, as its owner knows it; 0 where it has none. */
  readonly versionOf: (name: string, options: { readonly signal: AbortSignal }) => Promise<number>
  readonly restorations: () => Promise<readonly Restoration[]>
  readonly clock: Clock
  readonly signal: AbortSignal
}

const FOLLOW_OPTIONS = ['stream', 'after', 'filter', 'raw', 'signal']
/** While nobody can answer, it is asked again after so long. */
const RETRY_MS = 100

/** @throws PenholdError `BadAddress`, `BadPayload` */
export function checkFollowOptions(options: FollowOptions & Partial<RawOption>): void {
  const { stream, after, filter } = options
  const what = `the subscription to ${describe(stream)}`
  checkOptions(what, options, FOLLOW_OPTIONS)
  checkName(stream)
  if (after !== undefined && !isCount(after)) throw badPayload(what, `after is ${describe(after)}; give a version`)
  const problem = filter === undefined ? undefined : filterProblem(filter)
  if (problem !== undefined) throw badPayload(what, problem)
}

export async function* followStream(
  { stream, after = 0, filter: given, ...options }: FollowOptions & Partial<RawOption>,
  { aggregate, ...ports }: FollowPorts & AggregatePort,
): AsyncGenerator<StoredEvent | RawEvent, void> {
  const filter = wantedIn(given, options.raw === true ? undefined : aggregate)
  const read = streamReader(options.raw === true, aggregate)
  for await (const { records } of followPages({ stream, after, filter }, ports)) {
    for (const record of records) {
      yield read(record)
      if (ports.signal.aborted) return
    }
  }
}

/** The filter with all names under which its types may stand in the log. */
export function wantedIn(filter: EventFilter | undefined, aggregate: Aggregate | undefined): EventFilter | undefined {
  if (filter?.types === undefined) return filter
  return { ...filter, types: typesOf(aggregate, filter.types) }
}

/** What is handed out for a record of a stream. */
export function streamReader(
  isRaw: boolean,
  aggregate: Aggregate | undefined,
): (record: LogRecord) => StoredEvent | RawEvent {
  return isRaw ? toRawEvent : (record) => toStoredEvent(record, aggregate)
}

/** Records of a stream that come one after the other. */
export interface FollowedPage {
  readonly records: readonly LogRecord[]
  /** Up to this version it is known what is wanted. */
  readonly version: number
  /** It has no more, for the moment. */
  readonly isLevel: boolean
}

/**
 * @throws PenholdError `PlaceAhead` where the stream has not come so far; `LogCorrupt`, behind what comes before the harm;
 * others as `load` has
 */
export async function* followPages(
  { stream, after, filter }: StreamRequest,
  { news, load, versionOf, restorations, clock, signal }: FollowPorts,
): AsyncGenerator<FollowedPage, void> {
  const follower = news.follow(stream)
  let next = after + 1
  let isThere = after === 0
  /** Whoever has come so far was told so by an owner, and whoever owns the stream now goes on from there. */
  async function checkAfter(): Promise<void> {
    const version = isThere ? after : await versionOf(stream, { signal })
    if (version < after) throw versionAhead(stream, after, { version, restorations: await restorations() })
    isThere = true
  }
  /** What there is. Nothing where the node is closed; where the owner cannot answer now it is asked again. */
  async function* pages(): AsyncGenerator<RecordsPage, void, undefined> {
    while (!signal.aborted) {
      try {
        await checkAfter()
        yield* load(stream, { from: next, signal, ...(filter && { filter }) })
        return
      } catch (error) {
        if (signal.aborted || isClosed(error)) return
        if (!(error instanceof PenholdError && error.retryable)) throw error
        await pause(clock, RETRY_MS)
      }
    }
  }
  try {
    for (let isMore = true; isMore; isMore = await follower.next(signal)) {
      for await (const page of pages()) {
        const harm = firstOutOfOrder(page.records, next, filter !== undefined)
        const records = harm === undefined ? page.records : page.records.slice(0, harm)
        next = (records.at(-1)?.version ?? next - 1) + 1
        if (harm !== undefined) {
          yield { records, version: next - 1, isLevel: true }
          throw outOfOrder(page.records[harm]!, next)
        }
        next = Math.max(next, page.next)
        yield { records, version: next - 1, isLevel: false }
        if (signal.aborted) return
      }
      yield { records: [], version: next - 1, isLevel: true }
    }
  } finally {
    follower.close()
  }
}

/** Which of the records does not go on; undefined where all do. */
export function firstOutOfOrder(records: readonly LogRecord[], from: number, mayLeaveOut: boolean): number | undefined {
  let next = from
  for (const [i, { version }] of records.entries()) {
    if (version < next || (!mayLeaveOut && version > next)) return i
    next = version + 1
  }
  return undefined
}

function isClosed(error: unknown): boolean {
  return error instanceof PenholdError && error.code === 'NodeClosed'
}

/** Never, if the log keeps its promises (I4). */
function outOfOrder({ stream, version, address }: LogRecord, next: number): PenholdError {
  return logCorrupt(
    journalPath(address.journal),
    address.offset,
    `${stream} goes from version ${next - 1} to ${version}`,
  )
}
