/**
 * Walks everything in a data directory and says what is not as it was written. Reads only, and may run beside a node:
 * what is being written at the moment is no damage.
 */
import { Catalog } from '../catalog.ts'
import type { Claim } from '../claim.ts'
import type { Clock } from '../clock.ts'
import { decodeIdentity, type ClusterIdentity } from '../cluster-identity.ts'
import { flawOf, type Flaw, type SegmentView } from '../damage.ts'
import { mendIdentity } from '../mend.ts'
import { CLUSTER_PATH, JOURNALS_PATH, journalPath, numbersOf, segmentPath } from '../path.ts'
import { RecordKind } from '../record.ts'
import type { SegmentPiece } from '../scan.ts'
import { readWhole, type Storage } from '../storage.ts'
import { hash64 } from '../stream.ts'
import { checkClaims } from './claim-check.ts'
import { FileCheck } from './file-check.ts'
import { acceptCommand, Findings, mendCommand } from './finding.ts'
import { tellFlippedLast } from './flipped-batch.ts'
import { HistoryCheck } from './history-check.ts'
import { describe } from './record-text.ts'
import { Survey } from './survey.ts'

export interface VerifyOptions {
  readonly storage: Storage
  readonly clock: Clock
  /** Told how much of the log was read, of how much. Both walks count. */
  readonly onProgress?: (done: number, total: number) => void
  /** Aborted, the walk rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

export interface Verification {
  readonly identity: ClusterIdentity | undefined
  readonly findings: Findings
  readonly survey: Survey
  readonly journals: number
  readonly bytes: number
  readonly records: number
  /** In the shards' histories. */
  readonly events: number
  readonly streams: number
}

export async function verify(options: VerifyOptions): Promise<Verification> {
  const { storage } = options
  const findings = new Findings()
  const survey = new Survey()
  const identity = await readIdentity(storage, findings)
  const nothing = { identity, findings, survey, journals: 0, bytes: 0, records: 0, events: 0, streams: 0 }
  // Without it nobody knows whose the rest is.
  if (identity === undefined) return nothing
  const { shards, clusterId } = identity
  const catalog = new Catalog({ storage, clock: options.clock, cluster: hash64(clusterId, 0), shards, isLenient: true })
  try {
    const journals = numbersOf(await storage.list(JOURNALS_PATH), '')
    const bytes = await sizeOf(storage, catalog, journals)
    const onPiece = meter(options, bytes * 2)
    const files = new FileCheck({ storage, catalog, shards, findings, survey, onPiece })
    for (const journal of journals) await files.journal(journal)
    tellFlippedLast(survey, findings)
    const claims = await checkClaims({ storage, shards, findings, survey })
    // A node that runs beside may have begun some since they were listed.
    const begun = numbersOf(await storage.list(JOURNALS_PATH), '')
    const orphans = claims.filter(({ journal }) => !survey.journals.has(journal) && !begun.includes(journal))
    tellMissingJournals(survey, orphans, findings)
    for (const [journal, views] of survey.harmedJournals) {
      const harmed = { journal, views, claims, survey, findings }
      tellGaps(harmed)
      await tellUncounted(harmed, catalog)
    }
    const history = new HistoryCheck({ catalog, findings, survey, onPiece })
    await history.run()
    const { events, streams } = history
    return { ...nothing, journals: journals.length, bytes, records: files.records, events, streams }
  } finally {
    await catalog.close()
  }
}

async function readIdentity(storage: Storage, findings: Findings): Promise<ClusterIdentity | undefined> {
  const content = await readWhole(storage, CLUSTER_PATH)
  const identity = content === undefined ? undefined : decodeIdentity(content)
  if (identity !== undefined) return identity
  const isMendable = content !== undefined && mendIdentity(content) !== undefined
  findings.add({
    severity: 'damage',
    file: CLUSTER_PATH,
    offset: 0,
    problem: content === undefined ? 'the file is missing' : 'this is not what was written',
    meaning: 'it says whose the data is: no node starts here, and nothing else can be verified',
    remedy: isMendable ? mendCommand(CLUSTER_PATH) : `Restore ${CLUSTER_PATH} from a backup`,
  })
  return undefined
}

async function sizeOf(storage: Storage, catalog: Catalog, journals: readonly number[]): Promise<number> {
  let bytes = 0
  for (const journal of journals) {
    for (const segment of numbersOf(await storage.list(journalPath(journal)), '.log')) {
      bytes += (await catalog.files.size(segmentPath(journal, segment))) ?? 0
    }
  }
  return bytes
}

