/**
 * The events of one shard that a worker of this node serves, in order: those behind a place, and then what is made
 * durable. They stand reign by reign in their owners' journals, so that no other shard's owner is waited for.
 */
import type { Catalog } from '../log/catalog.ts'
import { logCorrupt } from '../log/error.ts'
import { segmentPath } from '../log/path.ts'
import type { LogRecord } from '../log/record.ts'
import { decodeOpening, isWithin, type Place, type Reign } from '../log/reign.ts'
import type { AcceptedLoss, AllPlace } from './all.ts'
import { Bell } from './bell.ts'
import type { KnownTails, Owner } from './known-tails.ts'
import { lastBefore, type Counted, type Next } from './last-before.ts'
import { isLossAccepted } from './losses-between.ts'
import type { SharedJournals } from './shared-journals.ts'
import type { Part, Taken } from './strand.ts'

export interface ShardRowOptions {
  readonly catalog: Catalog
  readonly tails: KnownTails
  readonly journals: SharedJournals
  /** Told before what comes behind the loss is handed out. */
  readonly onLoss: (loss: AcceptedLoss) => void
}

/** Events that come one after the other, and up to where all of the shard's are told. */
export interface ShardPage {
  readonly events: readonly LogRecord[]
  readonly place: AllPlace
}

/** So much is in a page, but for the last batch in it. */
const PAGE_BYTES = 256 * 1024

export class ShardRow {
  readonly #shard: number
  readonly #options: ShardRowOptions
  readonly #bell = new Bell()
  /** All up to this position was handed out. */
  #position: number
  /** All up to this position is lost, if it was not handed out. */
  #lacking = 0
  /** Behind which place it has begun. */
  readonly #after: AllPlace
  /** The last event that was handed out, or what comes in its place. */
  #last: Counted | undefined
  /** The last that was read and stands up to where it has begun. */
  #passed: Counted | undefined
  #reigns: readonly Reign[] = []

  constructor(shard: number, after: AllPlace, options: ShardRowOptions) {
    this.#shard = shard
    this.#position = after.position
    this.#after = { position: after.position, shard }
    this.#options = options
  }

  /**
   * While no worker of this node serves the shard, nothing comes. Ends where the signal says so.
   * @throws PenholdError `LogCorrupt` where something cannot be read, or the events do not go on one by one (I4) and that is
   * no loss that was accepted
   */
  async *pages(signal: AbortSignal): AsyncGenerator<ShardPage> {
    const { tails } = this.#options
    const wake = (): void => this.#bell.ring()
    const stopListening = tails.listen((news) => news === 'moved' && wake())
    signal.addEventListener('abort', wake)
    try {
      while (!signal.aborted) {
        const own = tails.owner(this.#shard)
        if (own === undefined) await this.#bell.rung()
        else yield* this.#follow(own, signal)
      }
    } finally {
      stopListening()
      signal.removeEventListener('abort', wake)
    }
  }

  /** Until others serve the shard. */
  async *#follow(own: Owner, signal: AbortSignal): AsyncGenerator<ShardPage> {
    this.#reigns = await this.#options.tails.reigns(own)
    const ahead = await this.#ahead()
    try {
      for (const [index, reign] of ahead.entries()) {
        if (signal.aborted) return
        const from = index === 0 ? await this.#startIn(reign, reign.until ?? own.tail.end) : reign.from
        yield* this.#read(reign, from, { own, signal })
      }
    } catch (error) {
      // What is missing may be missed in a later reign than it stands in.
      for (const { journal } of ahead) this.#options.journals.doubt(journal)
      throw error
    }
  }

