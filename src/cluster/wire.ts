/**
 * Messages and replies as frames. All that was said in one turn of the event loop travels in one frame, which is worth
 * four times the throughput of a frame each. A frame is a row of messages, or of replies:
 *
 *     message   tag u8, request u32, epoch u32 (from version 2 on), stream text, then
 *       command   name text, flags u8, command id 16 bytes, payload hash u32, milliseconds left f64, after f64, and where flagged:
 *                 since f64 (from version 3 on; otherwise it is `after`), sent in: shard u32, epoch u32 (from version 3 on),
 *                 expected version f64, metadata (MessagePack), payload (MessagePack)
 *       query     name text, flags u8, argument (MessagePack, where flagged)
 *       state     moment (MessagePack)
 *     reply     tag u8, request u32, then
 *       accepted  version u32, position f64, records
 *       accepted, with what is unsettled (to who asked for it alone)   the same, list (MessagePack)
 *       rejected, answered, failed   MessagePack
 *       elsewhere                    shard u32
 *
 * The epoch is the shard's, in which the worker is its owner as far as the sender has heard; 0: in whichever it is.
 *
 * Texts are UTF-8 behind a u16 length, everything encoded stands behind a u32 length. Little-endian.
 *
 * Reading trusts nothing: what it returns is of the types it says, or BadFrame is thrown.
 */
import type {
  CommandMessage,
  Failure,
  Message,
  QueryMessage,
  Reply,
  StateAt,
  StateMessage,
  Unsettled,
} from '../actor/message.ts'
import { BadEncoding, decode, encode, encodeScratch } from '../log/codec.ts'
import { isCount } from '../log/count.ts'
import { isIdAt } from '../log/identity.ts'
import { POSITION_MAX } from '../log/position.ts'
import { areEvents } from '../log/record.ts'
import { sliceOf, type Slice } from '../log/slice.ts'
import { BadFrame, FrameReader, FrameWriter } from './frame.ts'

const Tag = {
  command: 1,
  query: 2,
  state: 3,
  accepted: 4,
  rejected: 5,
  answered: 6,
  failed: 7,
  elsewhere: 8,
  unsettled: 9,
} as const
const Flag = {
  isFresh: 1,
  hasMetadata: 2,
  hasPayload: 4,
  hasExpectedVersion: 8,
  isAgain: 16,
  hasSince: 32,
  waitsForReactors: 64,
  hasSentIn: 128,
} as const
const FLAGS_ALL = 255
/** Of those that the version before knows. */
const FLAGS_BEFORE = 31

/** The newest version of all this that nodes speak with each other; they speak the one before as well (docs/wire.md). */
export const PROTOCOL_VERSION = 3

/** From this version on commands say apart how far back they are looked for, whether they wait for reactors, and which consumers sent them. */
const SINCE_VERSION = 3

/** In it nobody ever owns a shard: what carries it is only asked why the shard is not served. */
export const NO_EPOCH: number = 2 ** 32 - 1

/** A message on its way out: what its caller gave is encoded, so that nothing changes it any more. */
export type OutgoingMessage =
  | (Omit<CommandMessage, 'payload' | 'metadata'> & {
      readonly payload: Slice | undefined
      readonly metadata: Slice | undefined
    })
  | (Omit<QueryMessage, 'payload'> & { readonly payload: Slice | undefined })
  | StateMessage

/** A message whose number and epoch, and for a command its deadline, the router will set. */
export type Unsent<M extends OutgoingMessage = OutgoingMessage> = M extends OutgoingMessage
  ? { -readonly [K in keyof M]: M[K] }
  : never

/** What both ends of a link have to agree on, and the time at this one. */
export interface Passage {
  /** The monotonic clock here: a deadline travels as the time that is left, since clocks of others differ. */
  readonly now: number
  /** The version of the protocol that the link speaks. */
  readonly protocol: number
}

/** A caller's value as it will travel. */
export function outgoing(value: unknown): Slice | undefined {
  return value === undefined ? undefined : sliceOf(encode(value))
}

export function writeMessage(frame: FrameWriter, message: OutgoingMessage, passage: Passage): void {
  frame.u8(Tag[message.kind])
  frame.u32(message.request)
  frame.u32(message.epoch)
  frame.text(message.stream)
  switch (message.kind) {
    case 'command':
      writeCommand(frame, message, passage)
      break
    case 'query':
      frame.text(message.name)
      frame.u8(message.payload === undefined ? 0 : Flag.hasPayload)
      if (message.payload !== undefined) frame.slice(message.payload)
      break
    case 'state':
      frame.slice(encodeScratch(message.at))
      break
  }
}

/** @throws BadFrame */
export function readMessages(bytes: Uint8Array, passage: Passage): Message[] {
  const frame = new FrameReader(bytes)
  const messages: Message[] = []
  while (!frame.isAtEnd) messages.push(readMessage(frame, passage))
  return messages
}

