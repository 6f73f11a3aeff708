/**
 * Taking over shards: from claims to reigns that may be served.
 *
 *   1. Claim each shard's next epoch.
 *   2. Raise a fence in the journals of the former owners, then survey those journals.
 *   3. For each shard find the last epoch that was really opened, and seal its reign. A batch is known to be durable
 *      only if another stands behind it, so the journal's last batch is in doubt: it may be in the page cache alone.
 *      The seal is set before it, and what it has of the shard is carried.
 *   4. Write an opening with the seal, and the carried records, to the own journal. Whole in one batch: if we crash
 *      before it is durable, the next claimer finds the same and does the same.
 *   5. Look whether a still newer claim exists; only shards without one may be served.
 *
 * Why the order of 1 and 2 makes I2 hold: a former owner that looks for the fence after its sync and sees none had its
 * batch on disk before the survey began, so that the survey finds it.
 */
import { assert } from '../aggregate/assert.ts'
import type { BatchBuilder } from './batch.ts'
import type { Catalog, SegmentIndex } from './catalog.ts'
import { sliceOf } from './slice.ts'
import { isNewestClaim, lostEpoch, newestEpoch, raiseFence, readClaim, type Claim } from './claim.ts'
import { corruptAt, flawOf, type Flaw } from './damage.ts'
import { failureAt, logCorrupt } from './error.ts'
import { claimPath, journalPath, JOURNALS_PATH, numbersOf, segmentPath, shardPath } from './path.ts'
import { NOWHERE, RecordKind, type Address, type LogRecord, type RecordParts, type RecordStream } from './record.ts'
import { decodeOpening, encodeOpening, isBefore, type Place, type Reign } from './reign.ts'
import type { Storage } from './storage.ts'

/** What a shard's new owner gets from the owners before it. */
export interface Inheritance {
  readonly claim: Claim
  readonly reigns: readonly Reign[]
  readonly carried: readonly LogRecord[]
  readonly seq: number
  /** The greatest position in the former owner's journal: it may have promised to write nothing below it. */
  readonly position: number
  /** The epoch at which the shard was last opened; 0 where it never was. */
  readonly openedEpoch: number
}

/** Steps 2, 3 and 5 for one worker's shards. Surveys of journals are shared by all shards that were in them. */
export class Heir {
  readonly #storage: Storage
  readonly #catalog: Catalog
  readonly #surveys = new Map<number, Promise<readonly SegmentIndex[]>>()
  readonly #shardsWritten = new Map<number, Promise<ReadonlySet<number>>>()

  constructor(storage: Storage, catalog: Catalog) {
    this.#storage = storage
    this.#catalog = catalog
    // What kept a shard closed the last time may be mended.
    catalog.forgetHarmed()
  }

