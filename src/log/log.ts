/**
 * One worker's log: its journal, the shards it owns in it, and the history behind them. This is what the actors see.
 *
 * It owns a shard's `seq` and the batch under construction. Records are added to the batch as commands are decided; the
 * committer cuts it, appends it, and looks at the fence before it tells anyone (actor/committer.ts).
 */
import { assert } from '../aggregate/assert.ts'
import { PenholdError } from '../aggregate/error.ts'
import { BatchBuilder, type BatchPlace } from './batch.ts'
import { Catalog } from './catalog.ts'
import { createClaim, FenceWatch, isLastEpoch, isNewestClaim, settleClaim, type Claim } from './claim.ts'
import type { Clock } from './clock.ts'
import { failureAt, isLogCorrupt, storageFull } from './error.ts'
import { shardPath } from './path.ts'
import { History, type Hint, type StreamTail } from './history.ts'
import { Journal } from './journal.ts'
import { PositionClock } from './position.ts'
import { RecordKind, type Address, type LogRecord, type RecordParts } from './record.ts'
import type { Reign } from './reign.ts'
import { OpenIndex } from './segment-index.ts'
import type { Slice } from './slice.ts'
import { isStorageFull, type Storage } from './storage.ts'
import { openedShard, type OpenedShard, type Tail } from './tail.ts'
import { hash64, StreamPlacement, type Stream } from './stream.ts'
import { addOpening, closingParts, markParts, Heir, NO_STREAM, type Inheritance } from './take-over.ts'

export interface LogOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly clusterId: string
  /** How many shards the data has, in all. */
  readonly shards: number
  /** The shards to own. */
  readonly own: readonly number[]
  readonly segmentBytes: number
  /** Names this process in claims, for humans. */
  readonly node: string
}

/** A shard that this worker has opened. */
interface OwnedShard {
  readonly shard: number
  readonly epoch: number
  readonly reigns: readonly Reign[]
  /** The seq of the newest event, decided or durable, and of the newest durable one; -1 where its opening is not durable. */
  seq: number
  durableSeq: number
  /** The positions of these two; at first that of the opening, which is greater than all before it. */
  position: number
  durablePosition: number
  /** Its opening is durable and nobody had claimed it by then. Until that is known it is not owned. */
  isServed: boolean
}

/** How far what is durable is behind what was decided: the head of the log. */
export interface Lag {
  readonly records: number
  readonly bytes: number
  /** How long the oldest of them has waited; 0 where there are none. */
  readonly oldestMs: number
}

/** A shard that is served. */
export interface ShardHead {
  readonly shard: number
  readonly epoch: number
  /** Of its newest durable event. */
  readonly seq: number
  /** Events that were decided and are not durable yet. */
  readonly undurable: number
}

const NOT_DURABLE = -1
/** Claims wait for the disk, and those that wait together wait once. */
const CLAIMS_AT_ONCE = 16

/** A batch that is complete and waits to be appended. */
export interface CutBatch {
  readonly place: BatchPlace
  readonly length: number
  readonly builder: BatchBuilder
  /** How far each shard is with it. */
  readonly heads: ReadonlyMap<OwnedShard, Pick<OwnedShard, 'durableSeq' | 'durablePosition'>>
  /** When its first record was added, on the monotonic clock. */
  readonly since: number
}

export class Log {
  readonly positions: PositionClock
  readonly placement: StreamPlacement
  readonly #storage: Storage
  readonly #clock: Clock
  readonly #node: string
  readonly #catalog: Catalog
  readonly #journal: Journal
  readonly #history: History
  readonly #fence: FenceWatch
  readonly #owned = new Map<number, OwnedShard>()
  /** Shards that cannot be opened, with what keeps them closed. */
  readonly #refused = new Map<number, PenholdError>()
  /** Two builders in turn: one is being written while the next accumulates. */
  #batch: BatchBuilder
  #spare: BatchBuilder
  /** When the first record of the batch under construction was added, on the monotonic clock. */
  #batchSince = 0
  /** The batch that is being made durable. */
  #appending: CutBatch | undefined
  #index: OpenIndex
  #positionDurable = 0
  #positionAdded = 0
  #ownership = 0
  #touched = new Set<OwnedShard>()
  /** The batch under construction ends its segment. */
  #rollsOver = false
  #adopted: Promise<void> = Promise.resolve()