export interface NumberedReply {
  readonly request: number
  readonly reply: Reply
}

export function writeReply(frame: FrameWriter, request: number, reply: Reply): void {
  const isUnsettled = reply.kind === 'accepted' && reply.unsettled !== undefined
  frame.u8(isUnsettled ? Tag.unsettled : Tag[reply.kind])
  frame.u32(request)
  switch (reply.kind) {
    case 'accepted':
      frame.u32(reply.version)
      frame.f64(reply.position)
      frame.slice(reply.records)
      if (reply.unsettled !== undefined) frame.slice(encodeScratch(reply.unsettled))
      break
    case 'rejected':
      frame.text(reply.code)
      writeOptional(frame, reply.details)
      break
    case 'answered':
      writeOptional(frame, reply.value)
      break
    case 'failed':
      frame.slice(encodeScratch(reply.failure))
      break
    case 'elsewhere':
      frame.u32(reply.shard)
      break
  }
}

/** @throws BadFrame */
export function readReplies(bytes: Uint8Array): NumberedReply[] {
  const frame = new FrameReader(bytes)
  const replies: NumberedReply[] = []
  while (!frame.isAtEnd) replies.push(readNumberedReply(frame))
  return replies
}

/** @throws BadFrame */
export function readNumberedReply(frame: FrameReader): NumberedReply {
  const tag = frame.u8()
  return { request: frame.u32(), reply: readReply(frame, tag) }
}

function writeCommand(
  frame: FrameWriter,
  message: OutgoingMessage & { readonly kind: 'command' },
  { now, protocol }: Passage,
): void {
  const { name, isFresh, isAgain, commandId, payloadHash, expectedVersion, deadline, metadata, payload } = message
  const { after, since } = message
  const isNow = protocol >= SINCE_VERSION
  const hasSince = isNow && since !== after ? Flag.hasSince : 0
  const sentIn = isNow ? message.sentIn : undefined
  const hasSentIn = sentIn === undefined ? 0 : Flag.hasSentIn
  const waits = isNow && message.waitsForReactors ? Flag.waitsForReactors : 0
  const hasExpectedVersion = expectedVersion < 0 ? 0 : Flag.hasExpectedVersion
  const hasMetadata = metadata === undefined ? 0 : Flag.hasMetadata
  const hasPayload = payload === undefined ? 0 : Flag.hasPayload
  frame.text(name)
  const identity = (isFresh ? Flag.isFresh : 0) | (isAgain ? Flag.isAgain : 0)
  frame.u8(identity | waits | hasSince | hasSentIn | hasExpectedVersion | hasMetadata | hasPayload)
  frame.raw(commandId)
  frame.u32(payloadHash)
  frame.f64(deadline - now)
  // Of the two the version before has one. That a command takes effect once comes first.
  frame.f64(isNow ? after : since)
  if (hasSince !== 0) frame.f64(since)
  if (sentIn !== undefined) {
    frame.u32(sentIn.shard)
    frame.u32(sentIn.epoch)
  }
  if (hasExpectedVersion !== 0) frame.f64(expectedVersion)
  if (metadata !== undefined) frame.slice(metadata)
  if (payload !== undefined) frame.slice(payload)
}

function readMessage(frame: FrameReader, passage: Passage): Message {
  const tag = frame.u8()
  const request = frame.u32()
  const epoch = frame.u32()
  const stream = frame.text()
  switch (tag) {
    case Tag.command:
      return readCommand(frame, { request, epoch, stream }, passage)
    case Tag.query: {
      const name = frame.text()
      return { kind: 'query', request, epoch, stream, name, payload: readOptional(frame) } satisfies QueryMessage
    }
    case Tag.state:
      return { kind: 'state', request, epoch, stream, at: readMoment(frame) }
    default:
      throw new BadFrame(`no message has the tag ${tag}`)
  }
}

function readCommand(
  frame: FrameReader,
  { request, epoch, stream }: Pick<CommandMessage, 'request' | 'epoch' | 'stream'>,
  { now, protocol }: Passage,
): CommandMessage {
  const name = frame.text()
  const flags = frame.u8()
  if (flags > (protocol >= SINCE_VERSION ? FLAGS_ALL : FLAGS_BEFORE))
    throw new BadFrame(`no command has the flags ${flags}`)
  const commandId = frame.rawSlice(16)
  if (!isIdAt(commandId.bytes, commandId.start)) throw new BadFrame('a command id is no UUID')
  const payloadHash = frame.u32()
  const deadline = now + frame.f64()
  if (Number.isNaN(deadline)) throw new BadFrame('a deadline is no time')
  const after = readPosition(frame)
  const since = (flags & Flag.hasSince) === 0 ? after : readPosition(frame)
  const sentIn = (flags & Flag.hasSentIn) === 0 ? undefined : { shard: frame.u32(), epoch: frame.u32() }
  const expectedVersion = (flags & Flag.hasExpectedVersion) === 0 ? -1 : frame.count()
  const metadata = (flags & Flag.hasMetadata) === 0 ? undefined : readObject(frame)
  const payload = (flags & Flag.hasPayload) === 0 ? undefined : decodeSlice(frame.slice())
  return {
    kind: 'command',
    request,
    epoch,
    stream,
    name,
    payload,
    commandId,
    payloadHash,
    isFresh: (flags & Flag.isFresh) !== 0,
    isAgain: (flags & Flag.isAgain) !== 0,
    expectedVersion,
    deadline,
    after,
    since,
    sentIn,
    waitsForReactors: (flags & Flag.waitsForReactors) !== 0,
    metadata,
  }
}

