/**
 * The other end of a link as the worker sees it. What is replied between two flushes travels together, in frames of a
 * bounded size: a reply that no frame could carry becomes an error, of that request alone.
 */
import { replyTooLarge, toFailure } from '../actor/error.ts'
import type { Reply, Sender } from '../actor/message.ts'
import { FrameWriter } from '../cluster/frame.ts'
import { ENTRY_BYTES_MAX, FRAME_FULL_BYTES, type Link } from '../cluster/link.ts'
import { writeReply } from '../cluster/wire.ts'

export function createLinkSender(link: Pick<Link, 'send'>, onReply: (reply: Reply) => void): Sender {
  const frame = new FrameWriter()
  return {
    reply(request, reply) {
      onReply(reply)
      const { length } = frame
      try {
        writeReply(frame, request, reply)
        const bytes = frame.length - length
        if (bytes > ENTRY_BYTES_MAX) throw replyTooLarge(bytes, ENTRY_BYTES_MAX, outcomeOf(reply))
      } catch (error) {
        // A reply that cannot be sent is that request's trouble alone.
        frame.cutTo(length)
        writeReply(frame, request, { kind: 'failed', failure: toFailure(error) })
      }
      if (frame.length >= FRAME_FULL_BYTES) link.send(frame.take())
    },
    flush() {
      if (frame.length > 0) link.send(frame.take())
    },
  }
}

/**
 * What is true of a request whose reply is lost. The events of an accepted command keep within limits.commandBytesMax,
 * and so within a frame; should they not, all that may be said is that the command may have taken effect.
 */
function outcomeOf(reply: Reply): 'none' | 'unknown' {
  if (reply.kind === 'failed') return reply.failure.outcome
  return reply.kind === 'accepted' ? 'unknown' : 'none'
}
