/**
 * What a client that reads and the node that it reads from tell each other, on a connection for reading. One connection
 * carries many readings, each with a number that its caller gives it; the caller asks for one page of it at a time. A frame
 * is one of
 *
 *     open      1 u8, reading u32, kind u8 (1 all, 2 stream), request (MessagePack): what is to be read
 *     pull      2 u8, reading u32: its next page
 *     close     3 u8, reading u32: nothing more of it
 *     ping      4 u8
 *     page      5 u8, reading u32, flags u8, and where flagged: place f64 + u32, end f64 + u32; records
 *     failed    6 u8, reading u32, failure (MessagePack): why it has ended
 *     gone      7 u8, reading u32: nobody asked for long; who wants to go on opens another
 *     pong      8 u8
 *
 * What is encoded, and records as they stand in the log, stand behind a u32 length. Little-endian. Reading trusts
 * nothing: what it returns is of the types it says, or BadFrame is thrown.
 */
import type { Failure } from '../actor/message.ts'
import { encode } from '../log/codec.ts'
import type { LogRecord } from '../log/record.ts'
import { sliceOf, type Slice } from '../log/slice.ts'
import { BadFrame, FrameReader, FrameWriter } from './frame.ts'
import { failureOf, readObject, readPosition, readRecords } from './wire.ts'

/** The version of the protocol that has connections for reading. */
export const READINGS_SINCE = 3

/** `all`: everything in its one order. `stream`: one stream by its versions. */
export type ReadingKind = 'all' | 'stream'

/** Behind what to go on: a position and a shard; for a stream its version, and 0. */
export interface ReadingPlace {
  readonly position: number
  readonly shard: number
}

/** What a caller says. */
export type ReadingQuestion =
  | { readonly kind: 'open'; readonly reading: number; readonly of: ReadingKind; readonly request: ReadingRequest }
  | { readonly kind: 'pull' | 'close'; readonly reading: number }
  | { readonly kind: 'ping' }

/** What is to be read, as plain data that nobody has checked yet. */
export type ReadingRequest = Readonly<Record<string, unknown>>

export interface ReadingPage {
  /** One after the other, as they stand in the log. */
  readonly records: Slice
  /** Behind all that was looked at, be it wanted or not; undefined where the last record says that. */
  readonly place: ReadingPlace | undefined
  /** Where this reading ends: said once, as soon as it is known. */
  readonly until: ReadingPlace | undefined
  /** Nothing comes behind this page. */
  readonly isLast: boolean
}

/** What a node says. */
export type ReadingAnswer =
  | { readonly kind: 'page'; readonly reading: number; readonly page: ReadingPage }
  | { readonly kind: 'failed'; readonly reading: number; readonly failure: Failure }
  | { readonly kind: 'gone'; readonly reading: number }
  | { readonly kind: 'pong' }

/** A page on its way out. */
export type OutgoingPage = Omit<ReadingPage, 'records'> & { readonly records: readonly LogRecord[] }

/** A request takes no more: it is held against every event. */
export const REQUEST_BYTES_MAX: number = 1024 * 1024

const Tag = { open: 1, pull: 2, close: 3, ping: 4, page: 5, failed: 6, gone: 7, pong: 8 } as const
/** Before a request. */
const OPEN_BYTES = 10
const KINDS = [undefined, 'all', 'stream'] as const
const Flag = { isLast: 1, hasPlace: 2, hasUntil: 4 } as const
const FLAGS_ALL = 7

/** Each frame is written in one go, by what cannot fail any more, and taken at once. */
const frame = new FrameWriter()

export function encodeQuestion(question: ReadingQuestion): Uint8Array {
  const request = question.kind === 'open' ? encode(question.request) : undefined
  frame.u8(Tag[question.kind])
  if (question.kind !== 'ping') frame.u32(question.reading)
  if (question.kind === 'open') frame.u8(KINDS.indexOf(question.of))
  if (request !== undefined) frame.slice(sliceOf(request))
  return frame.take()
}

/** @throws BadFrame */
export function decodeQuestion(bytes: Uint8Array): ReadingQuestion {
  const reader = new FrameReader(bytes)
  const question = readQuestion(reader, bytes.length - OPEN_BYTES)
  checkEnd(reader)
  return question
}

export function encodeAnswer(answer: Exclude<ReadingAnswer, { readonly kind: 'page' }>): Uint8Array {
  const failure = answer.kind === 'failed' ? encode(answer.failure) : undefined
  frame.u8(Tag[answer.kind])
  if (answer.kind !== 'pong') frame.u32(answer.reading)
  if (failure !== undefined) frame.slice(sliceOf(failure))
  return frame.take()
}

export function encodePage(reading: number, { records, place, until, isLast }: OutgoingPage): Uint8Array {
  frame.u8(Tag.page)
  frame.u32(reading)
  const hasPlace = place === undefined ? 0 : Flag.hasPlace
  const hasUntil = until === undefined ? 0 : Flag.hasUntil
  frame.u8((isLast ? Flag.isLast : 0) | hasPlace | hasUntil)
  for (const each of [place, until]) {
    if (each === undefined) continue
    frame.f64(each.position)
    frame.u32(each.shard)
  }
  frame.u32(records.reduce((sum, { length }) => sum + length, 0))
  for (const { block, at, length } of records) frame.raw({ bytes: block.bytes, start: at, end: at + length })
  return frame.take()
}

/** @throws BadFrame */
export function decodeAnswer(bytes: Uint8Array): ReadingAnswer {
  const reader = new FrameReader(bytes)
  const answer = readAnswer(reader)
  checkEnd(reader)
  return answer
}

function readQuestion(reader: FrameReader, bytes: number): ReadingQuestion {
  const tag = reader.u8()
  if (tag === Tag.ping) return { kind: 'ping' }
  const reading = reader.u32()
  if (tag === Tag.pull) return { kind: 'pull', reading }
  if (tag === Tag.close) return { kind: 'close', reading }
  if (tag !== Tag.open) throw new BadFrame(`nobody who reads says what has the tag ${tag}`)
  const of = KINDS[reader.u8()]
  if (of === undefined) throw new BadFrame('what is to be read is of no kind')
  if (bytes > REQUEST_BYTES_MAX) throw new BadFrame(`a request takes ${bytes} bytes`)
  return { kind: 'open', reading, of, request: readObject(reader) }
}

function readAnswer(reader: FrameReader): ReadingAnswer {
  const tag = reader.u8()
  if (tag === Tag.pong) return { kind: 'pong' }
  const reading = reader.u32()
  if (tag === Tag.gone) return { kind: 'gone', reading }
  if (tag === Tag.failed) return { kind: 'failed', reading, failure: failureOf(readObject(reader)) }
  if (tag !== Tag.page) throw new BadFrame(`nobody who is read from says what has the tag ${tag}`)
  const flags = reader.u8()
  if (flags > FLAGS_ALL) throw new BadFrame(`no page has the flags ${flags}`)
  const place = (flags & Flag.hasPlace) === 0 ? undefined : readPlace(reader)
  const until = (flags & Flag.hasUntil) === 0 ? undefined : readPlace(reader)
  const page = { records: readRecords(reader), place, until, isLast: (flags & Flag.isLast) !== 0 }
  return { kind: 'page', reading, page }
}

function readPlace(reader: FrameReader): ReadingPlace {
  return { position: readPosition(reader), shard: reader.u32() }
}

function checkEnd(reader: FrameReader): void {
  if (!reader.isAtEnd) throw new BadFrame('a frame goes on behind its end')
}
