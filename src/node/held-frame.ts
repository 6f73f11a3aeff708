/**
 * What a worker sends to its own node of replies that wait for synchronous reactors: a frame that begins like no other, and is a row of
 *
 *     milliseconds left f64, request u32, length u32, reply (as in cluster/wire.ts)
 *
 * Its node passes all other frames on unread. By its length one that cannot be read is passed over: it is its sender's loss alone.
 */
import { failed } from '../actor/error.ts'
import type { Reply } from '../actor/message.ts'
import { reasonOf } from '../aggregate/error.ts'
import { replyLost } from '../cluster/error.ts'
import { BadFrame, FrameReader, FrameWriter } from '../cluster/frame.ts'
import { readReplies, writeReply, type NumberedReply } from '../cluster/wire.ts'
import { sliceOf, type Slice } from '../log/slice.ts'

/** No message and no reply has it as its first byte. */
const HELD = 0

export interface HeldReply extends NumberedReply {
  /** Until its sender gives up waiting. */
  readonly msLeft: number
}

export function isHeldFrame(frame: Uint8Array): boolean {
  return frame[0] === HELD
}

const scratch = new FrameWriter()

export function writeHeldReply(frame: FrameWriter, { msLeft, request, reply }: HeldReply): void {
  scratch.cutTo(0)
  writeReply(scratch, request, reply)
  if (frame.length === 0) frame.u8(HELD)
  frame.f64(msLeft)
  frame.u32(request)
  frame.slice(sliceOf(scratch.take()))
}

/** @throws BadFrame where it is no row of replies at all */
export function readHeldReplies(bytes: Uint8Array): HeldReply[] {
  const frame = new FrameReader(bytes)
  if (frame.u8() !== HELD) throw new BadFrame('these replies are held by nobody')
  const replies: HeldReply[] = []
  while (!frame.isAtEnd) {
    const [msLeft, request] = [frame.f64(), frame.u32()]
    replies.push({ msLeft, request, reply: readReply(frame.slice(), request) })
  }
  return replies
}

function readReply({ bytes, start, end }: Slice, request: number): Reply {
  try {
    const [first, ...others] = readReplies(bytes.subarray(start, end))
    if (first?.request === request && others.length === 0) return first.reply
    throw new BadFrame('it is the reply to something else')
  } catch (error) {
    return failed(replyLost(reasonOf(error)))
  }
}