function meter({ onProgress, signal }: VerifyOptions, total: number): (piece: SegmentPiece) => void {
  let done = 0
  return (piece) => {
    signal?.throwIfAborted()
    if (piece.kind === 'batch') done += piece.batch.length
    if (piece.kind === 'flipped') done += piece.flipped.batch.length
    if (piece.kind === 'damage') done += piece.to - piece.from
    onProgress?.(Math.min(done, total), total)
  }
}

/** Journals that histories lead through and that are not there, and those that orphaned claims name. */
function tellMissingJournals(survey: Survey, orphans: readonly Claim[], findings: Findings): void {
  const missing = new Map<number, Set<number>>()
  const add = (journal: number, shard: number): void => {
    missing.set(journal, (missing.get(journal) ?? new Set()).add(shard))
  }
  for (const shard of survey.openedShards) {
    for (const { journal } of survey.reigns(shard)) {
      if ((survey.journals.get(journal)?.length ?? 0) === 0) add(journal, shard)
    }
  }
  for (const { journal, shard } of orphans) add(journal, shard)
  for (const [journal, known] of missing) {
    const shards = [...known]
    survey.addBad({ journal, segment: 1 }, { from: 0, to: Number.POSITIVE_INFINITY, isAccepted: false })
    findings.add({
      severity: 'damage',
      file: journalPath(journal),
      offset: 0,
      problem: 'the journal is missing',
      meaning: `the history of ${list(shards)} leads through it, and ${shards.length === 1 ? 'the shard is' : 'they are'} refused`,
      remedy: `Restore ${journalPath(journal)} from a backup`,
    })
  }
}

interface HarmedJournal {
  readonly journal: number
  readonly views: readonly SegmentView[]
  readonly claims: readonly Claim[]
  readonly survey: Survey
  readonly findings: Findings
}

/** Says of each stretch that cannot be read whom it concerns. */
function tellGaps({ journal, views, claims, survey, findings }: HarmedJournal): void {
  const flaws = new Map<number, Flaw>()
  for (const shard of survey.openedShards) {
    for (const reign of survey.reigns(shard)) {
      if (reign.journal !== journal) continue
      const { until } = reign
      const reached = views.filter(({ segment }) => until === undefined || segment <= until.segment)
      const flaw = flawOf(shard, reached, until)
      if (flaw !== undefined) flaws.set(shard, flaw)
    }
  }
  const unopened = claims.filter((claim) => claim.journal === journal && claim.epoch > survey.newestEpoch(claim.shard))
  for (const gap of views.flatMap(({ gaps }) => gaps)) {
    if (gap.isAccepted) continue
    const hit = [...flaws].filter(([, { segment, offset }]) => segment === gap.segment && offset === gap.from)
    const shards = [...hit.map(([shard]) => shard), ...unopened.map(({ shard }) => shard)]
    const file = segmentPath(journal, gap.segment)
    findings.add({
      severity: 'damage',
      file,
      offset: gap.from,
      problem: gap.problem,
      meaning:
        shards.length === 0
          ? 'no shard is refused for it, only a stream whose history leads there, when it is read; which events are lost with it, if any, is said apart'
          : `${list(shards)} lost something there, or may have: ${shards.length === 1 ? 'it is' : 'they are'} refused; where a sound index (.idx) of the file shows that nothing of the order of events is missing, only the streams whose history leads there are`,
      remedy: acceptCommand(file),
    })
  }
}

/** So many events are named one by one. */
const NAMED_MAX = 100

/**
 * A loss that was accepted may have taken a shard's opening along. What the owner wrote then does not count, whole as
 * it may be: the shard goes on from the owner before.
 */
async function tellUncounted(
  { journal, claims, survey, views, findings }: HarmedJournal,
  catalog: Catalog,
): Promise<void> {
  if (views.some(({ gaps }) => gaps.some(({ isAccepted }) => !isAccepted))) return
  const uncounted = claims.filter(
    (claim) => claim.journal === journal && survey.journalOf(claim.shard, claim.epoch) === undefined,
  )
  if (uncounted.length === 0) return
  let count = 0
  for (const segment of survey.journals.get(journal) ?? []) {
    await catalog.read(journal, segment, (piece) => {
      if (piece.kind !== 'batch') return
      for (const record of piece.batch.records) {
        const isLost = uncounted.some(({ shard, epoch }) => shard === record.shard && epoch === record.epoch)
        if (!isLost || record.kind !== RecordKind.event || (count += 1) > NAMED_MAX) continue
        findings.add({
          severity: 'notice',
          file: segmentPath(journal, segment),
          offset: record.address.offset,
          problem: 'this event does not count, as the opening of its epoch was accepted as lost',
          meaning: describe(record),
          remedy: '',
        })
      }
    })
  }
}

function list(shards: readonly number[]): string {
  return `${shards.length === 1 ? 'shard' : 'shards'} ${shards.toSorted((a, b) => a - b).join(', ')}`
}
