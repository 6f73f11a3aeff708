/**
 * The first walk: each journal by itself. Batches and their numbers, each record's own check, what its data decodes to,
 * accepted losses, and each index against its segment, byte for byte.
 */
import type { Catalog } from '../catalog.ts'
import type { Gap, SegmentView } from '../damage.ts'
import { encodeIndex, IndexFile } from '../index-file.ts'
import { isLogCorrupt } from '../error.ts'
import { readLosses } from '../losses.ts'
import { CLUSTER_PATH, indexPath, journalPath, lossPath, numbersOf, segmentPath } from '../path.ts'
import { isRecord, RecordKind, type LogRecord } from '../record.ts'
import { decodeOpening } from '../reign.ts'
import { salvage, type SegmentPiece } from '../scan.ts'
import { OpenIndex } from '../segment-index.ts'
import { readWhole, type Storage } from '../storage.ts'
import { acceptCommand, REPAIR, type Finding, type Findings } from './finding.ts'
import { findingOf } from './flipped-batch.ts'
import { describe } from './record-text.ts'
import { ANOTHER_CLUSTER, findMisplaced, type SegmentPlace } from '../misplaced.ts'
import type { FlippedBatch, Survey } from './survey.ts'

export interface FileCheckOptions {
  readonly storage: Storage
  readonly catalog: Catalog
  readonly shards: number
  readonly findings: Findings
  readonly survey: Survey
  /** Called after each piece; throws to end the walk. */
  readonly onPiece: (piece: SegmentPiece) => void
}

interface View extends SegmentView {
  readonly end: number
  readonly firstBatchNumber: number
  readonly lastBatchNumber: number
  readonly gaps: Gap[]
}

/** An index as it stood before its segment was read, so that whatever it covers is seen there. */
interface StoredIndex {
  readonly bytes: Uint8Array | undefined
  readonly end: number
  readonly isDurable: boolean
}

export class FileCheck {
  readonly #options: FileCheckOptions
  #records = 0
  /** The last batch of the journal that was read, where one bit of it is flipped. */
  #flipped: FlippedBatch | undefined

  constructor(options: FileCheckOptions) {
    this.#options = options
  }

  /** How many records were read. */
  get records(): number {
    return this.#records
  }

