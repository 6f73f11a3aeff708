/**
 * The second walk: each shard's history, reign by reign. `seq` counts on without a gap (I4), positions increase, each
 * stream's versions count 1, 2, 3 …, and each record is chained to the one before it.
 *
 * It reads journals and not shards, because a journal has records of all its shards side by side. Where two shards went
 * through two journals in opposite order, one of them has to wait for another round.
 */
import type { Catalog } from '../catalog.ts'
import { segmentPath } from '../path.ts'
import { NOWHERE, RecordKind, type Address, type LogRecord } from '../record.ts'
import { isWithin, type Reign } from '../reign.ts'
import { readSegment, salvage, type SegmentPiece } from '../scan.ts'
import type { Findings, Severity } from './finding.ts'
import { describe } from './record-text.ts'
import { StreamChains } from './stream-chains.ts'
import type { BadStretch, Survey } from './survey.ts'

export interface HistoryCheckOptions {
  readonly catalog: Catalog
  readonly findings: Findings
  readonly survey: Survey
  readonly onPiece: (piece: SegmentPiece) => void
}

interface ShardState {
  seq: number
  position: number
  /** The shard's last record that was read. */
  last: Address
}

/** The reigns to be followed in one round: by journal, by shard. */
type Round = Map<number, Map<number, Reign[]>>

export class HistoryCheck {
  readonly #options: HistoryCheckOptions
  readonly #chains = new StreamChains()
  readonly #states = new Map<number, ShardState>()
  /** By the number that stands for a segment in the chains. */
  readonly #segments: Address[] = [NOWHERE]
  #events = 0

  constructor(options: HistoryCheckOptions) {
    this.#options = options
  }

  /** How many events there are in the shards' histories, in how many streams. */
  get events(): number {
    return this.#events
  }
  get streams(): number {
    return this.#chains.size
  }

  async run(): Promise<void> {
    for (const round of this.#rounds()) {
      for (const journal of [...round.keys()].toSorted((a, b) => a - b))
        await this.#journal(journal, round.get(journal)!)
    }
  }

