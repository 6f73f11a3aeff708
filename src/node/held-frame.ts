/**
 * What a worker sends to its own node of replies that wait for synchronous reactors: a frame that begins like no other, and is a row of
 *
 *     milliseconds left f64, reply (as in cluster/wire.ts)
 *
 * Its node passes all other frames on unread.
 */
import { BadFrame, FrameReader, type FrameWriter } from '../cluster/frame.ts'
import { readNumberedReply, writeReply, type NumberedReply } from '../cluster/wire.ts'

/** No message and no reply has it as its first byte. */
const HELD = 0

export interface HeldReply extends NumberedReply {
  /** Until its sender gives up waiting. */
  readonly msLeft: number
}

export function isHeldFrame(frame: Uint8Array): boolean {
  return frame[0] === HELD
}

export function writeHeldReply(frame: FrameWriter, { msLeft, request, reply }: HeldReply): void {
  if (frame.length === 0) frame.u8(HELD)
  frame.f64(msLeft)
  writeReply(frame, request, reply)
}

/** @throws BadFrame */
export function readHeldReplies(bytes: Uint8Array): HeldReply[] {
  const frame = new FrameReader(bytes)
  if (frame.u8() !== HELD) throw new BadFrame('these replies are held by nobody')
  const replies: HeldReply[] = []
  while (!frame.isAtEnd) replies.push({ msLeft: frame.f64(), ...readNumberedReply(frame) })
  return replies
}