  /** The reigns that may have something which was not handed out. */
  async #ahead(): Promise<readonly Reign[]> {
    let first = this.#position === 0 ? 0 : this.#reigns.length - 1
    // All that an owner has not carried over has a greater position than its opening, and all before it has not.
    while (first > 0 && (await this.#openedAt(this.#reigns[first]!)) > this.#position) first -= 1
    return this.#reigns.slice(first)
  }

  async #openedAt({ journal, from }: Reign): Promise<number> {
    return (await this.#options.catalog.record({ journal, ...from })).position
  }

  /**
   * Where in a reign to begin, by what the indexes of closed segments say of the shard: its events stand in the order of their
   * positions, which those of all shards together do not, as carried ones are older.
   */
  async #startIn({ journal, from }: Reign, end: Place): Promise<Place> {
    if (this.#position === 0) return from
    for (let segment = end.segment - 1; segment >= from.segment; segment -= 1) {
      const extent = (await this.#options.catalog.index(journal, segment, undefined)).extents.get(this.#shard)
      if (extent === undefined || extent.positionFirst === 0 || extent.positionFirst > this.#position) continue
      if (extent.positionLast <= this.#position) return { segment: segment + 1, offset: 0 }
      return segment > from.segment ? { segment, offset: 0 } : from
    }
    return from
  }

  /** To the end of a sealed reign; of one that goes on, until others serve the shard. */
  async *#read(
    reign: Reign,
    from: Place,
    { own, signal }: { readonly own: Owner; readonly signal: AbortSignal },
  ): AsyncGenerator<ShardPage> {
    const { journal, until } = reign
    const { journals, tails } = this.#options
    let reader = journals.join(journal, this.#part(from, until))
    let goal: Place | undefined = until ?? own.tail.end
    try {
      while (!signal.aborted) {
        reader.awaits = goal
        const now = until === undefined ? tails.owner(this.#shard) : undefined
        // Of a journal that goes on, what was read counts where it is told that the shard is still served with it.
        if (until === undefined && now?.epoch !== own.epoch) return
        // Nothing waits between a look at what there is and the wait for more.
        const taken = reader.take(PAGE_BYTES)
        if (taken.events.length > 0) yield* this.#handOut(reign, taken)
        else if (reader.cutAt !== undefined) reader = journals.join(journal, this.#part(reader.cutAt, until))
        else if (goal !== undefined && reader.hasCome(goal)) {
          if (until !== undefined) return
          goal = undefined
          yield* this.#passOpening(reign)
        } else if (now !== undefined && this.#lacks(now) && reader.hasCome(now.tail.end)) await this.#acceptLack(now)
        else await this.#bell.rung()
      }
    } finally {
      reader.leave()
    }
  }

  #part(from: Place, until: Place | undefined): Part {
    return { shard: this.#shard, from, after: this.#position, until, bell: this.#bell }
  }

  /** What counts of it, and was not handed out by an owner before. */
  async *#handOut(reign: Reign, { events, harmed }: Taken): AsyncGenerator<ShardPage> {
    const counted = events.filter((event) => isWithin(reign, event.epoch, event))
    const passed = counted.findLast(({ position }) => position <= this.#after.position)
    if (passed !== undefined) this.#passed = countedOf(passed)
    const ahead = counted.filter(({ position }) => position > this.#position)
    const ready: LogRecord[] = []
    for (const event of ahead) {
      this.#last ??= await this.#lastBefore(event)
      const isHarmed = event === harmed?.record
      if (isHarmed || this.#last.seq + 1 !== event.seq) {
        yield* this.#page(ready.splice(0))
        if (isHarmed) throw harmed.error
        await this.#acceptLoss(this.#last, event)
      }
      this.#last = countedOf(event)
      ready.push(event)
    }
    yield* this.#page(ready)
  }

  *#page(events: readonly LogRecord[]): Generator<ShardPage> {
    const last = events.at(-1)
    if (last === undefined) return
    this.#position = last.position
    yield { events, place: { position: last.position, shard: this.#shard } }
  }

  /** What the first event is to go on from. */
  async #lastBefore(next: Next): Promise<Counted> {
    // Within a reign all is read that stands between.
    if (this.#passed?.epoch === next.epoch) return this.#passed
    return lastBefore(this.#options.catalog, this.#reigns, { place: this.#after, next })
  }

  /** What comes behind what an owner has carried over has a greater position than its opening. */
  async *#passOpening({ journal, from }: Reign): AsyncGenerator<ShardPage> {
    const opening = await this.#options.catalog.record({ journal, ...from })
    const { shard, epoch, position, address } = opening
    if (position <= this.#position) return
    // It counts the events before it, and those it has carried over: the last of them may be missing, and nothing behind it
    // would say so any more.
    const seq = opening.seq + (decodeOpening(opening.data)?.carried ?? 0)
    const next = { shard, epoch, seq: seq + 1, address }
    this.#last ??= await this.#lastBefore(next)
    if (this.#last.seq < seq) {
      await this.#acceptLoss(this.#last, next)
      this.#last = { seq, epoch, address }
    }
    this.#position = position
    yield { events: [], place: { position, shard } }
  }

  /** Whether the owner has an event that was not handed out. */
  #lacks({ position }: Owner): boolean {
    return this.#position < position && this.#lacking < position
  }

  /** All was read that the owner has, and its last event was not there: also where none follows that would show it. */
  async #acceptLack({ epoch, opening, position, tail: { journal, end } }: Owner): Promise<void> {
    const { catalog } = this.#options
    const from = this.#last ?? { epoch, address: { journal, ...opening } }
    if (!(await isLossAccepted(catalog, this.#reigns, { from, to: { epoch, address: { journal, ...end } } }))) {
      const problem = `the event of shard ${this.#shard} at position ${position}, in epoch ${epoch}, is not there`
      throw logCorrupt(segmentPath(journal, end.segment), end.offset, problem)
    }
    this.#lacking = position
  }

  /** Events are missing between these, which is an error where no operator has accepted that. */
  async #acceptLoss(last: Counted, next: Counted): Promise<void> {
    const { catalog, onLoss } = this.#options
    const { address, seq } = next
    if (!(await isLossAccepted(catalog, this.#reigns, { from: last, to: next }))) {
      const path = segmentPath(address.journal, address.segment)
      throw logCorrupt(path, address.offset, `shard ${this.#shard} goes from seq ${last.seq} to ${seq}`)
    }
    onLoss({ shard: this.#shard, firstSeq: last.seq + 1, lastSeq: seq - 1 })
  }
}

/** Without the record, which keeps all that was read with it. */
function countedOf({ seq, epoch, address }: LogRecord): Counted {
  return { seq, epoch, address }
}
