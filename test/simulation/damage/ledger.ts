/**
 * What must be in a log that was harmed, as it would be had nothing been: held against what nodes show of it, and against
 * what clients were told. An era ends where losses are accepted: from then on exactly what was named may be missing.
 */
import { RecordKind, type LogRecord } from '../../../src/log/record.ts'
import { check, checkShards } from '../../checker/check.ts'
import type { Entry, LoggedEvent } from '../../checker/history.ts'
import { after, digestOf, NOTHING } from '../bank.ts'
import { entryOf, type Attempt } from '../history.ts'
import { nameOf, TYPE, type Look, type Reading } from './look.ts'
import { isEvent } from './written.ts'

interface Row extends LoggedEvent {
  readonly name: string
  readonly type: string
  readonly data: unknown
  /** It was lost, as was accepted; what was made of it before counts. */
  readonly isLost: boolean
}

export class Ledger {
  /** By stream, all its events at the end of the era before. */
  #before: ReadonlyMap<string, readonly Row[]> = new Map()
  /** The streams that have lost something. */
  readonly #scarred = new Set<string>()
  readonly #lost = new Set<string>()
  /** What reads everything in the order of all needs each owner's opening. */
  #hasLostOpening = false

  get hasLosses(): boolean {
    return this.#scarred.size > 0
  }

