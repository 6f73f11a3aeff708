/**
 * `$all`: every event that counts, in one order that stands in the log (docs/decisions/all-order.md).
 *
 * A reader goes on in strides. For each it is told a frontier: of every shard the reigns, and how far the journal of its
 * owner is durable and what that one has promised to write nothing below. Up to the lowest promise the log is complete,
 * so that a stride is a merge of journals and nothing else; what stands above it waits for the next.
 */
import type { Catalog } from '../log/catalog.ts'
import type { PenholdError } from '../aggregate/error.ts'
import { logCorrupt } from '../log/error.ts'
import { segmentPath } from '../log/path.ts'
import { RecordKind, type LogRecord } from '../log/record.ts'
import { isBefore, type Place, type Reign } from '../log/reign.ts'
import { carriedBehind, recordsOf, type Stretch } from './journal-records.ts'
import { lastBefore, type Counted, type Next } from './last-before.ts'
import { isLossAccepted } from './losses-between.ts'
import { PassedOver } from './passed-over.ts'
import { ShardReigns } from './shard-reigns.ts'
import { inOrder, merge, Source } from './source.ts'

/** How far the log is complete. */
export interface Frontier {
  /** Of every shard, oldest first; its owner's is the last, and has no seal. */
  readonly reigns: ReadonlyMap<number, readonly Reign[]>
  /** By journal of an owner: up to where it is durable and counts. */
  readonly ends: ReadonlyMap<number, Place>
  /** Nothing will be durable below this that is not durable now. */
  readonly position: number
}

/** A place in the order of `$all`: behind an event. */
export interface AllPlace {
  readonly position: number
  readonly shard: number
}

/** Events that are gone, as an operator has accepted. */
export interface AcceptedLoss {
  readonly shard: number
  readonly firstSeq: number
  readonly lastSeq: number
}

export interface AllReaderOptions {
  /** Behind which place to begin. Default: at the beginning. */
  readonly after?: AllPlace
  /** Told before what comes behind the loss is handed out. */
  readonly onLoss?: (loss: AcceptedLoss) => void
  /**
   * Whether events of a type, `category/Type@version`, are wanted. Others may be left out where so much is saved: segments
   * that have nothing else are not read. Default: all are.
   */
  readonly isWanted?: ((eventType: string) => boolean) | undefined
}

/** Its number and where it stands, in an object of its own: a record keeps in memory all that was read with it. */
interface Last {
  seq: number
  epoch: number
  journal: number
  segment: number
  offset: number
}

export const BEGINNING: AllPlace = { position: 0, shard: 0 }

export class AllReader {
  readonly #catalog: Catalog
  readonly #reigns = new ShardReigns()
  /** By journal: up to where all that counts was handed out. */
  readonly #done = new Map<number, Place>()
  /** What owners have carried over and was not handed out yet. */
  #carried: LogRecord[] = []
  /** By shard: the last event that was handed out, or what the first is to go on from. */
  readonly #last = new Map<number, Last>()
  /** By shard: the last that was read and stands up to where it has begun. */
  readonly #passed = new Map<number, Counted>()
  /** By journal that ends before the last of its seals: where. */
  #ended = new Map<number, Place>()
  readonly #onLoss: (loss: AcceptedLoss) => void
  /** Where all is wanted there is none. */
  readonly #passedOver: PassedOver | undefined
  /** Behind which place it has begun. */
  readonly #begin: AllPlace
  #after: AllPlace

  constructor(catalog: Catalog, { after = BEGINNING, onLoss = () => undefined, isWanted }: AllReaderOptions = {}) {
    this.#catalog = catalog
    // What stopped a reader before this one may be mended.
    catalog.forgetHarmed()
    this.#begin = after
    this.#after = after
    this.#onLoss = onLoss
    this.#passedOver = isWanted && new PassedOver({ catalog, reigns: this.#reigns, isWanted })
  }

  /** Behind which event it stands. */
  get after(): AllPlace {
    return this.#after
  }