  /** Each reign goes into the first round in which the shard's reigns come in their order. */
  #rounds(): Round[] {
    const { survey } = this.#options
    const rounds: Round[] = []
    for (const shard of survey.openedShards) {
      this.#states.set(shard, { seq: 0, position: 0, last: NOWHERE })
      let at = 0
      let before = 0
      for (const reign of survey.reigns(shard)) {
        if (reign.journal < before) at += 1
        before = reign.journal
        const round = (rounds[at] ??= new Map())
        const shards = round.get(reign.journal) ?? new Map<number, Reign[]>()
        round.set(reign.journal, shards)
        shards.set(shard, [...(shards.get(shard) ?? []), reign])
      }
    }
    return rounds
  }

  async #journal(journal: number, shards: ReadonlyMap<number, readonly Reign[]>): Promise<void> {
    const { catalog, survey, onPiece } = this.#options
    for (const segment of survey.journals.get(journal) ?? []) {
      const identity = catalog.identity(journal, segment)
      const number = this.#segments.push({ journal, segment, offset: 0 }) - 1
      for await (const piece of readSegment(catalog.files, identity)) {
        if (piece.kind === 'damage') {
          for await (const record of salvage(catalog.files, identity, piece)) this.#record(record, number, shards)
        } else if (piece.kind !== 'end') {
          const { records } = piece.kind === 'batch' ? piece.batch : piece.flipped.batch
          for (const record of records) this.#record(record, number, shards)
        }
        onPiece(piece)
      }
    }
  }

  #record(record: LogRecord, segment: number, shards: ReadonlyMap<number, readonly Reign[]>): void {
    const { shard, epoch, address, kind } = record
    const reigns = shards.get(shard)
    if (reigns === undefined || !reigns.some((reign) => isWithin(reign, epoch, address))) return
    if (record.isOfJournal) return
    const state = this.#states.get(shard)!
    const expected = state.seq + (kind === RecordKind.event ? 1 : 0)
    if (record.seq !== expected) this.#jumped(record, state, expected)
    state.seq = record.seq
    state.last = address
    if (kind === RecordKind.opened) return
    if (kind === RecordKind.event) {
      this.#events += 1
      const { position } = record
      if (position <= state.position) this.#wrong(record, `position ${position} comes after ${state.position}`)
      state.position = position
    }
    this.#chain(record, segment)
  }

  #chain(record: LogRecord, segment: number): void {
    const end = this.#chains.endBefore(record)
    const before: Address = end === undefined ? NOWHERE : { ...this.#segments[end.segment]!, offset: end.offset }
    const version = end?.version ?? 0
    const expected = version + (record.kind === RecordKind.event ? 1 : 0)
    const { previous } = record
    if (!isSame(previous, before)) this.#brokenChain(record, { before, expected })
    else if (record.version !== expected)
      this.#wrong(record, `${record.stream} goes from version ${version} to ${record.version}`)
    this.#chains.add(record, segment)
  }

  #brokenChain(record: LogRecord, { before, expected }: { readonly before: Address; readonly expected: number }): void {
    const { previous, stream, version, kind } = record
    const bad = previous.journal === 0 ? undefined : this.#options.survey.badAt(previous)
    if (bad === undefined) {
      this.#wrong(record, `its chain leads to ${show(previous)}, and the record before it stands at ${show(before)}`)
      return
    }
    const last = version - (kind === RecordKind.event ? 1 : 0)
    const lost = expected > last ? 'a snapshot' : range('event', expected, last)
    this.#lost(previous, [bad], {
      problem: `${lost} of ${stream} cannot be read`,
      meaning: `${stream} is refused where it is read from there back; a snapshot behind it may serve its state`,
    })
  }

  #jumped(record: LogRecord, state: ShardState, expected: number): void {
    const { shard, seq, address, kind } = record
    const bad = this.#options.survey.badBetween(shard, state.last, address)
    const last = seq - (kind === RecordKind.event ? 1 : 0)
    const problem = `shard ${shard} goes on with seq ${seq}, where ${expected} was to be expected`
    if (bad.length === 0) this.#wrong(record, problem)
    else {
      this.#lost(bad[0]!.place, bad, {
        problem,
        meaning: `shard ${shard} had ${range('seq', state.seq + 1, last)} there: ${last - state.seq} of its events`,
      })
    }
  }

  /** What damage took along that is told elsewhere. */
  #lost(
    place: Address,
    bad: readonly BadStretch[],
    told: { readonly problem: string; readonly meaning: string },
  ): void {
    const severity: Severity = bad.every(({ isAccepted }) => isAccepted) ? 'notice' : 'damage'
    const file = segmentPath(place.journal, place.segment)
    const remedy = severity === 'notice' ? '' : 'Mend what is damaged there, as said for that place'
    this.#options.findings.add({ severity, file, offset: place.offset, ...told, remedy })
  }

  /** What breaks a rule of the log in records that are whole. */
  #wrong(record: LogRecord, problem: string): void {
    const { journal, segment, offset } = record.address
    this.#options.findings.add({
      severity: 'damage',
      file: segmentPath(journal, segment),
      offset,
      problem,
      meaning: describe(record),
      remedy:
        'A file was lost or exchanged, or the code that writes the log is wrong. Restore the journal from a backup, or report it',
    })
  }
}

function range(what: string, first: number, last: number): string {
  return first === last ? `${what} ${first}` : `${what}s ${first} to ${last}`
}

function isSame(a: Address, b: Address): boolean {
  return a.journal === b.journal && a.segment === b.segment && a.offset === b.offset
}

function show({ journal, segment, offset }: Address): string {
  return journal === 0 ? 'nowhere' : `${segmentPath(journal, segment)} at byte ${offset}`
}
