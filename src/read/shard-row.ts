/**
 * The events of one shard that a worker of this node serves, in order: those behind a place, and then what is made
 * durable. They stand reign by reign in their owners' journals, so that no other shard's owner is waited for.
 */
import type { Catalog } from '../log/catalog.ts'
import { logCorrupt } from '../log/error.ts'
import { segmentPath } from '../log/path.ts'
import type { LogRecord } from '../log/record.ts'
import { isWithin, type Place, type Reign } from '../log/reign.ts'
import type { AcceptedLoss, AllPlace } from './all.ts'
import { Bell } from './bell.ts'
import { lastBefore, type Counted } from './last-before.ts'
import { hasLossBetween } from './losses-between.ts'
import type { OwnShard, OwnTails } from './own-tails.ts'
import type { SharedJournals } from './shared-journals.ts'
import type { Part } from './strand.ts'

export interface ShardRowOptions {
  readonly catalog: Catalog
  readonly tails: OwnTails
  readonly journals: SharedJournals
  /** Told before what comes behind the loss is handed out. */
  readonly onLoss: (loss: AcceptedLoss) => void
}

/** Events that come one after the other, and up to where all of the shard's are told. */
export interface ShardPage {
  readonly events: readonly LogRecord[]
  readonly place: AllPlace
}

/** So many events are in a page, about. */
const PAGE_EVENTS = 1_000

export class ShardRow {
  readonly #shard: number
  readonly #options: ShardRowOptions
  readonly #bell = new Bell()
  /** All up to this position was handed out. */
  #position: number
  /** Behind which place it has begun. */
  readonly #after: AllPlace
  /** The last event that was handed out. */
  #last: LogRecord | undefined
  /** The last that was read and stands up to where it has begun. */
  #passed: LogRecord | undefined
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
        const own = tails.shard(this.#shard)
        if (own === undefined) await this.#bell.rung()
        else yield* this.#follow(own, signal)
      }
    } finally {
      stopListening()
      signal.removeEventListener('abort', wake)
    }
  }

  /** Until others serve the shard. */
  async *#follow(own: OwnShard, signal: AbortSignal): AsyncGenerator<ShardPage> {
    this.#reigns = await this.#options.tails.reigns(this.#shard, own)
    const ahead = await this.#ahead()
    for (const [index, reign] of ahead.entries()) {
      if (signal.aborted) return
      const from = index === 0 ? await this.#startIn(reign, reign.until ?? own.end) : reign.from
      yield* this.#read(reign, from, { own, signal })
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

  /** Where in a reign to begin, by what the indexes of closed segments say. */
  async #startIn({ journal, from }: Reign, end: Place): Promise<Place> {
    if (this.#position === 0) return from
    let { segment } = end
    for (; segment > from.segment; segment -= 1) {
      const before = await this.#options.catalog.index(journal, segment - 1, undefined)
      if (before.positionLast <= this.#position) return { segment, offset: 0 }
    }
    return from
  }

  /** To the end of a sealed reign; of one that goes on, until others serve the shard. */
  async *#read(
    reign: Reign,
    from: Place,
    { own, signal }: { readonly own: OwnShard; readonly signal: AbortSignal },
  ): AsyncGenerator<ShardPage> {
    const { journal, until } = reign
    const { journals, tails } = this.#options
    let reader = journals.join(journal, this.#part(from, until))
    let goal: Place | undefined = until ?? own.end
    try {
      while (!signal.aborted) {
        reader.awaits = goal
        // Of a journal that goes on, what was read counts where it is told that the shard is still served with it.
        if (until === undefined && tails.shard(this.#shard)?.epoch !== own.epoch) return
        // Nothing waits between a look at what there is and the wait for more.
        const taken = reader.take(PAGE_EVENTS)
        if (taken.length > 0) yield* this.#handOut(reign, taken)
        else if (reader.cutAt !== undefined) reader = journals.join(journal, this.#part(reader.cutAt, until))
        else if (goal !== undefined && reader.hasCome(goal)) {
          if (until !== undefined) return
          goal = undefined
          yield* this.#passOpening(reign)
        } else await this.#bell.rung()
      }
    } finally {
      reader.leave()
    }
  }

  #part(from: Place, until: Place | undefined): Part {
    return { shard: this.#shard, from, after: this.#position, until, bell: this.#bell }
  }

  /** What counts of it, and was not handed out by an owner before. */
  async *#handOut(reign: Reign, taken: readonly LogRecord[]): AsyncGenerator<ShardPage> {
    const counted = taken.filter(({ epoch, address }) => isWithin(reign, epoch, address))
    const events = counted.filter(({ position }) => position > this.#position)
    this.#passed = counted.findLast(({ position }) => position <= this.#after.position) ?? this.#passed
    if (events.length === 0) return
    for (const event of events) {
      const last = this.#last ?? (await this.#lastBefore(event))
      if (last.seq + 1 !== event.seq) await this.#acceptLoss(last, event)
      this.#last = event
    }
    this.#position = events.at(-1)!.position
    yield { events, place: { position: this.#position, shard: this.#shard } }
  }

  /** What the first event is to go on from. */
  async #lastBefore(next: LogRecord): Promise<Counted> {
    // Within a reign all is read that stands between.
    if (this.#passed?.epoch === next.epoch) return this.#passed
    return lastBefore(this.#options.catalog, this.#reigns, { place: this.#after, next })
  }

  /** What comes behind what an owner has carried over has a greater position than its opening. */
  async *#passOpening(reign: Reign): AsyncGenerator<ShardPage> {
    const position = await this.#openedAt(reign)
    if (position <= this.#position) return
    this.#position = position
    yield { events: [], place: { position, shard: this.#shard } }
  }

  /** Events are missing between these, which is an error where no operator has accepted that. */
  async #acceptLoss(last: Counted, next: LogRecord): Promise<void> {
    const { catalog, onLoss } = this.#options
    const { address, seq } = next
    if (!(await hasLossBetween(catalog, this.#reigns, { from: last.address, to: address }))) {
      const path = segmentPath(address.journal, address.segment)
      throw logCorrupt(path, address.offset, `shard ${this.#shard} goes from seq ${last.seq} to ${seq}`)
    }
    onLoss({ shard: this.#shard, firstSeq: last.seq + 1, lastSeq: seq - 1 })
  }
}