  private constructor(options: LogOptions, catalog: Catalog, journal: Journal) {
    this.#storage = options.storage
    this.#clock = options.clock
    this.#node = options.node
    this.#catalog = catalog
    this.#journal = journal
    this.placement = new StreamPlacement(options.clusterId, options.shards)
    this.positions = new PositionClock(options.clock)
    this.#index = new OpenIndex(journal.number, 1)
    this.#history = new History(catalog, () => this.#index)
    this.#fence = new FenceWatch(options.storage, journal.number)
    this.#batch = new BatchBuilder(journal.cluster)
    this.#spare = new BatchBuilder(journal.cluster)
    this.#batch.begin(journal.place)
  }

  /** Begins a journal and takes over the shards. @throws PenholdError `StorageFull`; JournalBroken */
  static async open(options: LogOptions): Promise<Log> {
    const { storage, clock, clusterId, shards, segmentBytes } = options
    const cluster = hash64(clusterId, 0)
    const catalog = new Catalog({ storage, clock, cluster, shards })
    let log: Log | undefined
    try {
      log = new Log(options, catalog, await Journal.create(storage, { cluster, segmentBytes }))
      await log.#takeOver(options.own)
      return log
    } catch (error) {
      await log?.abandon()
      throw isStorageFull(error) ? storageFull(error) : error
    }
  }

