/** Reading a page of a stream: one walk back along its chain, for as much as a request may cost. */
import { compileFilter } from '../log/event-filter.ts'
import type { Log } from '../log/log.ts'
import { RecordKind, type LogRecord } from '../log/record.ts'
import type { Stream } from '../log/stream.ts'
import { encodePage, type Mark, type PageRequest } from './page.ts'
import type { StreamPlaces } from './stream-places.ts'

export interface PageBounds {
  /** A page ends once it holds so many events, or bytes, or was chosen from so many. */
  readonly events: number
  readonly bytes: number
  readonly versions: number
  /** Events that one request walks over at most. What is left is the next request's. */
  readonly walk: number
}

const BOUNDS: PageBounds = { events: 1_000, bytes: 1024 * 1024, versions: 16_000, walk: 256 * 1024 }

/** The durable events that are asked for. @throws PenholdError `LogCorrupt` */
export async function readPage(
  log: Log,
  stream: Stream,
  request: PageRequest,
  { places, bounds = BOUNDS }: { readonly places: StreamPlaces; readonly bounds?: PageBounds },
): Promise<unknown> {
  const walk = request.isBackwards ? new BackwardWalk(request, bounds) : new ForwardWalk(request, bounds)
  let walked = 0
  const { at, to } = request
  const known = to === undefined ? undefined : places.above(stream.name, to)
  const hint = at === undefined || to === undefined ? known : { address: at, version: to }
  await log.walk(stream, hint, (record) => {
    // What was created, and snapshots, are nobody's to read.
    if (record.kind !== RecordKind.event || record.version === 0) return true
    places.pass(stream.name, record)
    if (to !== undefined && record.version > to) {
      walked += 1
      return walked <= bounds.walk || walk.stopAt(record)
    }
    if (record.version < request.from) return false
    walked += 1
    return walked > bounds.walk ? walk.stopAt(record) : walk.take(record)
  })
  return walk.page()
}

/** Some events in a row of versions. */
class Chunk {
  readonly records: Uint8Array[] = []
  #count = 0
  /** The version it was begun with, going down. */
  readonly top: number
  readonly #bounds: PageBounds
  #bytes = 0
  #versions = 0

  constructor(top: number, bounds: PageBounds) {
    this.top = top
    this.#bounds = bounds
  }

  get isFull(): boolean {
    const { events, bytes, versions } = this.#bounds
    return this.#count >= events || this.#bytes >= bytes || this.#versions >= versions
  }

  pass(): void {
    this.#versions += 1
  }

  /** Takes the record in. What is handed out is a copy: the record's block holds more than the record. */
  add({ block, at, length }: LogRecord, isHandedOut: boolean): void {
    this.#count += 1
    this.#bytes += length
    if (isHandedOut) this.records.push(new Uint8Array(block.bytes.subarray(at, at + length)))
  }
}

/**
 * Chunk by chunk down to the first one, which is the page; the others are marked by where they begin. What is so far above
 * the first version that no page from there reaches it is not copied.
 */
class ForwardWalk {
  readonly #request: PageRequest
  readonly #bounds: PageBounds
  readonly #isWanted: (record: LogRecord) => boolean
  readonly #marks: Mark[] = []
  /** From here on no page that begins with the first version has anything. */
  readonly #outOfReach: number
  #chunk: Chunk | undefined
  #chunkMark: Mark | undefined
  #isCut = false

  constructor(request: PageRequest, bounds: PageBounds) {
    this.#request = request
    // Where everything is wanted a page has no more versions than events.
    const versions = request.filter === undefined ? Math.min(bounds.versions, bounds.events) : bounds.versions
    this.#bounds = { ...bounds, versions }
    this.#outOfReach = Math.max(1, request.from) + versions
    this.#isWanted = compileFilter(request.filter)
  }

  take(record: LogRecord): boolean {
    const { version, address } = record
    if (this.#chunk === undefined || this.#chunk.isFull) {
      if (this.#chunkMark !== undefined) this.#marks.push(this.#chunkMark)
      this.#chunk = new Chunk(version, this.#bounds)
      this.#chunkMark = { version, address }
    }
    this.#chunk.pass()
    if (this.#isWanted(record)) this.#chunk.add(record, version < this.#outOfReach)
    return version > this.#request.from
  }

  /** The request has cost enough: the next one begins here. */
  stopAt({ version, address }: LogRecord): boolean {
    if (this.#chunkMark !== undefined) this.#marks.push(this.#chunkMark)
    this.#marks.push({ version: Math.min(version, this.#request.to ?? version), address })
    this.#isCut = true
    return false
  }

  page(): unknown {
    const { from, limit } = this.#request
    if (this.#isCut || this.#chunk === undefined) return encodePage(new Uint8Array(), this.#marks, from)
    const records = this.#chunk.records.toReversed().slice(0, limit)
    return encodePage(Buffer.concat(records), this.#marks, this.#chunk.top + 1)
  }
}

/** The page is what comes first. */
class BackwardWalk {
  readonly #request: PageRequest
  readonly #isWanted: (record: LogRecord) => boolean
  readonly #marks: Mark[] = []
  readonly #chunk: Chunk

  constructor(request: PageRequest, bounds: PageBounds) {
    this.#request = request
    this.#isWanted = compileFilter(request.filter)
    this.#chunk = new Chunk(0, bounds)
  }

  take(record: LogRecord): boolean {
    if (this.#chunk.isFull || this.#chunk.records.length >= this.#request.limit) return this.stopAt(record)
    this.#chunk.pass()
    if (this.#isWanted(record)) this.#chunk.add(record, true)
    return record.version > this.#request.from
  }

  stopAt({ version, address }: LogRecord): boolean {
    this.#marks.push({ version: Math.min(version, this.#request.to ?? version), address })
    return false
  }

  page(): unknown {
    return encodePage(Buffer.concat(this.#chunk.records), this.#marks, 0)
  }
}
