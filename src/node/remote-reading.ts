/**
 * Reading from the nodes of a cluster, from outside of it. It is asked of one of them; where that one is gone, another is
 * asked from the place on that was reached, so that nothing comes twice and nothing is missing.
 */
import { fromFailure } from '../actor/error.ts'
import type { Failure } from '../actor/message.ts'
import { nobodyToReadFrom } from '../cluster/error.ts'
import { BadFrame } from '../cluster/frame.ts'
import type { ReadingKind, ReadingPage, ReadingRequest } from '../cluster/reading-frames.ts'
import type { Came, ReadingLine } from '../cluster/reading-line.ts'
import type { ReadingLines } from '../cluster/reading-lines.ts'
import { pause, type Clock } from '../log/clock.ts'
import type { LogRecord } from '../log/record.ts'
import { splitRecords } from '../log/recorded-event.ts'
import { comparePlaces } from '../read/place.ts'
import { encodeAllRequest, encodeStreamRequest, type AllRequest, type StreamRequest } from './reading-request.ts'
import { firstOutOfOrder } from './stream-subscription.ts'

/** What is read, and how far it has come. */
export interface Resumable {
  readonly kind: ReadingKind
  /** It has no end, and so it waits for somebody who answers; what has one fails. */
  readonly isLive: boolean
  /** What a node is to read, behind what has come. */
  readonly request: ReadingRequest
  /** Takes in what has come. @throws BadFrame where that is not what comes next */
  take(page: ReadingPage): readonly LogRecord[]
}

export interface RemotePorts {
  readonly lines: ReadingLines
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Whoever reads to an end waits for a node so long. */
  readonly patienceMs: number
}

/** While no node can be asked it is looked for one again after so long. */
const RETRY_MS = 100

export class ResumableAll implements Resumable {
  readonly kind = 'all'
  #request: AllRequest

  constructor(request: AllRequest) {
    this.#request = request
  }

  get isLive(): boolean {
    return this.#request.isLive
  }

  get request(): ReadingRequest {
    return encodeAllRequest(this.#request)
  }

  take({ records: bytes, place, until = this.#request.until }: ReadingPage): readonly LogRecord[] {
    const records = [...splitRecords(bytes)]
    let { after, mayBeAhead } = this.#request
    for (const record of records) {
      if (comparePlaces(record, after) <= 0) throw new BadFrame('events come out of order')
      after = { position: record.position, shard: record.shard }
      mayBeAhead = false
    }
    if (place !== undefined) {
      if (comparePlaces(place, after) < 0) throw new BadFrame('a place lies before its events')
      after = place
      mayBeAhead = false
    }
    this.#request = { ...this.#request, after, mayBeAhead, until }
    return records
  }
}

export class ResumableStream implements Resumable {
  readonly kind = 'stream'
  readonly isLive = true
  #request: StreamRequest

  constructor(request: StreamRequest) {
    this.#request = request
  }

  get request(): ReadingRequest {
    return encodeStreamRequest(this.#request)
  }

  take({ records: bytes, place }: ReadingPage): readonly LogRecord[] {
    const records = [...splitRecords(bytes)]
    const { stream, filter, after } = this.#request
    const isOther = records.some((record) => record.stream !== stream)
    if (isOther || firstOutOfOrder(records, after + 1, filter !== undefined) !== undefined) {
      throw new BadFrame(`what comes is not what follows version ${after} of ${stream}`)
    }
    const last = records.at(-1)?.version ?? after
    if (place !== undefined && place.position < last) throw new BadFrame('a version lies before its events')
    this.#request = { ...this.#request, after: place?.position ?? last }
    return records
  }
}

/**
 * What comes, page by page. One page is asked for ahead of the one that is handed out.
 * @throws PenholdError what the node says; `NotSupported` where all nodes are too old, `MailboxFull` where all have too
 * much to read for others, `ShardUnavailable` where none can be reached for what has an end
 */
export async function* remotePages(
  reading: Resumable,
  { lines, clock, signal, patienceMs }: RemotePorts,
): AsyncGenerator<readonly LogRecord[], void> {
  /** Nodes that were asked in vain since something came, and what one has refused with. */
  const tried = new Set<string>()
  let refusal: Failure | undefined
  /** Since when nobody could be asked. */
  let awaySince: number | undefined
  const onPage = (): void => {
    tried.clear()
    refusal = undefined
    awaySince = undefined
  }
  while (!signal.aborted) {
    const line = await lines.line(tried)
    if (signal.aborted) return
    if (line !== undefined) {
      const end = yield* pagesOver(line, reading, { signal, onPage })
      if (end.kind === 'done') return
      tried.add(line.node)
      if (end.kind === 'refused') refusal = end.failure
      continue
    }
    if (refusal !== undefined) throw fromFailure(refusal)
    awaySince ??= clock.monotonic()
    if (!reading.isLive && clock.monotonic() - awaySince >= patienceMs) throw nobodyToReadFrom(patienceMs)
    tried.clear()
    await pause(clock, RETRY_MS)
  }
}

/** Why nothing more comes from a node. `gone`, `refused`: another may be asked. */
type End =
  { readonly kind: 'done' } | { readonly kind: 'gone' } | { readonly kind: 'refused'; readonly failure: Failure }

async function* pagesOver(
  line: ReadingLine,
  reading: Resumable,
  { signal, onPage }: { readonly signal: AbortSignal; readonly onPage: () => void },
): AsyncGenerator<readonly LogRecord[], End> {
  const remote = line.open(reading.kind, reading.request)
  const stop = (): void => remote.close()
  signal.addEventListener('abort', stop)
  try {
    for (let coming = remote.next(); ;) {
      const came = await coming
      if (signal.aborted) return { kind: 'done' }
      if (came.kind !== 'page') return endOf(came)
      const records = taken(reading, came.page, line)
      if (records === undefined) return { kind: 'gone' }
      onPage()
      const { isLast } = came.page
      if (!isLast) coming = remote.next()
      if (records.length > 0) yield records
      if (isLast) return { kind: 'done' }
    }
  } finally {
    signal.removeEventListener('abort', stop)
    remote.close()
  }
}

function taken(reading: Resumable, page: ReadingPage, line: ReadingLine): readonly LogRecord[] | undefined {
  try {
    return reading.take(page)
  } catch (error) {
    line.distrust(error)
    return undefined
  }
}

/** @throws PenholdError what any node would say */
function endOf(came: Exclude<Came, { readonly kind: 'page' }>): End {
  if (came.kind === 'gone' || came.failure.code === 'NodeClosed') return { kind: 'gone' }
  if (came.failure.code === 'MailboxFull') return { kind: 'refused', failure: came.failure }
  throw fromFailure(came.failure)
}