  get journal(): number {
    return this.#journal.number
  }
  get ownedShards(): readonly ShardHead[] {
    const served = [...this.#owned.values()].filter(({ isServed }) => isServed)
    return served.map(({ shard, epoch, seq: head, durableSeq: seq }) => ({ shard, epoch, seq, undurable: head - seq }))
  }
  /** Measured now, against the head. */
  get lag(): Lag {
    const accumulating = { builder: this.#batch, length: this.#batch.length, since: this.#batchSince }
    const waiting = [this.#appending, accumulating].filter((batch) => batch !== undefined && !batch.builder.isEmpty)
    const sum = (of: (batch: Pick<CutBatch, 'builder' | 'length'>) => number): number =>
      waiting.reduce((total, batch) => total + of(batch!), 0)
    const oldest = waiting[0]?.since
    return {
      records: sum(({ builder }) => builder.recordCount),
      bytes: sum(({ length }) => length),
      oldestMs: oldest === undefined ? 0 : Math.max(0, Math.round(this.#clock.monotonic() - oldest)),
    }
  }
  /** The last batch found no room on the disk. */
  get isFull(): boolean {
    return this.#journal.isFull
  }
  /** Whether the journal's file is where others look for it. */
  get isInPlace(): boolean {
    return this.#journal.isInPlace
  }
  get refusedShards(): ReadonlyMap<number, PenholdError> {
    return this.#refused
  }
  /** What was found in the journals of former owners, and set right by reading on. */
  get found(): Pick<Catalog, 'tornTails' | 'indexesRebuilt'> {
    return this.#catalog
  }
  owns(shard: number): boolean {
    return this.#owned.get(shard)?.isServed === true
  }
  /** The epoch in which the shard is owned; 0 where it is not. */
  epochOf(shard: number): number {
    const owned = this.#owned.get(shard)
    return owned?.isServed === true ? owned.epoch : 0
  }

  /** Whether nobody has claimed a shard, anyone's, after this epoch: looked at now. Throws where that cannot be seen. */
  isLastEpoch(shard: number, epoch: number): boolean {
    const isLast = isLastEpoch(this.#storage, shard, epoch)
    // It is owned here: whoever has claimed it may die before it raises a fence, and nobody would give it up.
    if (!isLast && this.#owned.get(shard)?.epoch === epoch) this.#fence.doubt([shard])
    return isLast
  }

  /** The owners of a shard that is owned here, oldest first, with this one as the last. */
  reigns(shard: number): readonly Reign[] {
    return this.#owned.get(shard)?.reigns ?? []
  }
  /** How far the journal is durable. Whether that counts, for which shard, is for the look to say. */
  get head(): Pick<Tail, 'journal' | 'end' | 'position'> {
    const { journal, segment, end } = this.#index
    return { journal, end: { segment, offset: end }, position: this.#positionDurable }
  }

  /** The greatest position of a record that was added. What is added from here on has a greater one. */
  get positionAdded(): number {
    return this.#positionAdded
  }
  /** Changes whenever other shards are served. */
  get ownership(): number {
    return this.#ownership
  }
  /** The shards that are served, and where their openings stand. */
  get openedShards(): readonly OpenedShard[] {
    return [...this.#owned.values()].filter(({ isServed }) => isServed).map(openedShard)
  }

  /** Nothing is there to be cut. */
  get isBatchEmpty(): boolean {
    return this.#batch.isEmpty && !this.#rollsOver
  }
  /** Bytes in the segment that is being written: what whoever claims a shard has to read through. */
  get openSegmentBytes(): number {
    return this.#index.end
  }
  get isBatchFull(): boolean {
    return this.#batch.isFull
  }
  get batchBytes(): number {
    return this.#batch.length
  }

  /**
   * To take shards over, first: claims them and reads what their former owners left. Those that have to stay closed are
   * refused from here on. Each that is returned has to be opened.
   */
  async inherit(shards: readonly number[]): Promise<Inheritance[]> {
    const heir = new Heir(this.#storage, this.#catalog)
    const claims: Claim[] = []
    // All shards are claimed before anything is read for any.
    for (let done = 0; done < shards.length; done += CLAIMS_AT_ONCE) {
      const claiming = shards.slice(done, done + CLAIMS_AT_ONCE).map((shard) => this.#claim(heir, shard))
      for (const result of await Promise.allSettled(claiming)) {
        if (result.status === 'rejected') throw result.reason
        if (result.value !== undefined) claims.push(result.value)
      }
    }
    const inheritances: Inheritance[] = []
    for (const claim of claims) {
      await this.#orRefuse(claim.shard, async () => {
        const inheritance = await heir.inherit(claim).catch(async (error: unknown) => {
          // What its newer owner has removed is not missing.
          if (!(await heir.isSuperseded(claim))) throw error
        })
        if (inheritance !== undefined) inheritances.push(inheritance)
      })
    }
    return inheritances
  }

  /** Undefined where the shard is refused. */
  async #claim(heir: Heir, shard: number): Promise<Claim | undefined> {
    assert(!this.#owned.has(shard), 'a shard that is owned is not taken over')
    this.#refused.delete(shard)
    let claim: Claim | undefined
    await this.#orRefuse(shard, async () => {
      await heir.checkClaims(shard)
      claim = await createClaim(this.#storage, { shard, journal: this.journal, node: this.#node })
    })
    return claim
  }

  /** Second: adds the shard's opening to the batch under construction. Once that is durable, `serve` it. */
  open(inheritance: Inheritance): void {
    const { claim, reigns, seq, position } = inheritance
    const { shard, epoch } = claim
    this.positions.observe(position)
    this.#adding()
    const from = addOpening(this.#batch, inheritance, this.#clock.now())
    const reign: Reign = { epoch, journal: this.journal, from, until: undefined }
    const head = { seq, durableSeq: NOT_DURABLE, position, durablePosition: position }
    const owned = { shard, epoch, reigns: [...reigns, reign], ...head, isServed: false }
    // A fence that is raised from here on takes it away, though it is not owned yet.
    this.#owned.set(shard, owned)
    this.#touched.add(owned)
  }

  /** Third: makes the shard's worker its owner, unless somebody has claimed it in the meantime. Resolves to which. */
  async serve({ claim, openedEpoch }: Inheritance): Promise<boolean> {
    const { shard, epoch } = claim
    const owned = this.#owned.get(shard)
    let isNewest = false
    try {
      await this.#orRefuse(shard, async () => {
        if (!(await isNewestClaim(this.#storage, claim))) return
        await settleClaim(this.#storage, claim, openedEpoch)
        // One whose claim cannot be settled is refused, and so not served.
        isNewest = true
      })
    } catch (error) {
      // Opened and not served, it could not be taken over again.
      if (this.#owned.get(shard) === owned) this.#owned.delete(shard)
      throw error
    }
    if (owned?.epoch !== epoch || this.#owned.get(shard) !== owned) return false
    if (isNewest) owned.isServed = true
    else this.#owned.delete(shard)
    this.#ownership += 1
    return isNewest
  }

  /** Adds a record of a stream to the batch under construction and returns where it will stand. */
  add(stream: Stream, parts: RecordParts): Address {
    const owned = this.#owned.get(stream.shard)
    assert(owned?.isServed === true, 'records are written for owned shards only')
    if (parts.kind === RecordKind.event) {
      owned.seq += 1
      owned.position = parts.position
    }
    this.#touched.add(owned)
    parts.epoch = owned.epoch
    parts.seq = owned.seq
    this.#positionAdded = parts.position
    this.#adding()
    return this.#batch.add(stream, parts)
  }

  /** Adds a record that says nothing but this position: what is added from here on has greater ones (docs/decisions/all-order.md). */
  mark(position: number): void {
    this.positions.observe(position)
    this.#positionAdded = position
    this.#adding()
    this.#batch.add(NO_STREAM, markParts(position, this.#clock.now()))
  }

  /** The records added since the batch had this length. Valid until the batch after the next one is begun. */
  added(since: number): Slice {
    return this.#batch.since(since)
  }

  /** Completes the batch under construction; the next one accumulates from here on. */
  cut(): CutBatch {
    const builder = this.#batch
    const touched = [...this.#touched]
    const heads = new Map(touched.map((one) => [one, { durableSeq: one.seq, durablePosition: one.position }]))
    this.#touched = new Set()
    this.#rollsOver = false
    this.#batch = this.#spare
    this.#spare = builder
    this.#batch.begin(this.#journal.placeAfter(builder.place, builder.length))
    return { place: builder.place, length: builder.length, builder, heads, since: this.#batchSince }
  }

  /**
   * Makes a cut batch durable. Its records are found from here on.
   * @throws PenholdError `StorageFull`: nothing was written; call `rollBack`.
   * @throws JournalBroken: this log is at its end.
   */
  async append(cut: CutBatch): Promise<void> {
    this.#appending = cut
    await this.#journal.append(cut.builder)
    this.#appending = undefined
    const { segment } = this.#journal.place
    const isLast = segment !== cut.place.segment
    this.#index.add({ ...cut.place, length: cut.length, isLast })
    for (const record of cut.builder.records()) this.#index.addRecord(record)
    this.#positionDurable = Math.max(this.#positionDurable, this.#index.positionLast)
    assert(this.#index.isSound, 'what was written keeps the rules of the log')
    for (const [owned, head] of cut.heads) Object.assign(owned, head)
    cut.builder.shrink()
    if (isLast) {
      this.#index.isDurable = true
      this.#adopted = this.#catalog.adopt(this.#index)
      this.#index = new OpenIndex(this.journal, segment)
    }
  }

  /**
   * Ends the segment with the batch under construction, be it empty. Once that is durable and `indexed` has resolved,
   * whoever claims a shard reads what was written since, and of all before it the index.
   */
  rollOver(): void {
    this.#rollsOver = true
    this.#journal.endSegmentWith(this.#batch.place)
  }

  /** Resolves when the last segment that was ended has its index on disk, or cannot have one. */
  indexed(): Promise<void> {
    return this.#adopted
  }

  /** Forgets everything that was added and is not durable, after `StorageFull`. */
  rollBack(): void {
    for (const [shard, owned] of this.#owned) {
      Object.assign(owned, { seq: owned.durableSeq, position: owned.durablePosition })
      if (owned.durableSeq === NOT_DURABLE) this.#owned.delete(shard)
    }
    this.#touched = new Set()
    this.#appending = undefined
    this.#positionAdded = this.#positionDurable
    this.#batch.begin(this.#journal.place)
  }

  /** Looks for the room that the last batch did not find. While nothing is appended. @throws JournalBroken */
  findRoom(): Promise<void> {
    return this.#journal.findRoom()
  }

  /**
   * The look, which comes after a batch is durable, or after a read was computed, and before anyone is told. About a
   * microsecond; where somebody has claimed shards since, it returns which of these that may be. `lostShards` must be awaited
   * for them, and the others can wait: whoever has thousands, and gives them up one by one, would list them all each time.
   * @throws JournalBroken where nobody can tell
   */
  look(among?: Iterable<number>): readonly number[] {
    if (this.isFenceRaised()) this.#fence.doubt(this.#owned.keys())
    return this.#fence.unchecked(among)
  }

  /** Which of these shards have a newer owner. They are no longer owned here. */
  async lostShards(among: Iterable<number>): Promise<readonly number[]> {
    const lost: number[] = []
    for (const shard of among) {
      const epoch = this.#owned.has(shard) ? await this.#fence.newestEpoch(shard) : this.#fence.forget(shard)
      if ((this.#owned.get(shard)?.epoch ?? epoch) >= epoch) continue
      lost.push(shard)
      this.#owned.delete(shard)
      this.#ownership += 1
    }
    return lost
  }

  /** Keeps a shard closed that was taken over, for this reason. */
  refuse(shard: number, reason: PenholdError): void {
    this.#owned.delete(shard)
    this.#ownership += 1
    this.#refused.set(shard, reason)
  }

  /**
   * Gives shards up, those that are refused as well. What was added for them and is not durable yet may or may not count
   * for their next owner.
   */
  release(shards: readonly number[]): void {
    for (const shard of shards) {
      this.#owned.delete(shard)
      this.#refused.delete(shard)
    }
    this.#ownership += 1
  }

  /** Whether a fence was raised since this was asked for the last time. */
  isFenceRaised(): boolean {
    return this.#fence.isRaised()
  }

  /** What leads to a stream's newest durable state. */
  tail(stream: Stream, fits: (snapshot: LogRecord) => boolean): Promise<StreamTail> {
    return this.#history.tail(this.reigns(stream.shard), stream, fits)
  }

  /** A stream's durable records from the newest, or from the one at `from`, back. */
  back(stream: Stream, from?: Address): AsyncGenerator<LogRecord> {
    return this.#history.back(this.reigns(stream.shard), stream, from)
  }

  /** Walks over a stream's durable records, back from the newest or from the hint, until `take` says that it is enough. */
  walk(stream: Stream, hint: Hint | undefined, take: (record: LogRecord) => boolean): Promise<void> {
    return this.#history.walk(this.reigns(stream.shard), stream, { hint, take })
  }

  /** Every event type and version that the segments of owned shards hold, as `account/MoneyDeposited@1`. */
  async eventTypes(shards: Iterable<number> = [...this.#owned.keys()]): Promise<Set<string>> {
    const types = new Set<string>()
    for (const shard of shards) {
      for (const type of await this.#history.eventTypes(this.reigns(shard))) types.add(type)
    }
    return types
  }

  /** Ends the journal on purpose: whoever comes next finds nothing in doubt. Lets go of the files, also where that fails. */
  async close(): Promise<void> {
    try {
      assert(this.#batch.isEmpty, 'a log is closed when its last batch is durable')
      this.#adding()
      this.#batch.add(NO_STREAM, closingParts(this.#clock.now()))
      await this.append(this.cut())
      this.#index.isDurable = true
      await this.#catalog.adopt(this.#index)
    } finally {
      await this.abandon()
    }
  }

  /** Lets go of the files, after a failure. Nothing may be under way at the journal. */
  async abandon(): Promise<void> {
    await this.#journal.close().catch(() => undefined)
    await this.#catalog.close()
  }

  #adding(): void {
    if (this.#batch.isEmpty) this.#batchSince = this.#clock.monotonic()
  }

  async #takeOver(shards: readonly number[]): Promise<void> {
    const inheritances = await this.inherit(shards)
    for (const inheritance of inheritances) {
      this.open(inheritance)
      if (this.#batch.isFull) await this.append(this.cut())
    }
    if (!this.#batch.isEmpty) await this.append(this.cut())
    for (const inheritance of inheritances) await this.serve(inheritance)
  }

  /** A shard whose own files keep it closed costs the others nothing (I8). */
  async #orRefuse(shard: number, step: () => Promise<void>): Promise<void> {
    try {
      await step()
    } catch (error) {
      const reason = failureAt(shardPath(shard), error)
      if (!isLogCorrupt(reason)) throw error
      this.#refused.set(shard, reason)
    }
  }
}