  /**
   * Before a shard is claimed: its newest claim must not be one that only became so because newer ones are lost. And one
   * that nobody has claimed has no records: where it has some, whoever began it anew would hide them.
   * @throws PenholdError `LogCorrupt`
   */
  async checkClaims(shard: number): Promise<void> {
    const lost = await lostEpoch(this.#storage, shard)
    if (lost > 0) throw logCorrupt(claimPath(shard, lost), 0, 'the claim is missing, and was the newest')
    if ((await newestEpoch(this.#storage, shard)) > 0) return
    for (const journal of numbersOf(await this.#storage.list(JOURNALS_PATH), '')) {
      if (!(await this.#shardsIn(journal)).has(shard)) continue
      // Who writes for the shard by now has claimed it before.
      if ((await newestEpoch(this.#storage, shard)) > 0) return
      const problem = `the claims of those who wrote for shard ${shard} in ${journalPath(journal)} are missing`
      throw logCorrupt(shardPath(shard), 0, problem)
    }
  }

  /** Steps 2 and 3, once all shards are claimed. @throws PenholdError `LogCorrupt` where what the shard would stand on is damaged. */
  async inherit(claim: Claim): Promise<Inheritance> {
    for (let epoch = claim.epoch - 1; epoch >= 1; epoch -= 1) {
      const former = await readClaim(this.#storage, claim.shard, epoch)
      const surveys = await this.#survey(former.journal)
      const opened = findOpening(surveys, former)
      const flaw = opened === undefined ? firstFlaw(surveys, former) : flawOf(former.shard, surveys)
      if (flaw !== undefined) throw corruptAt(former.journal, flaw)
      if (opened !== undefined) return this.#inheritFrom(claim, former, surveys, opened)
      // The former owner died before its opening was written: it has served nothing, and its epoch is empty.
    }
    return { claim, reigns: [], carried: [], seq: 0, position: 0, openedEpoch: 0 }
  }

  /** Whether somebody has claimed the shard since. */
  async isSuperseded(claim: Claim): Promise<boolean> {
    return !(await isNewestClaim(this.#storage, claim))
  }

  #survey(journal: number): Promise<readonly SegmentIndex[]> {
    let survey = this.#surveys.get(journal)
    if (survey === undefined) {
      survey = this.#fenceAndSurvey(journal)
      this.#surveys.set(journal, survey)
    }
    return survey
  }

  async #fenceAndSurvey(journal: number): Promise<readonly SegmentIndex[]> {
    try {
      await raiseFence(this.#storage, journal)
      return await this.#catalog.survey(journal)
    } catch (error) {
      throw failureAt(journalPath(journal), error)
    }
  }

  async #inheritFrom(
    claim: Claim,
    former: Claim,
    surveys: readonly SegmentIndex[],
    opened: Address,
  ): Promise<Inheritance> {
    const doubtful = surveys.findLast((survey) => survey.lastBatchNumber > 0)
    assert(doubtful !== undefined, 'a journal with an opening has a batch')
    const { segment, lastBatchOffset, end } = doubtful
    const last = await this.#catalog.batch(former.journal, segment, lastBatchOffset, end)
    const isOpening = ({ address }: LogRecord): boolean =>
      address.segment === opened.segment && address.offset === opened.offset
    const record = last.records.find(isOpening) ?? (await this.#catalog.record(opened))
    const opening = record.kind === RecordKind.opened ? decodeOpening(record.data) : undefined
    if (opening?.shard !== claim.shard) {
      throw logCorrupt(segmentPath(opened.journal, opened.segment), opened.offset, "this is no opening of the shard's")
    }
    const ofShard = last.records.filter((one) => isOf(one, former))
    const until = { segment, offset: ofShard.length > 0 ? lastBatchOffset : end }
    await this.#checkReigns(claim.shard, opening.reigns)
    const carried = ofShard.filter(({ kind }) => kind === RecordKind.event || kind === RecordKind.snapshot)
    const reign: Reign = { epoch: former.epoch, journal: former.journal, from: opened, until }
    const extents = surveys.flatMap((survey) => survey.extents.get(claim.shard) ?? [])
    const seq = extents.at(-1)?.seqLast ?? record.seq
    if (!isRow(carried, seq)) {
      throw logCorrupt(segmentPath(former.journal, until.segment), until.offset, "the last batch's records are no row")
    }
    return {
      claim,
      reigns: isEmpty(reign, surveys, claim.shard) ? opening.reigns : [...opening.reigns, reign],
      carried,
      seq,
      position: Math.max(...surveys.map(({ positionLast }) => positionLast)),
      openedEpoch: former.epoch,
    }
  }

  #shardsIn(journal: number): Promise<ReadonlySet<number>> {
    const known = this.#shardsWritten.get(journal) ?? this.#catalog.shardsIn(journal)
    this.#shardsWritten.set(journal, known)
    return known
  }

  /** So that a shard whose older segments are gone or damaged is refused now, and not taken for a younger one. */
  async #checkReigns(shard: number, reigns: readonly Reign[]): Promise<void> {
    for (const reign of reigns) {
      const flaw = await this.#catalog.flawOfReign(shard, reign)
      if (flaw !== undefined) throw corruptAt(reign.journal, flaw)
    }
  }
}

/** Step 4: adds a shard's opening and carried records to a batch. Returns where the opening will stand. */
export function addOpening(batch: BatchBuilder, inheritance: Inheritance, time: number): Address {
  const { claim, reigns, carried, seq, position } = inheritance
  const events = carried.filter(({ kind }) => kind === RecordKind.event).length
  const from = batch.add(
    { ...NO_STREAM, shard: claim.shard },
    {
      ...blank(RecordKind.opened, time),
      epoch: claim.epoch,
      // The carried events follow it, with the seq they have.
      seq: seq - events,
      position,
      data: sliceOf(encodeOpening({ shard: claim.shard, epoch: claim.epoch, reigns, carried: events })),
    },
  )
  const moved = new Map<number, Address>()
  for (const record of carried) {
    const { previous, shard, hash, streamBytes } = record
    const isCarriedToo = previous.journal === record.address.journal && previous.segment === record.address.segment
    const address = batch.add(
      { shard, hash, bytes: streamBytes },
      {
        ...partsOf(record),
        epoch: claim.epoch,
        previous: (isCarriedToo ? moved.get(previous.offset) : undefined) ?? previous,
      },
    )
    moved.set(record.address.offset, address)
  }
  return from
}

const NOTHING = new Uint8Array()
const NO_ID = new Uint8Array(16)

/** Of the records that belong to no stream. */
export const NO_STREAM: RecordStream = { shard: 0, hash: { high: 0, low: 0 }, bytes: NOTHING }

function blank(kind: RecordKind, time: number): RecordParts {
  const ids = { eventId: NO_ID, commandId: sliceOf(NO_ID) }
  const numbers = { epoch: 0, seq: 0, version: 0, payloadHash: 0, position: 0, typeVersion: 1 }
  return { ...numbers, ...ids, kind, time, previous: NOWHERE, type: NOTHING, data: sliceOf(NOTHING), metadata: NOTHING }
}

/** The parts of the record that says nothing but a position. */
export function markParts(position: number, time: number): RecordParts {
  return { ...blank(RecordKind.marked, time), position }
}

/** The parts of the record that ends a journal on purpose. */
export function closingParts(time: number): RecordParts {
  return blank(RecordKind.closed, time)
}

function partsOf(record: LogRecord): RecordParts {
  const { kind, epoch, version, payloadHash, seq, position, previous, time, typeVersion } = record
  const { eventId, commandId, typeBytes, dataBytes, metadataBytes } = record
  const header = { kind, epoch, version, payloadHash, seq, position, previous, time, typeVersion, eventId, commandId }
  return { ...header, type: typeBytes, data: sliceOf(dataBytes), metadata: metadataBytes }
}

/** Whether a record is what its journal's writer wrote of this shard in this epoch. */
function isOf({ shard, epoch, isOfJournal }: LogRecord, claim: Claim): boolean {
  return shard === claim.shard && epoch === claim.epoch && !isOfJournal
}

/** What may hide the opening of a shard: without it the owner would seem never to have served. */
function firstFlaw(surveys: readonly SegmentIndex[], { shard }: Claim): Flaw | undefined {
  for (const { harmed, gaps } of surveys) {
    const gap = gaps.find(({ isAccepted }) => !isAccepted)
    const flaw = harmed.get(shard) ?? (gap === undefined ? undefined : { ...gap, offset: gap.from })
    if (flaw !== undefined) return flaw
  }
  return undefined
}

function findOpening(surveys: readonly SegmentIndex[], { shard, epoch, journal }: Claim): Address | undefined {
  for (const survey of surveys) {
    const opened = survey.extents.get(shard)?.opened.find(([openedEpoch]) => openedEpoch === epoch)
    if (opened !== undefined) return { journal, segment: survey.segment, offset: opened[1] }
  }
  return undefined
}

/** Whether these count their events one by one (I4), up to this seq. */
function isRow(records: readonly LogRecord[], seqLast: number): boolean {
  let seq = seqLast - records.filter(({ kind }) => kind === RecordKind.event).length
  return records.every((record) => {
    if (record.kind === RecordKind.event) seq += 1
    return record.seq === seq
  })
}

/**
 * Whether nothing of the shard stands within the reign: the history must not keep it where its opening is in doubt itself,
 * which readers would look for and may be gone, and need not where it wrote nothing.
 */
function isEmpty(reign: Reign, surveys: readonly SegmentIndex[], shard: number): boolean {
  if (reign.until !== undefined && !isBefore(reign.from, reign.until)) return true
  return !surveys.some(({ segment, extents }) => {
    const offset = extents.get(shard)?.lastRecord ?? -1
    const first: Place = reign.from
    if (offset < 0 || isBefore({ segment, offset }, first)) return false
    // A last record past the seal hides whether there are earlier ones: keep the reign to be sure.
    return true
  })
}
