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
import type { StreamNews } from '../read/stream-news.ts'
import { checkName, type LoadOptions, type RecordsPage } from './event-store.ts'
import type { RawOption } from './read-options.ts'
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

export interface FollowPorts {
  /** The stream's, where it is one's. */
  readonly aggregate: Aggregate | undefined
  readonly news: StreamNews
  readonly load: (name: string, options: LoadOptions) => AsyncGenerator<RecordsPage, void, undefined>
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
  { aggregate, news, load, clock, signal }: FollowPorts,
): AsyncGenerator<StoredEvent | RawEvent, void> {
  const isRaw = options.raw === true
  const types = given?.types && (isRaw ? given.types : typesOf(aggregate, given.types))
  const filter = given && { ...given, ...(types && { types }) }
  const read = (record: LogRecord): StoredEvent | RawEvent =>
    isRaw ? toRawEvent(record) : toStoredEvent(record, aggregate)
  const follower = news.follow(stream)
  let next = after + 1
  /** What there is. Nothing where the node is closed; where the owner cannot answer now it is asked again. */
  async function* pages(): AsyncGenerator<RecordsPage, void, undefined> {
    while (!signal.aborted) {
      try {
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
        for (const record of page.records) {
          if (record.version < next || (filter === undefined && record.version > next)) throw outOfOrder(record, next)
          next = record.version + 1
          yield read(record)
          if (signal.aborted) return
        }
        next = Math.max(next, page.next)
      }
    }
  } finally {
    follower.close()
  }
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
