/**
 * One reading of a journal, for all who read it at about the same place: each batch is read once, and those that have
 * something in it are woken. What was read stays for a while, up to so many bytes, for those who come a little later.
 *
 * It goes as far as the furthest seal that somebody reads up to, behind which more may stand that is not durable: those who
 * read on with the journal have that once its worker has told.
 *
 * The reading waits for the slowest, but not for long: whoever does not take what is there, as one who stands still, is
 * cut off, and reads on by another strand when it goes on. What is harmed stops those alone who need it: they say so, and
 * whoever looks for it again reads it anew, by another strand.
 */
import type { Catalog } from '../log/catalog.ts'
import type { Cancel, Clock } from '../log/clock.ts'
import { RecordKind, type LogRecord } from '../log/record.ts'
import { isBefore, type Place } from '../log/reign.ts'
import { Bell } from './bell.ts'
import { recordsOf, type Harmed, type Run } from './journal-records.ts'
import type { KnownTails } from './known-tails.ts'

export interface StrandOptions {
  readonly catalog: Catalog
  readonly clock: Clock
  readonly tails: KnownTails
  /** So much of what was read is kept, and is read ahead of the slowest: as much as there is room for now. */
  readonly keptBytes: () => number
  readonly journal: number
  /** It begins with this segment. */
  readonly segment: number
  /** All that was wanted is read. */
  readonly onRead: () => void
  /** Nobody reads it any more, or it has failed. */
  readonly onEnd: () => void
}

/** What of a journal somebody reads. */
export interface Part {
  readonly shard: number
  readonly from: Place
  /** Nothing at this position or below it is wanted. */
  readonly after: number
  /** Up to there; undefined where it goes on for as long as the journal does. */
  readonly until: Place | undefined
  /** Rung when something of the shard was read, or may be missing, or the reader is cut off, or what it awaits has come. */
  readonly bell: Bell
}

/** Some records of a journal that stand together. */
interface Piece {
  readonly at: Place
  readonly bytes: number
  /** No event up to here has a greater position, and none behind that is of this journal alone a lower one. */
  readonly positionLast: number
  /** The events, by shard. */
  readonly events: ReadonlyMap<number, readonly LogRecord[]>
  /** One of the events. */
  readonly harmed: Harmed | undefined
}

/** What a reader gets at once. */
export interface Taken {
  readonly events: readonly LogRecord[]
  /** One of these, which the reader goes past only where it does not need it. */
  readonly harmed: Harmed | undefined
}

/** So long the reading waits for somebody who takes nothing. */
const PATIENCE_MS = 1_000
const NOTHING: Taken = { events: [], harmed: undefined }

export class Strand {
  readonly #options: StrandOptions
  readonly #readers = new Set<StrandReader>()
  /** What there is to read has changed, or who reads. */
  readonly #bell = new Bell()
  /** Somebody has taken what was read, or has left. */
  readonly #taken = new Bell()
  #pieces: Piece[] = []
  /** How many pieces were let go of. */
  #gone = 0
  /** So many from the first on, counting those too, somebody found wanting: they are for nobody who comes later. */
  #wanting = 0
  #bytes = 0
  #positionLast = 0
  /** Some of the records that it has read may be missing. */
  #isPart = false
  /** It has read an event that was not carried over from another journal. */
  #isAnchored = false
  /** Up to where all was read. */
  #head: Place
  /** Up to where the journal was last told to be durable. */
  #durable: Place = { segment: 0, offset: 0 }
  #failure: { readonly error: unknown } | undefined
  #state: 'new' | 'running' | 'ended' = 'new'

  constructor(options: StrandOptions) {
    this.#options = options
    this.#head = { segment: options.segment, offset: 0 }
  }