  /** What clients were told in this era and before, against what stands in the log. */
  check(records: readonly LogRecord[], now: readonly Attempt[], before: readonly Attempt[]): string[] {
    const { streams, problems } = this.#streams(records)
    const counts = new Map<string, number>()
    for (const { commandId } of [...streams.values()].flat()) counts.set(commandId, (counts.get(commandId) ?? 0) + 1)
    const history = [
      ...before.flatMap((attempt) => this.#formerEntry(attempt, counts)),
      ...now.flatMap((attempt) => entryOf(attempt) ?? []),
    ]
    const violations = [...check(history, streams), ...checkShards(streams)]
    const broken = violations
      .filter(({ kind }) => !(this.hasLosses && kind === 'seq-gap'))
      .map(({ kind, stream, message }) => `${kind} on ${stream}: ${message}`)
    return [...problems, ...broken]
  }

  /** What a node shows of these records, some of which may be refused, as harmed. */
  checkLook(shown: Look, records: readonly LogRecord[], refused: ReadonlySet<number> | 'any'): string[] {
    const { all, ofType, losses, streams } = shown
    const events = order(records)
    const { streams: rows } = this.#streams(records)
    const gaps = gapsOf(records)
    const isWhole = refused !== 'any' && refused.size === 0
    const isAllShown = isWhole && !this.#hasLostOpening
    const problems = [
      ...checkReading(all, events.map(nameOf), { what: 'everything', isWhole: isAllShown }),
      ...checkReading(ofType, events.filter(({ type }) => type === TYPE).map(nameOf), {
        what: TYPE,
        isWhole: isAllShown,
      }),
      ...losses.filter((loss) => !gaps.all.has(loss)).map((loss) => `event ${loss} is told as lost, and is not`),
    ]
    if (all.end === 'ended') {
      for (const gap of gaps.beforeEvents) if (!losses.includes(gap)) problems.push(`lost event ${gap} is gone past`)
    }
    for (const [stream, reading] of streams) {
      const row = rows.get(stream) ?? []
      // A record that is whole within what was given up may be shown by those who are led there.
      const names = row.map(({ name }) => name)
      const shard = row[0]?.shard
      const isServed = isWhole || (refused !== 'any' && shard !== undefined && !refused.has(shard))
      problems.push(...checkReading(reading, names, { what: stream, isWhole: isServed && !this.#scarred.has(stream) }))
    }
    return problems
  }

  /** What readers have heard since the era began. */
  checkHeard(heard: readonly string[], records: readonly LogRecord[], type?: string): string[] {
    const events = order(records).filter((record) => type === undefined || record.type === type)
    const what = `a subscription to ${type ?? 'everything'}`
    return checkReading({ events: heard, end: 'waits' }, events.map(nameOf), { what, isWhole: false })
  }

  /** A new era begins: some of what was there is lost. `accepted` is all that may be. */
  accept(before: readonly LogRecord[], records: readonly LogRecord[], accepted: ReadonlySet<LogRecord>): string[] {
    const left = new Set(records.filter(isEvent).map(nameOf))
    const known = new Set(before.filter(isEvent).map(nameOf))
    const problems = [...left].filter((name) => !known.has(name)).map((name) => `${name} was not there before`)
    const { streams } = this.#streams(before)
    for (const record of before) {
      if (accepted.has(record)) {
        if (record.kind === RecordKind.opened) this.#hasLostOpening = true
        else this.#scarred.add(record.stream)
      }
      if (!isEvent(record) || left.has(nameOf(record))) continue
      if (!accepted.has(record)) problems.push(`${nameOf(record)} is lost, and nobody has accepted that`)
      this.#lost.add(nameOf(record))
    }
    this.#before = streams
    return problems
  }

  /** What was told before losses were accepted, as far as it still means something. */
  #formerEntry(attempt: Attempt, counts: ReadonlyMap<string, number>): Entry[] {
    const entry = entryOf(attempt)
    if (entry?.kind !== 'command' || entry.outcome.kind === 'declined') return []
    const isLost = [...this.#lost].some(
      (name) => name.startsWith(`${entry.stream}@`) && name.endsWith(` by ${entry.commandId}`),
    )
    if (!isLost) return [entry]
    const events = counts.get(entry.commandId) ?? 0
    if (events === 0) return []
    return [{ ...entry, events, returnedAt: Number.POSITIVE_INFINITY, outcome: { kind: 'unknown' } }]
  }

  /** By stream its events up to the newest of its records, those that were lost included. */
  #streams(records: readonly LogRecord[]): { readonly streams: Map<string, Row[]>; readonly problems: string[] } {
    const problems: string[] = []
    const streams = new Map<string, Row[]>()
    const ofStreams = Map.groupBy(
      records.filter(({ kind }) => kind !== RecordKind.opened),
      ({ stream }) => stream,
    )
    for (const [stream, ofStream] of ofStreams) {
      const found = new Map<number, LogRecord>()
      for (const record of ofStream.filter(isEvent)) {
        if (found.has(record.version))
          problems.push(`${nameOf(record)} and ${nameOf(found.get(record.version)!)} both count`)
        found.set(record.version, record)
      }
      const newest = Math.max(...ofStream.map(({ version }) => version))
      let known = this.#before.get(stream) ?? []
      let view = NOTHING
      const row: Row[] = []
      for (let version = 1; version <= newest; version += 1) {
        const record = found.get(version)
        const former = known[version - 1]
        if (record !== undefined && former !== undefined && former.name !== nameOf(record)) known = []
        const event = record === undefined ? former && { ...former, isLost: true } : rowOf(record)
        if (event === undefined) {
          problems.push(`${stream} has no version ${version}, and goes on to ${newest}`)
          break
        }
        view = after(view, event.type, event.data)
        row.push({ ...event, digest: digestOf(view) })
      }
      streams.set(stream, row)
    }
    return { streams, problems }
  }
}

function rowOf(record: LogRecord): Row {
  const { shard, seq, version, position, type, data, epoch, journal } = record
  const commandId = String((data as { readonly by: number }).by)
  const owner = { epoch, journal }
  return { shard, seq, version, position, commandId, type, data, owner, name: nameOf(record), isLost: false }
}

function order(records: readonly LogRecord[]): LogRecord[] {
  return records.filter(isEvent).toSorted((a, b) => a.position - b.position || a.shard - b.shard)
}

/** `seq`s, each with its shard, that the shards' rows jump over: before an event, of which readers are told, or before an opening. */
function gapsOf(records: readonly LogRecord[]): { readonly all: Set<string>; readonly beforeEvents: Set<string> } {
  const all = new Set<string>()
  const beforeEvents = new Set<string>()
  for (const [shard, ofShard] of Map.groupBy(records, (record) => record.shard)) {
    let last = 0
    for (const { kind, seq } of ofShard) {
      if (kind === RecordKind.snapshot) continue
      const to = kind === RecordKind.event ? seq - 1 : seq
      for (let lost = last + 1; lost <= to; lost += 1) all.add(`${lost} of shard ${shard}`)
      if (kind === RecordKind.event) for (const lost of all) if (lost.endsWith(` ${shard}`)) beforeEvents.add(lost)
      last = seq
    }
  }
  return { all, beforeEvents }
}

function checkReading(
  { events, end }: Reading,
  expected: readonly string[],
  { what, isWhole }: { readonly what: string; readonly isWhole: boolean },
): string[] {
  const at = events.findIndex((name, i) => name !== expected[i])
  if (at >= 0) return [`${what}: ${events[at]} comes where ${expected[at] ?? 'nothing more'} stands`]
  if (end === 'ended') {
    if (events.length === expected.length) return []
    return [`${what} ends behind ${events.length} of ${expected.length} events, without a word`]
  }
  const told = end === 'waits' ? 'nothing' : end.code
  if (isWhole) return [`${what} cannot be read behind ${events.length} of ${expected.length} events: told ${told}`]
  return end === 'waits' || end.code === 'LogCorrupt' ? [] : [`${what}: whoever reads it is told ${told}`]
}