  /**
   * What comes next, up to the frontier, some events at a time. To be read to its end.
   * @throws PenholdError `LogCorrupt` where something cannot be read, or a shard's events do not go on one by one (I4) and
   * that is no loss that was accepted
   */
  async *advance({ reigns, ends, position }: Frontier): AsyncGenerator<readonly LogRecord[]> {
    for (const [shard, ofShard] of reigns) await this.#learn(shard, ofShard)
    const stretches = await Promise.all(this.#reigns.stretches(ends).map((stretch) => this.#rest(stretch)))
    const sources = stretches.map((stretch) => new Source(this.#journal(stretch, position)))
    const carried = this.#carried.filter((event) => event.position <= position)
    this.#carried = this.#carried.filter((event) => event.position > position)
    sources.push(new Source(ofOne(carried)))
    for await (const events of merge(sources)) {
      for (const event of events) {
        const { shard, seq } = event
        const last = this.#last.get(shard) ?? (await this.#findLast(event))
        if (last.seq + 1 !== seq && !this.#goesOn(shard, last, seq)) await this.#acceptLoss(event, last)
        last.seq = seq
        last.epoch = event.epoch
        last.journal = event.journal
        last.segment = event.segment
        last.offset = event.offset
      }
      this.#after = placeOf(events.at(-1)!)
      yield events
    }
    await this.#checkEnds(position)
  }

  /** Takes in who has owned a shard. */
  async #learn(shard: number, reigns: readonly Reign[]): Promise<void> {
    const known = this.#reigns.of(shard).at(-1)?.epoch ?? 0
    this.#reigns.set(shard, reigns)
    for (const { epoch, journal, from } of reigns) {
      if (epoch <= known) continue
      const carried = await carriedBehind(this.#catalog, { journal, ...from })
      this.#carried.push(...carried.filter(({ position, shard: of }) => isBehind(position, of, this.#after)))
    }
    // A seal may stand before the opening: then the next owner has carried the same once more.
    this.#carried = this.#carried.filter((event) => this.#reigns.counts(event)).sort(inOrder)
  }

  /** What of a stretch is still to be read. */
  async #rest({ journal, from, to, isDurable }: Stretch): Promise<Stretch> {
    const done = this.#done.get(journal)
    if (done !== undefined) return { journal, from: isBefore(done, to) ? done : to, to, isDurable }
    if (this.#after.position === 0) return { journal, from, to, isDurable }
    let { segment } = from
    for (; segment < to.segment; segment += 1) {
      const index = await this.#catalog.index(journal, segment, undefined)
      // Another shard may have an event at the same position.
      if (index.positionLast >= this.#after.position) break
    }
    return { journal, from: { segment, offset: 0 }, to, isDurable }
  }

  /** The events of a journal that count, up to a position, but for those that its writer has carried over. */
  async *#journal(stretch: Stretch, until: number): AsyncGenerator<readonly LogRecord[]> {
    const { journal, to } = stretch
    const [begin, after] = [this.#begin, this.#after]
    /** By shard: the position of its opening. What its owner carried over has none that is greater, all else has. */
    const opened = new Map<number, number>()
    const passesOver = async (segment: number): Promise<boolean> =>
      (await this.#passedOver?.take(stretch, segment, until)) ?? false
    /** Something is missing since the last event: behind the place where reading begins, if what follows is. */
    let missing: PenholdError | undefined
    for await (const { at, records, ...run } of recordsOf(this.#catalog, stretch, passesOver)) {
      if (run.harmed !== undefined && !isUpTo(run.harmed.record, begin)) throw run.harmed.error
      if (run.isEnd === true) this.#ended.set(journal, at)
      const events: LogRecord[] = []
      let isAbove = false
      for (const record of records) {
        const { kind, position, shard } = record
        if (kind === RecordKind.opened) opened.set(shard, position)
        if (kind !== RecordKind.event) continue
        if (position <= begin.position && inOrder(record, begin) <= 0) this.#pass(record)
        if (position <= (opened.get(shard) ?? 0)) continue
        const lacks = run.missing ?? missing
        if (lacks !== undefined && position > this.#begin.position) throw lacks
        missing = undefined
        // Whether it counts is known up to there: of an owner that comes and goes nobody need have told yet.
        if (position > until) isAbove = true
        else if (isBehind(position, shard, after) && this.#reigns.counts(record)) events.push(record)
      }
      if (events.length > 0) yield events
      if (isAbove) {
        this.#done.set(journal, at)
        return
      }
      missing = run.missing ?? missing
    }
    if (missing !== undefined && !(await this.#hasBegunBehind(journal))) throw missing
    this.#done.set(journal, to)
  }

  /** Whether all that counts in a journal stands up to where it has begun: before that come the openings of all who came next. */
  async #hasBegunBehind(journal: number): Promise<boolean> {
    for (const heir of this.#reigns.heirsOf(journal)) {
      if (heir === undefined) return false
      const opening = await this.#catalog.record({ journal: heir.journal, ...heir.from })
      if (opening.position >= this.#begin.position) return false
    }
    return true
  }

  #pass(record: LogRecord): void {
    const { shard, epoch, seq, address } = record
    // Journals are read side by side. A record that is kept would keep all that was read with it.
    if (epoch < (this.#passed.get(shard)?.epoch ?? 0) || !this.#reigns.counts(record)) return
    this.#passed.set(shard, { epoch, seq, address })
  }

  /** What a shard's first event is to go on from. */
  async #findLast(next: Next): Promise<Last> {
    const { shard, epoch } = next
    const search = { place: this.#begin, next, isSegmentRead: true }
    const passed = this.#passed.get(shard)
    // Within a reign all is read that stands between, or known to be passed over.
    const isNear = passed?.epoch === epoch
    const {
      seq,
      epoch: ofLast,
      address,
    } = isNear ? passed : await lastBefore(this.#catalog, this.#reigns.of(shard), search)
    const last = { seq, epoch: ofLast, ...address }
    this.#last.set(shard, last)
    this.#passed.delete(shard)
    return last
  }

  /** Whether all between the last and this one was passed over. */
  #goesOn(shard: number, last: Last, seq: number): boolean {
    if (this.#passedOver === undefined) return false
    const reached = this.#passedOver.lastBehind(shard, last.seq)
    // What was carried over is handed out although the segment was passed over in which it stands behind its opening.
    if (last.seq < seq && seq <= reached + 1) return true
    last.seq = reached
    return false
  }

  /**
   * Of a journal that ends before a seal nothing may be missing but what was in doubt: whoever came next has the number of the
   * last event before.
   */
  async #checkEnds(until: number): Promise<void> {
    const ended = this.#ended
    this.#ended = new Map()
    for (const [journal, end] of ended) {
      for (const { shard, heir } of this.#reigns.heirsBehind(journal, end)) {
        const opening = await this.#catalog.record({ journal: heir.journal, ...heir.from })
        // Not all before it was read yet.
        if (opening.position > until) this.#ended.set(journal, end)
        else if (opening.position > this.#begin.position) await this.#checkOpening(shard, opening)
      }
    }
  }

  async #checkOpening(shard: number, { seq, epoch, address }: LogRecord): Promise<void> {
    const next = { shard, epoch, seq: seq + 1, address }
    const last = this.#last.get(shard) ?? (await this.#findLast(next))
    if (last.seq >= seq || this.#goesOn(shard, last, next.seq)) return
    await this.#acceptLoss(next, last)
    Object.assign(last, { seq, epoch, ...address })
  }

  /** Events are missing before this one, which is an error where no operator has accepted that. */
  async #acceptLoss({ shard, seq, epoch, address }: Next, last: Last): Promise<void> {
    const ends = { from: { epoch: last.epoch, address: last }, to: { epoch, address } }
    if (!(await isLossAccepted(this.#catalog, this.#reigns.of(shard), ends))) {
      const path = segmentPath(address.journal, address.segment)
      throw logCorrupt(path, address.offset, `shard ${shard} goes from seq ${last.seq} to ${seq}`)
    }
    this.#onLoss({ shard, firstSeq: last.seq + 1, lastSeq: seq - 1 })
  }
}

/** In an object of its own: a record keeps in memory all that was read with it, and an event its data. */
export function placeOf({ position, shard }: AllPlace): AllPlace {
  return { position, shard }
}

/** Of an event's place; by its numbers, because an object for each event takes its time. */
function isBehind(position: number, shard: number, place: AllPlace): boolean {
  return position > place.position || (position === place.position && shard > place.shard)
}

function isUpTo(record: LogRecord, place: AllPlace): boolean {
  return record.kind === RecordKind.event && inOrder(record, place) <= 0
}

async function* ofOne(events: readonly LogRecord[]): AsyncGenerator<readonly LogRecord[]> {
  if (events.length > 0) yield events
}