  async journal(journal: number): Promise<void> {
    const { storage, survey, findings } = this.#options
    const names = await storage.list(journalPath(journal))
    await this.#losses(journal)
    await this.#fences(journal, numbersOf(names, '.fence'))
    const segments = numbersOf(names, '.log')
    const last = Math.max(segments.at(-1) ?? 0, numbersOf(names, '.idx').at(-1) ?? 0)
    survey.journals.set(journal, segments)
    const views: View[] = []
    let before: OpenIndex | undefined
    for (let segment = 1; segment <= last; segment += 1) {
      const index = await this.#segment(journal, segment)
      if (before !== undefined && index.firstBatchNumber > 0) this.#maybeMissingIndex(before)
      before = index
      views.push(viewOf(index))
      await this.#connect(journal, views)
      const isNextMissing = segment === last && index.isLast && !storage.exists(segmentPath(journal, segment + 1))
      if (isNextMissing) views.push(viewOf(await this.#segment(journal, segment + 1)))
    }
    if (this.#flipped !== undefined) survey.flippedLast.push(this.#flipped)
    this.#flipped = undefined
    if (views.some(({ gaps, harmed }) => gaps.length > 0 || harmed.size > 0)) survey.harmedJournals.set(journal, views)
    for (const name of names) {
      if (/^\d+\.(?:log|idx|fence|lost)$/.test(name) || name.endsWith('.tmp')) continue
      findings.add({
        severity: 'notice',
        file: `${journalPath(journal)}/${name}`,
        offset: 0,
        problem: 'this file is not of the log',
        meaning: 'nothing reads it',
        remedy: '',
      })
    }
  }

  async #segment(journal: number, segment: number): Promise<OpenIndex> {
    const { catalog, onPiece, survey } = this.#options
    const stored = await this.#storedIndex(journal, segment)
    let isSeen = stored.end === 0
    if (isSeen && stored.bytes !== undefined) await this.#compare(new OpenIndex(journal, segment), stored)
    const index = await catalog.read(journal, segment, async (piece, soFar) => {
      await this.#piece({ journal, segment }, piece)
      if (soFar.end === stored.end && piece.kind !== 'end') {
        isSeen = true
        await this.#compare(soFar, stored)
      }
      onPiece(piece)
    })
    for (const gap of index.gaps) survey.addBad({ journal, segment }, gap)
    if (!isSeen && index.isSound)
      this.#wrongIndex(index, `it covers ${stored.end} bytes, which are not a row of whole batches`)
    return index
  }

  async #piece(place: { journal: number; segment: number }, piece: SegmentPiece): Promise<void> {
    const { catalog } = this.#options
    const file = segmentPath(place.journal, place.segment)
    if (piece.kind !== 'end') this.#tellFlipped()
    switch (piece.kind) {
      case 'batch':
        for (const record of piece.batch.records) this.#record(file, record)
        break
      case 'flipped': {
        const { offset, batch, harmed } = piece.flipped
        for (const record of batch.records) this.#record(file, record)
        const to = harmed === undefined ? offset : harmed.address.offset + harmed.length
        this.#options.survey.addBad(place, { from: harmed?.address.offset ?? offset, to, isAccepted: false })
        this.#flipped = { ...place, flipped: piece.flipped }
        break
      }
      case 'end':
        // Nothing is written behind a batch that is not durable.
        if (piece.isTorn) {
          this.#tellFlipped()
          await this.#torn({ ...place, offset: piece.from })
        }
        break
      case 'damage':
        // Told once it is known which shards it means. What is whole in there counts.
        for await (const record of salvage(catalog.files, catalog.identity(place.journal, place.segment), piece)) {
          this.#record(file, record)
        }
        break
    }
  }

  /** More stands behind it. */
  #tellFlipped(): void {
    if (this.#flipped !== undefined) this.#options.findings.add(findingOf(this.#flipped))
    this.#flipped = undefined
  }

  async #torn(place: SegmentPlace): Promise<void> {
    const { catalog, findings } = this.#options
    const { journal, segment, offset } = place
    const file = segmentPath(journal, segment)
    const { cluster } = catalog.identity(journal, segment)
    const owner = await findMisplaced(catalog.files, cluster, place)
    if (owner !== undefined) {
      findings.add({
        severity: 'damage',
        file,
        offset,
        problem: `a whole batch of ${owner} stands here`,
        meaning:
          'a file was exchanged: a node takes this for a write that a crash interrupted, and serves what is left',
        remedy:
          owner === ANOTHER_CLUSTER
            ? `Restore ${CLUSTER_PATH}, or ${file}, from a backup; start no node before`
            : `Restore ${file} from a backup; start no node before`,
      })
      return
    }
    findings.add({
      severity: 'notice',
      file,
      offset,
      problem: 'bytes that are no batch follow the last one',
      meaning:
        'a crash in the middle of a write leaves this, and nothing of it was acknowledged; so does damage to more than one bit of the last batch',
      remedy: '',
    })
  }

