/**
 * Pages of a stream, as they are asked for and answered. A stream is a chain from its newest event back, so that whoever
 * wants the oldest first has to walk over all the others. On that walk the owner marks where the later pages end, and the
 * reader gives each mark back with its request: all pages together cost two walks, and the owner remembers nothing.
 *
 * A mark is a hint. What a page holds is said by versions alone; where a mark leads nowhere (any more), the owner walks
 * from the newest event.
 */
import { filterProblem, type EventFilter } from '../log/event-filter.ts'
import { areEvents, type Address } from '../log/record.ts'
import { isCount } from '../log/count.ts'
import { sliceOf, type Slice } from '../log/slice.ts'
import { readRefused } from './error.ts'
import type { QueryMessage } from './message.ts'

/** Where a version of the stream stands. */
export interface Mark {
  readonly version: number
  readonly address: Address
}

/** A range of versions, both of its ends in it; read from its lower end up, or from its upper end down. */
export interface PageRequest {
  readonly from: number
  /** Undefined for the newest. */
  readonly to: number | undefined
  /** Of `to`, or of a version above it. */
  readonly at: Address | undefined
  readonly isBackwards: boolean
  /** Events that are wanted at most. */
  readonly limit: number
  readonly filter: EventFilter | undefined
}

export interface Page {
  /** In the order of reading, as they stand in the log. */
  readonly records: Slice
  /** Forwards: where the pages after this one end, the last first. Backwards: where the next begins, if there is one. */
  readonly marks: readonly Mark[]
  /** Forwards: the version after this page's last, with which the next begins. */
  readonly next: number
}

/** A mark in numbers. */
const MARK_NUMBERS = 4

/** What is asked, as the payload of a query. */
export function encodePageRequest({ from, to, at, isBackwards, limit, filter }: PageRequest): unknown {
  return { from, to, at: at && numbersOf(at), isBackwards, limit, filter }
}

/** @throws PenholdError `BadPayload` */
export function readPageRequest({ payload, stream }: QueryMessage): PageRequest {
  const { from, to, at, isBackwards, limit, filter } = (payload ?? {}) as Partial<Record<string, unknown>>
  const isRequest =
    isCount(from) &&
    (to === undefined || isCount(to)) &&
    (at === undefined || (Array.isArray(at) && at.length === 3 && at.every(isCount))) &&
    typeof isBackwards === 'boolean' &&
    isCount(limit)
  if (!isRequest) throw readRefused(stream, 'what was asked for is no page')
  const problem = filter === undefined ? undefined : filterProblem(filter)
  if (problem !== undefined) throw readRefused(stream, problem)
  const address = at === undefined ? undefined : addressOf(at)
  return { from, to, at: address, isBackwards, limit, filter: filter as EventFilter | undefined }
}

export function encodePage(records: Uint8Array, marks: readonly Mark[], next: number): unknown {
  return { records, next, marks: marks.flatMap(({ version, address }) => [version, ...numbersOf(address)]) }
}

/** Undefined where that is no page. */
export function decodePage(value: unknown): Page | undefined {
  const { records, marks, next } = (value ?? {}) as Partial<Record<string, unknown>>
  if (!(records instanceof Uint8Array) || !areEvents(sliceOf(records)) || !isCount(next)) return undefined
  if (!Array.isArray(marks) || marks.length % MARK_NUMBERS !== 0 || !marks.every(isCount)) return undefined
  const read: Mark[] = []
  for (let i = 0; i < marks.length; i += MARK_NUMBERS) {
    read.push({ version: marks[i] as number, address: addressOf(marks.slice(i + 1, i + MARK_NUMBERS)) })
  }
  return { records: sliceOf(records), marks: read, next }
}

/** A mark alone; undefined for none. */
export function encodeMark(mark: Mark | undefined): unknown {
  return mark && [mark.version, ...numbersOf(mark.address)]
}

/** Undefined where that is no mark. */
export function decodeMark(value: unknown): Mark | undefined {
  if (!Array.isArray(value) || value.length !== MARK_NUMBERS || !value.every(isCount)) return undefined
  return { version: value[0]!, address: addressOf(value.slice(1)) }
}

function numbersOf({ journal, segment, offset }: Address): readonly number[] {
  return [journal, segment, offset]
}

function addressOf([journal = 0, segment = 0, offset = 0]: readonly number[]): Address {
  return { journal, segment, offset }
}
