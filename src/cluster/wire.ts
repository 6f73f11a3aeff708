/**
 * Messages and replies as frames. A frame is one MessagePack array of tuples; all that was said in one turn of the event
 * loop travels in one frame, which is worth four times the throughput of a frame each.
 */
import type { Message, Reply } from '../actor/message.ts'
import { decode, encode } from '../log/codec.ts'

const MessageTag = { command: 0, query: 1, state: 2 } as const
const ReplyTag = { accepted: 0, rejected: 1, answered: 2, failed: 3 } as const

type Tuple = readonly unknown[]

export function encodeMessages(messages: readonly Message[]): Uint8Array<ArrayBuffer> {
  return own(encode(messages.map(messageTuple)))
}

export function decodeMessages(frame: Uint8Array): Message[] {
  return (decode(frame) as Tuple[]).map(toMessage)
}

export interface NumberedReply {
  readonly request: number
  readonly reply: Reply
}

export function encodeReplies(replies: readonly NumberedReply[]): Uint8Array<ArrayBuffer> {
  return own(encode(replies.map(replyTuple)))
}

export function decodeReplies(frame: Uint8Array): NumberedReply[] {
  return (decode(frame) as Tuple[]).map(toReply)
}

/** The encoder's memory is shared by many results; what crosses a thread must be alone in its own. */
function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(bytes)
}

// The payload comes last and is left out where there is none: MessagePack knows null and nothing like undefined.

function messageTuple(message: Message): Tuple {
  const { request, type, id } = message
  switch (message.kind) {
    case 'command': {
      const { name, commandId, payloadHash, isFresh, expectedVersion, deadline, metadata, payload } = message
      const head: unknown[] = [MessageTag.command, request, type, id, name, commandId, payloadHash, isFresh]
      head.push(expectedVersion, deadline, metadata ?? null)
      if (payload !== undefined) head.push(payload)
      return head
    }
    case 'query':
      return [MessageTag.query, request, type, id, message.name, ...optional(message.payload)]
    case 'state':
      return [MessageTag.state, request, type, id, message.at]
  }
}

function toMessage(tuple: Tuple): Message {
  const [tag, request, type, id] = tuple as [number, number, string, string]
  switch (tag) {
    case MessageTag.command:
      return {
        kind: 'command',
        request,
        type,
        id,
        name: tuple[4] as string,
        commandId: tuple[5] as Uint8Array,
        payloadHash: tuple[6] as number,
        isFresh: tuple[7] as boolean,
        expectedVersion: tuple[8] as number,
        deadline: tuple[9] as number,
        metadata: (tuple[10] ?? undefined) as Readonly<Record<string, unknown>> | undefined,
        payload: tuple[11],
      }
    case MessageTag.query:
      return { kind: 'query', request, type, id, name: tuple[4] as string, payload: tuple[5] }
    case MessageTag.state:
      return { kind: 'state', request, type, id, at: tuple[4] as Record<string, never> }
    default:
      throw new Error(`a message with the unknown tag ${tag}`)
  }
}

function replyTuple({ request, reply }: NumberedReply): Tuple {
  switch (reply.kind) {
    case 'accepted':
      return [ReplyTag.accepted, request, reply.version, reply.position, reply.records]
    case 'rejected':
      return [ReplyTag.rejected, request, reply.code, ...optional(reply.details)]
    case 'answered':
      return [ReplyTag.answered, request, ...optional(reply.value)]
    case 'failed': {
      const { code, message, outcome, retryable, details } = reply.failure
      return [ReplyTag.failed, request, code, message, outcome === 'unknown', retryable, ...optional(details)]
    }
  }
}

function toReply(tuple: Tuple): NumberedReply {
  const [tag, request, second, third, fourth, fifth, sixth] = tuple as [number, number, ...unknown[]]
  switch (tag) {
    case ReplyTag.accepted:
      return {
        request,
        reply: {
          kind: 'accepted',
          version: second as number,
          position: third as number,
          records: fourth as Uint8Array,
        },
      }
    case ReplyTag.rejected:
      return { request, reply: { kind: 'rejected', code: second as string, details: third } }
    case ReplyTag.answered:
      return { request, reply: { kind: 'answered', value: second } }
    case ReplyTag.failed: {
      const outcome = fourth === true ? 'unknown' : 'none'
      const failure = {
        code: second as string,
        message: third as string,
        outcome,
        retryable: fifth as boolean,
      } as const
      return { request, reply: { kind: 'failed', failure: { ...failure, details: sixth } } }
    }
    default:
      throw new Error(`a reply with the unknown tag ${tag}`)
  }
}

function optional(value: unknown): readonly unknown[] {
  return value === undefined ? [] : [value]
}
