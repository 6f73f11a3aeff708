/** Reading a page of a stream: one walk back along its chain, for as much as a request may cost. */
import { compileFilter } from '../log/event-filter.ts'
import type { Log } from '../log/log.ts'
import { RecordKind, type LogRecord } from '../log/record.ts'
import type { Stream } from '../log/stream.ts'
import { encodePage, type Mark, type PageRequest } from './page.ts'

/** A page holds so many events, or bytes, and one more at most; and was chosen from so many. */
const PAGE_EVENTS = 1_000
const PAGE_BYTES = 1024 * 1024
const PAGE_VERSIONS = 16_000
/** Events that one request walks over at most. What is left is the next request's. */
const WALK_EVENTS = 256 * 1024

/** The durable events that are asked for. @throws PenholdError `LogCorrupt` */
export async function readPage(log: Log, stream: Stream, request: PageRequest): Promise<unknown> {
  const walk = request.isBackwards ? new BackwardWalk(request) : new ForwardWalk(request)
  let walked = 0
  const { at, to } = request
  const hint = at === undefined || to === undefined ? undefined : { address: at, version: to }
  await log.walk(stream, hint, (record) => {
    // What was created, and snapshots, are nobody's to read.
    if (record.kind !== RecordKind.event || record.version === 0) return true
    if (to !== undefined && record.version > to) {
      walked += 1
      return walked < WALK_EVENTS || walk.stopAt(record)
    }
    if (record.version < request.from) return false
    walked += 1
    return walked > WALK_EVENTS ? walk.stopAt(record) : walk.take(record)
  })
  return walk.page()
}

/** Some events in a row of versions. */
class Chunk {
  readonly records: Uint8Array[] = []
  /** The version it was begun with, going down. */
  readonly top: number
  #bytes = 0
  #versions = 0

  constructor(top: number) {
    this.top = top
  }

  get isFull(): boolean {
    return this.records.length >= PAGE_EVENTS || this.#bytes >= PAGE_BYTES || this.#versions >= PAGE_VERSIONS
  }

  pass(): void {
    this.#versions += 1
  }

  /** Keeps a copy: the record's block holds more than the record. */
  keep({ bytes }: LogRecord): void {
    this.records.push(Uint8Array.prototype.slice.call(bytes))
    this.#bytes += bytes.length
  }
}

/** Chunk by chunk down to the first one, which is the page; the others are marked by where they begin. */
class ForwardWalk {
  readonly #request: PageRequest
  readonly #isWanted: (record: LogRecord) => boolean
  readonly #marks: Mark[] = []
  #chunk: Chunk | undefined
  #chunkMark: Mark | undefined
  #isCut = false

  constructor(request: PageRequest) {
    this.#request = request
    this.#isWanted = compileFilter(request.filter)
  }

  take(record: LogRecord): boolean {
    const { version, address } = record
    if (this.#chunk === undefined || this.#chunk.isFull) {
      if (this.#chunkMark !== undefined) this.#marks.push(this.#chunkMark)
      this.#chunk = new Chunk(version)
      this.#chunkMark = { version, address }
    }
    this.#chunk.pass()
    if (this.#isWanted(record)) this.#chunk.keep(record)
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

  constructor(request: PageRequest) {
    this.#request = request
    this.#isWanted = compileFilter(request.filter)
    this.#chunk = new Chunk(0)
  }

  take(record: LogRecord): boolean {
    if (this.#chunk.isFull || this.#chunk.records.length >= this.#request.limit) return this.stopAt(record)
    this.#chunk.pass()
    if (this.#isWanted(record)) this.#chunk.keep(record)
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