function readReply(frame: FrameReader, tag: number): Reply {
  switch (tag) {
    case Tag.accepted:
      return readAccepted(frame)
    case Tag.unsettled:
      return { ...readAccepted(frame), unsettled: unsettledOf(decodeSlice(frame.slice())) }
    case Tag.rejected:
      return { kind: 'rejected', code: frame.text(), details: readOptional(frame) }
    case Tag.answered:
      return { kind: 'answered', value: readOptional(frame) }
    case Tag.failed:
      return { kind: 'failed', failure: failureOf(readObject(frame)) }
    case Tag.elsewhere:
      return { kind: 'elsewhere', shard: frame.u32() }
    default:
      throw new BadFrame(`no reply has the tag ${tag}`)
  }
}

function readAccepted(frame: FrameReader): Reply & { readonly kind: 'accepted' } {
  return { kind: 'accepted', version: frame.u32(), position: readPosition(frame), records: readRecords(frame) }
}

function unsettledOf(said: unknown): readonly Unsettled[] {
  if (!Array.isArray(said)) throw new BadFrame('what is unsettled is no list')
  for (const each of said as readonly unknown[]) {
    const { reactor, state, reason } = (each ?? {}) as Partial<Record<keyof Unsettled, unknown>>
    const isOne =
      typeof reactor === 'string' &&
      (state === 'failed' || state === 'pending') &&
      (reason === undefined || typeof reason === 'string')
    if (!isOne) throw new BadFrame('something unsettled does not say what it is')
  }
  return said as readonly Unsettled[]
}

/** MessagePack knows null and nothing like undefined. */
function writeOptional(frame: FrameWriter, value: unknown): void {
  frame.u8(value === undefined ? 0 : Flag.hasPayload)
  if (value !== undefined) frame.slice(encodeScratch(value))
}

function readOptional(frame: FrameReader): unknown {
  const flags = frame.u8()
  if (flags !== 0 && flags !== Flag.hasPayload) throw new BadFrame(`no value has the flags ${flags}`)
  return flags === 0 ? undefined : decodeSlice(frame.slice())
}

/** Whoever has seen a position gives out greater ones: an absurd one would use them all up. @throws BadFrame */
export function readPosition(frame: FrameReader): number {
  const position = frame.count()
  if (position > POSITION_MAX) throw new BadFrame(`${position} is no position`)
  return position
}

function readMoment(frame: FrameReader): StateAt {
  const at = readObject(frame)
  const [[key, value] = [], ...others] = Object.entries(at)
  const isMoment =
    key === undefined ||
    (key === 'atVersion' && isCount(value)) ||
    (key === 'atEvent' && typeof value === 'string') ||
    (key === 'atTime' && typeof value === 'number')
  if (!isMoment || others.length > 0) throw new BadFrame('a moment is none that can be asked for')
  return at as StateAt
}

/** @throws BadFrame */
export function failureOf(said: Readonly<Record<string, unknown>>): Failure {
  const { code, message, outcome, retryable, details } = said
  const isFailure =
    typeof code === 'string' &&
    typeof message === 'string' &&
    typeof retryable === 'boolean' &&
    (outcome === 'none' || outcome === 'unknown')
  if (!isFailure) throw new BadFrame('a failure does not say what failed')
  return { code, message, outcome, retryable, details }
}

/** One record after the other. Their contents are read when somebody asks for them. @throws BadFrame */
export function readRecords(frame: FrameReader): Slice {
  const records = frame.slice()
  if (!areEvents(records)) throw new BadFrame('the records of a reply are none')
  return records
}

/** An object in MessagePack. @throws BadFrame */
export function readObject(frame: FrameReader): Readonly<Record<string, unknown>> {
  const value = decodeSlice(frame.slice())
  const isObject =
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
  if (!isObject) throw new BadFrame('an object is none')
  return value as Readonly<Record<string, unknown>>
}

function decodeSlice({ bytes, start, end }: Slice): unknown {
  try {
    return decode(bytes, start, end)
  } catch (error) {
    if (error instanceof BadEncoding) throw new BadFrame(error.message)
    throw error
  }
}