  #record(file: string, record: LogRecord): void {
    const { survey, findings } = this.#options
    this.#records += 1
    const problem = this.#problemOf(record)
    const other = problem === undefined && record.kind === RecordKind.opened ? survey.addOpening(record) : undefined
    if (problem === undefined && other === undefined) return
    findings.add({
      severity: 'damage',
      file,
      offset: record.address.offset,
      problem: problem ?? `epoch ${record.epoch} was opened in journal ${other} too`,
      meaning: describe(record),
      remedy: 'Nothing but the code that writes the log makes this of a batch that is whole: report it',
    })
  }

  #problemOf(record: LogRecord): string | undefined {
    const { kind, shard, hashLow } = record
    if (!isRecord(record.block, record.at, record.address)) return 'the record does not match its check'
    if (record.isOfJournal) return undefined
    if (shard >= this.#options.shards) return `there is no shard ${shard}`
    if (kind !== RecordKind.opened && hashLow % this.#options.shards !== shard) return 'the stream is not of this shard'
    let data: unknown
    try {
      data = record.data
      void record.metadata
    } catch (error) {
      return `its data cannot be decoded: ${String(error)}`
    }
    if (kind !== RecordKind.opened) return undefined
    const opening = decodeOpening(data)
    const isSound = opening?.shard === shard && opening.epoch === record.epoch
    return isSound ? undefined : "it is no opening of the shard's, and the shard is refused"
  }

  /** A segment that does not go on where the one before it ended. */
  async #connect(journal: number, views: View[]): Promise<void> {
    const [before, next] = views.slice(-2)
    if (before === undefined || next === undefined) return
    const gap = await this.#options.catalog.gapBetween(journal, before, next)
    if (gap === undefined) return
    before.gaps.push(gap)
    this.#options.survey.addBad({ journal, segment: before.segment }, gap)
  }

  async #storedIndex(journal: number, segment: number): Promise<StoredIndex> {
    const { storage, catalog } = this.#options
    const bytes = await readWhole(storage, indexPath(journal, segment))
    const index = bytes === undefined ? undefined : await IndexFile.open(catalog.files, journal, segment)
    // One that cannot be opened is compared at the end, and found to differ.
    return { bytes, end: index?.end ?? (bytes === undefined ? 0 : -1), isDurable: index?.isDurable === true }
  }

  async #compare(index: OpenIndex, { bytes, isDurable }: StoredIndex): Promise<void> {
    // The index of a segment that was damaged since knows more than the segment does.
    if (!index.isSound) return
    // Only whoever made it knows that.
    index.isDurable = isDurable
    const { shards } = this.#options
    const made = await encodeIndex(
      index,
      (low) => low % shards,
      () => Promise.resolve(),
    )
    if (Buffer.from(made).equals(bytes!)) return
    this.#wrongIndex(index, 'it is not what the segment gives')
  }

  #wrongIndex(index: OpenIndex, problem: string): void {
    const meaning = 'nothing is lost: an index is made from its segment, and the node makes it again where it notices'
    this.#remake(index, { severity: 'damage', problem, meaning })
  }

  /** A segment gets its index once the next one is written to. One with damage gets none. */
  #maybeMissingIndex(index: OpenIndex): void {
    if (!index.isSound || this.#options.storage.exists(indexPath(index.journal, index.segment))) return
    const meaning = 'the next start makes it, and takes longer'
    this.#remake(index, { severity: 'notice', problem: 'the segment has no index', meaning })
  }

  #remake({ journal, segment }: OpenIndex, told: Pick<Finding, 'severity' | 'problem' | 'meaning'>): void {
    const { findings, survey } = this.#options
    const file = indexPath(journal, segment)
    survey.indexesToMake.push({ journal, segment, file })
    findings.add({ ...told, file, offset: 0, remedy: `${REPAIR}, which makes it again` })
  }

  async #losses(journal: number): Promise<void> {
    const { storage, findings } = this.#options
    try {
      for (const [segment, losses] of await readLosses(storage, journal)) {
        for (const { from, to } of losses) {
          findings.add({
            severity: 'notice',
            file: segmentPath(journal, segment),
            offset: from,
            problem: `what stood there${to === undefined ? '' : ` up to byte ${to}`} was accepted as lost`,
            meaning: 'streams whose history leads there are refused; everything else is served',
            remedy: `Should a better copy turn up: put it in place and remove ${lossPath(journal, segment)}`,
          })
        }
      }
    } catch (error) {
      if (!isLogCorrupt(error)) throw error
      const { path } = error.details as { readonly path: string }
      findings.add({
        severity: 'damage',
        file: path,
        offset: 0,
        problem: 'this is not the list of losses that was written',
        meaning: 'the shards that need this journal are refused',
        remedy: `Remove it, and accept the losses again. ${acceptCommand(path.replace(/lost$/, 'log'))}`,
      })
    }
  }

  async #fences(journal: number, fences: readonly number[]): Promise<void> {
    const { findings } = this.#options
    const missing = fences.findIndex((fence, i) => fence !== i + 1)
    if (missing === -1) return
    findings.add({
      severity: 'notice',
      file: journalPath(journal),
      offset: 0,
      problem: `fence ${missing + 1} is missing`,
      meaning:
        "a power loss may take a fence along, and its journal's writer with it; a writer that lives would not see the later ones",
      remedy: '',
    })
  }
}

function viewOf(index: OpenIndex): View {
  const { segment, extents, gaps, harmed, end, firstBatchNumber, lastBatchNumber } = index
  return { segment, extents, gaps: [...gaps], harmed, end, firstBatchNumber, lastBatchNumber }
}