  /** Undefined where the part is not to be had here: it begins before what is kept, or in a later segment. */
  join(part: Part): StrandReader | undefined {
    const index = this.#state === 'ended' ? undefined : this.#indexOf(part)
    if (index === undefined) return undefined
    const reader = new StrandReader(this, part, index)
    this.#readers.add(reader)
    if (this.#state === 'new') void this.#run()
    this.#bell.ring()
    return reader
  }

  /** Takes over the readers of another that have taken all it has, where they can go on here without a detour. */
  adopt(other: Strand): void {
    const from = other.#head
    const { segment, offset } = this.#head
    const isNear =
      !isBefore(this.#head, from) || (from.segment === segment && from.offset - offset <= this.#options.keptBytes())
    if (this.#state !== 'running' || !isNear) return
    for (const reader of other.#readers) {
      const index = other.#hasAll(reader, other.#end) ? this.#indexOf({ ...reader.part, from, after: 0 }) : undefined
      if (index === undefined) continue
      other.#readers.delete(reader)
      this.#readers.add(reader)
      reader.strand = this
      this.#isPart ||= other.#isPart
      reader.index = index
      // What this one has read already it was not woken for.
      reader.part.bell.ring()
    }
    this.#bell.ring()
  }

  /** From which piece on it has all of the part; the next one where all that is there is before it. */
  #indexOf({ from, after }: Part): number | undefined {
    const offered = Math.max(0, this.#wanting - this.#gone)
    const first = this.#pieces[offered]
    const start = first?.at ?? this.#head
    if (!isBefore(from, start)) {
      if (from.segment > this.#head.segment) return undefined
      const containing = Math.max(
        0,
        this.#lastPiece(({ at }) => !isBefore(from, at)),
      )
      return containing < offered ? undefined : this.#gone + containing
    }
    // It begins earlier, and wants nothing that stands before what is there.
    if (first === undefined || first.positionLast > after) return undefined
    return this.#gone + this.#lastPiece(({ positionLast }) => positionLast <= after) + 1
  }

  #lastPiece(isSo: (piece: Piece) => boolean): number {
    return this.#pieces.findLastIndex(isSo)
  }

  /** What a reader has not taken yet. @throws what has ended the reading, once all was taken that came before */
  take(reader: StrandReader, bytesMax: number): Taken {
    const { shard } = reader.part
    const events: LogRecord[] = []
    let bytes = 0
    let harmed: Harmed | undefined
    const end = this.#endFor(reader)
    for (; reader.index < end && bytes < bytesMax && harmed === undefined; reader.index += 1) {
      const piece = this.#pieces[reader.index - this.#gone]!
      for (const event of piece.events.get(shard) ?? []) {
        events.push(event)
        bytes += event.length
      }
      if (piece.harmed?.record.shard === shard) harmed = piece.harmed
    }
    if (events.length === 0 && this.#failure !== undefined) throw this.#failure.error
    this.#taken.ring()
    return { events, harmed }
  }

  /** Whoever comes to read what was read up to now reads it anew, by another strand. */
  doubt(): void {
    this.#wanting = this.#end
  }

  /** Whether all up to a place was read, and taken by the reader. */
  hasCome(reader: StrandReader, to: Place): boolean {
    return !isBefore(this.#head, to) && this.#hasAll(reader, this.#endFor(reader))
  }

  /** So many pieces were read. */
  get #end(): number {
    return this.#gone + this.#pieces.length
  }

  /** So many of them a reader may have: one that reads on with the journal those that are durable, as its worker has told. */
  #endFor({ part: { until } }: StrandReader): number {
    if (until !== undefined) return this.#end
    const durable = this.#options.tails.end(this.#options.journal) ?? this.#durable
    return this.#gone + this.#lastPiece(({ at }) => isBefore(at, durable)) + 1
  }

  /** Whether the reader has taken all that is for it, of so many pieces. What has nothing for it it passes by. */
  #hasAll(reader: StrandReader, end: number): boolean {
    const { shard } = reader.part
    const left = this.#pieces.slice(reader.index - this.#gone, Math.max(0, end - this.#gone))
    const next = left.findIndex(({ events }) => events.has(shard))
    reader.index += next < 0 ? left.length : next
    return next < 0
  }

  leave(reader: StrandReader): void {
    this.#readers.delete(reader)
    this.#bell.ring()
    this.#taken.ring()
  }

  async #run(): Promise<void> {
    this.#state = 'running'
    const stopListening: Cancel = this.#options.tails.listen(() => this.#bell.ring())
    try {
      while (this.#readers.size > 0) {
        this.#offerDurable()
        const { to, isDurable } = this.#goal()
        if (isBefore(this.#head, to)) await this.#read(to, isDurable)
        else await this.#bell.rung()
      }
    } catch (error) {
      this.#failure = { error }
      for (const { part } of this.#readers) part.bell.ring()
    }
    this.#state = 'ended'
    stopListening()
    this.#options.onEnd()
  }

  /** What was read before it was durable is there for all once it is. */
  #offerDurable(): void {
    const end = this.#options.tails.end(this.#options.journal)
    if (end === undefined || !isBefore(this.#durable, end)) return
    const hasMore = isBefore(this.#durable, this.#head)
    this.#durable = end
    if (hasMore) for (const { part } of this.#readers) part.bell.ring()
  }

  /** Up to where somebody wants something that is there. */
  #goal(): { readonly to: Place; readonly isDurable: boolean } {
    const end = this.#options.tails.end(this.#options.journal)
    let [to, isDurable] = [this.#head, false]
    for (const { part } of this.#readers) {
      const wanted = part.until ?? end
      if (wanted === undefined || !isBefore(to, wanted)) continue
      to = wanted
      isDurable = wanted === end
    }
    return { to, isDurable }
  }

  async #read(to: Place, isDurable: boolean): Promise<void> {
    const { catalog, journal } = this.#options
    for await (const run of recordsOf(catalog, { journal, from: this.#head, to, isDurable })) {
      this.#add(run)
      while (this.#bytes > this.#options.keptBytes() && this.#pieces.length > 1) await this.#letGo()
      if (this.#readers.size > 0) continue
      // At once: the head stands before what was read last, which whoever came now would get twice.
      this.#state = 'ended'
      return
    }
    this.#head = to
    for (const { awaits, part } of this.#readers) if (awaits !== undefined || this.#isPart) part.bell.ring()
    this.#options.onRead()
  }

  #add({ at: { segment, offset }, records, harmed, isPart = false }: Run): void {
    const events = new Map<number, LogRecord[]>()
    const opened = new Map<number, number>()
    let bytes = 0
    for (const record of records) {
      const { kind, shard, position } = record
      bytes += record.length
      if (kind === RecordKind.opened) opened.set(shard, position)
      if (kind !== RecordKind.event) continue
      this.#positionLast = Math.max(this.#positionLast, position)
      // What was carried over looks like the rest where its opening is missing.
      this.#isAnchored ||= !isPart && position > (opened.get(shard) ?? 0)
      const ofShard = events.get(shard)
      if (ofShard === undefined) events.set(shard, [record])
      else ofShard.push(record)
    }
    this.#isPart ||= isPart
    // Read, but not known to end here: whoever begins at its place gets it.
    this.#head = { segment, offset }
    const positionLast = this.#isAnchored ? this.#positionLast : Number.POSITIVE_INFINITY
    const isEvent = harmed?.record.kind === RecordKind.event
    this.#pieces.push({ at: this.#head, bytes, positionLast, events, harmed: isEvent ? harmed : undefined })
    this.#bytes += bytes
    for (const { part } of this.#readers) if (events.has(part.shard)) part.bell.ring()
  }

  /** Lets go of the oldest piece, once nobody needs it or those who do were waited for. */
  async #letGo(): Promise<void> {
    const { clock } = this.#options
    const oldest = this.#pieces[0]!
    const isNeeded = ({ index, part }: StrandReader): boolean => index === this.#gone && oldest.events.has(part.shard)
    const until = clock.monotonic() + PATIENCE_MS
    for (
      let leftMs = PATIENCE_MS;
      leftMs > 0 && [...this.#readers].some(isNeeded);
      leftMs = until - clock.monotonic()
    ) {
      await this.#taken.rungWithin(clock, leftMs)
    }
    for (const reader of this.#readers) {
      if (isNeeded(reader)) this.#cut(reader, oldest.at)
      else if (reader.index === this.#gone) reader.index += 1
    }
    this.#pieces.shift()
    this.#gone += 1
    this.#bytes -= oldest.bytes
  }

  #cut(reader: StrandReader, at: Place): void {
    reader.cutAt = at
    this.#readers.delete(reader)
    reader.part.bell.ring()
  }
}

/** Somebody who reads a part of a journal by a strand. */
export class StrandReader {
  strand: Strand
  readonly part: Part
  /** The bell is rung once all is read up to here. */
  awaits: Place | undefined
  /** It has taken nothing for too long: it has to read on from here by another. */
  cutAt: Place | undefined
  /** How many of the strand's pieces were taken, or passed by. */
  index: number

  constructor(strand: Strand, part: Part, index: number) {
    this.strand = strand
    this.part = part
    this.index = index
  }

  /** What of the shard was read and not taken: all that is there, up to so much. Some of it may stand before the part. */
  take(bytesMax: number): Taken {
    return this.cutAt !== undefined ? NOTHING : this.strand.take(this, bytesMax)
  }

  hasCome(to: Place): boolean {
    return this.cutAt === undefined && this.strand.hasCome(this, to)
  }

  leave(): void {
    this.strand.leave(this)
  }
}
