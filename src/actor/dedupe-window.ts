/**
 * The commands that an aggregate remembers by id, so that each takes effect at most once (I5).
 *
 * The log is what remembers them: each event carries its command's id and the hash of its payload. A window is read
 * from it only when a command arrives whose id may have been seen, and kept while its actor lives
 * (docs/decisions/dedupe-from-the-log.md). What is looked for further back than the last commands is in a filter beside them
 * (older-ids.ts), so that the log is read again for those alone that are most likely there. Commands without events are remembered by a living actor alone: they had no
 * effect, so deciding them again is safe.
 */
import { assert } from '../aggregate/assert.ts'
import { RecordKind, type Address, type LogRecord } from '../log/record.ts'
import { sliceOf, type Slice } from '../log/slice.ts'
import type { Envelope } from './actor.ts'
import type { CommandMessage, Reply } from './message.ts'
import { OlderIds } from './older-ids.ts'

export interface Remembered {
  readonly payloadHash: number
  /** The outcome of a command without events; undefined where events stand in the log for it. */
  readonly reply: Reply | undefined
  readonly firstVersion: number
  readonly lastVersion: number
  /** Of its last event; 0 where it has none. */
  readonly position: number
  /** Where the last of its records stands. */
  readonly last: Address
}

export class DedupeWindow {
  readonly #commandsMax: number
  /** By id, oldest first. */
  readonly #commands = new Map<string, Remembered>()
  /** Ids of commands before these. */
  readonly #older: OlderIds
  /** Ids that were looked for further back, and are not there: until they are added. */
  readonly #absent: Set<string>
  /** Of all commands with events behind this position it has the id; of those behind the last that is older, all. */
  readonly #reach: number

  /** `reach` is the position up to which nothing is remembered; 0 where the window holds the whole stream. */
  constructor(commandsMax: number, reach: number, { absent = new Set(), older = new OlderIds() }: Further = {}) {
    this.#commandsMax = commandsMax
    this.#reach = reach
    this.#older = older
    this.#absent = absent
  }

  /** Whether it knows of a command, if that had events behind this position. */
  knows(commandId: Slice, after: number): boolean {
    if (after < this.#reach) return false
    if (after >= this.#older.last) return true
    const key = keyOf(commandId)
    return this.#commands.has(key) || this.#absent.has(key) || !this.#older.mayHave(key)
  }

  find(commandId: Slice): Remembered | undefined {
    return this.#commands.get(keyOf(commandId))
  }

  add(commandId: Slice, remembered: Remembered): void {
    this.addByKey(keyOf(commandId), remembered)
    if (this.#commands.size <= this.#commandsMax) return
    const [oldest] = this.#commands
    if (oldest === undefined) return
    this.#commands.delete(oldest[0])
    this.#older.add(oldest[0], oldest[1].position)
  }

  /** Adds a command that is remembered whatever the window's size. */
  addByKey(key: string, remembered: Remembered): void {
    this.#commands.set(key, remembered)
    this.#absent.delete(key)
  }
}

/** What a window knows of commands that it does not remember. */
interface Further {
  readonly absent?: Set<string>
  readonly older?: OlderIds
}

export interface WindowSize {
  /** So many commands are remembered at least. */
  readonly commandsMax: number
  /** And the ids of all those with events after this position. */
  readonly since: number
  /** These are remembered, however long ago they were. */
  readonly sought: ReadonlySet<string>
}

/** Whether a command must be looked for in a window that was not read yet, or not far enough back. */
export function needsWindow(
  window: DedupeWindow | undefined,
  { isFresh, isAgain, since, commandId }: CommandMessage,
): boolean {
  return !isFresh && (window === undefined || (isAgain && !window.knows(commandId, since)))
}

/** The window that these need: what is sent again must find what it did, however many commands came after it. */
export function windowFor(waiting: readonly Envelope[], limits: { readonly dedupeWindow: number }): WindowSize {
  let since = Number.POSITIVE_INFINITY
  const sought = new Set<string>()
  for (const { message } of waiting) {
    if (message.kind !== 'command' || !message.isAgain) continue
    since = Math.min(since, message.since)
    sought.add(keyOf(message.commandId))
  }
  return { commandsMax: limits.dedupeWindow, since, sought }
}

/** So many more are remembered where one of them is sought: who sends one again is likely to send those around it. */
const SOUGHT_MORE = 10_000

/** Reads the window from the stream's records, newest first. */
export async function readWindow(
  records: AsyncIterable<LogRecord> | Iterable<LogRecord>,
  { commandsMax, since, sought }: WindowSize,
): Promise<DedupeWindow> {
  const newestFirst: { key: string; remembered: Remembered }[] = []
  const older = new OlderIds()
  const keptMax = sought.size > 0 ? commandsMax + SOUGHT_MORE : commandsMax
  let last: { key: string; remembered: Remembered } | undefined
  let reach = 0
  for await (const { kind, commandId, payloadHash, version, position, address } of records) {
    if (kind !== RecordKind.event) continue
    const key = keyOf(commandId)
    if (last?.key === key) {
      last.remembered = { ...last.remembered, firstVersion: version }
      continue
    }
    if (newestFirst.length >= commandsMax && position <= since) {
      reach = position
      break
    }
    const versions = { firstVersion: version, lastVersion: version }
    last = { key, remembered: { payloadHash, reply: undefined, ...versions, position, last: address } }
    if (newestFirst.length < keptMax || sought.has(key)) newestFirst.push(last)
    else older.add(key, position)
  }
  const found = new Set(newestFirst.map(({ key }) => key))
  const absent = new Set([...sought].filter((key) => !found.has(key)))
  const window = new DedupeWindow(keptMax, reach, { absent, older })
  for (const { key, remembered } of newestFirst.toReversed()) window.addByKey(key, remembered)
  return window
}

/** The reply to a command whose events stand in the log, from the stream's records at and before its last one. */
export async function outcomeFromLog(records: AsyncIterable<LogRecord>, remembered: Remembered): Promise<Reply> {
  const { firstVersion, lastVersion } = remembered
  const events: LogRecord[] = []
  for await (const record of records) {
    if (record.kind !== RecordKind.event) continue
    events.push(record)
    if (record.version === firstVersion) break
  }
  assert(events.length === lastVersion - firstVersion + 1, 'the events of a remembered command stand in the log')
  // What a stream was created with is nobody's event.
  const own = events.filter(({ version }) => version > 0)
  const bytes = Buffer.concat(own.toReversed().map((record) => record.bytes))
  return { kind: 'accepted', version: lastVersion, position: events[0]!.position, records: sliceOf(bytes) }
}

function keyOf({ bytes, start, end }: Slice): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
}
