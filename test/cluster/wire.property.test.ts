import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Reply } from '../../src/actor/message.ts'
import { BadFrame, FrameWriter } from '../../src/cluster/frame.ts'
import {
  outgoing,
  PROTOCOL_VERSION,
  readMessages,
  readReplies,
  writeMessage,
  writeReply,
} from '../../src/cluster/wire.ts'
import { parseId } from '../../src/log/identity.ts'
import { POSITION_MAX } from '../../src/log/position.ts'
import { copyOf, sliceOf } from '../../src/log/slice.ts'
import { eventBytes } from '../log/event-bytes.ts'

const wellFormed = fc.string({ unit: 'grapheme', maxLength: 60 })
const plain = fc.oneof(
  fc.constant(undefined),
  fc
    .jsonValue({ maxDepth: 3 })
    // A ref refuses such a key.
    .filter((value) => !JSON.stringify(value).includes('"__proto__":'))
    .map((value) => JSON.parse(JSON.stringify(value).replaceAll('-0', '0')) as unknown),
)
const id = fc.uuid().map((text) => copyOf(parseId(text)))

const command = fc.record({
  kind: fc.constant('command' as const),
  request: fc.nat(),
  epoch: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  stream: wellFormed,
  name: wellFormed,
  payload: plain,
  commandId: id,
  payloadHash: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  isFresh: fc.boolean(),
  isAgain: fc.boolean(),
  expectedVersion: fc.integer({ min: -1, max: 1000 }),
  // Zero has one sign there.
  deadline: fc.double({ noNaN: true }).map((ms) => ms + 0),
  after: fc.nat(),
  since: fc.nat(),
  sentIn: fc.option(fc.record({ shard: fc.nat(), epoch: fc.integer({ min: 0, max: 2 ** 32 - 1 }) }), {
    nil: undefined,
  }),
  waitsForReactors: fc.boolean(),
  metadata: fc.option(fc.dictionary(fc.constantFrom('a', 'b'), fc.string({ unit: 'grapheme' })), { nil: undefined }),
})

const AT = { now: 0, protocol: PROTOCOL_VERSION }

function messagesOf(frame: Uint8Array, protocol: number): unknown[] {
  return readMessages(frame, { now: 0, protocol }).map((message) =>
    message.kind === 'command' ? { ...message, commandId: copyOf(message.commandId) } : message,
  )
}

test('messages arrive as they were sent', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 5 }), fc.constantFrom(2, 3), (commands, protocol) => {
      const frame = new FrameWriter()
      for (const each of commands) {
        const [payload, metadata] = [outgoing(each.payload), outgoing(each.metadata)]
        writeMessage(frame, { ...each, commandId: sliceOf(each.commandId), payload, metadata }, { now: 0, protocol })
      }
      const arrived = messagesOf(frame.take(), protocol).map((message) => {
        const { commandId, ...rest } = message as { commandId: Uint8Array }
        return { ...rest, commandId: Uint8Array.from(commandId) }
      })
      // The version before has one position for both, nobody waits, and nobody is known to be a consumer.
      const before = commands.map((each) => ({
        ...each,
        after: each.since,
        sentIn: undefined,
        waitsForReactors: false,
      }))
      const told = protocol === 2 ? before : commands
      expect(arrived).toEqual(told)
    }),
  )
})

test('replies arrive as they were sent', () => {
  const events = eventBytes({ amount: 1 }, { amount: 2 })
  const replies: Reply[] = [
    { kind: 'accepted', version: 3, position: 2 ** 52, records: sliceOf(events) },
    { kind: 'rejected', code: 'nö', details: { balance: 4 } },
    { kind: 'rejected', code: 'no', details: undefined },
    { kind: 'answered', value: null },
    { kind: 'answered', value: undefined },
    {
      kind: 'failed',
      failure: { code: 'X', message: 'm', outcome: 'unknown', retryable: true, details: { a: [1] } },
    },
  ]
  const frame = new FrameWriter()
  for (const [i, reply] of replies.entries()) writeReply(frame, i, reply)
  const arrived = readReplies(frame.take())
  expect(arrived.map(({ request }) => request)).toEqual([0, 1, 2, 3, 4, 5])
  const [first, ...rest] = arrived.map(({ reply }) => reply)
  expect(first?.kind === 'accepted' && Uint8Array.from(copyOf(first.records))).toEqual(Uint8Array.from(events))
  expect(rest).toEqual(replies.slice(1))
})

test('what is unsettled arrives with its reply, and where nothing is, nothing does', () => {
  const records = sliceOf(eventBytes({ amount: 1 }))
  const unsettled = [
    { reactor: 'stock', state: 'failed', reason: 'it is empty' },
    { reactor: 'mails', state: 'pending' },
  ] as const
  const frame = new FrameWriter()
  writeReply(frame, 1, { kind: 'accepted', version: 1, position: 1, records, unsettled })
  writeReply(frame, 2, { kind: 'accepted', version: 1, position: 1, records })
  const [first, second] = readReplies(frame.take()).map(({ reply }) => reply)
  expect(first).toMatchObject({ kind: 'accepted', unsettled })
  expect(Object.keys(second!)).not.toContain('unsettled')
})

test('a frame that was cut or made up is refused, and nothing is allocated by its word', () => {
  const frame = new FrameWriter()
  const message = {
    kind: 'query',
    request: 1,
    epoch: 1,
    stream: 'account/1',
    name: 'balance',
    payload: outgoing({ a: 1 }),
  } as const
  writeMessage(frame, message, AT)
  const whole = frame.take()
  for (let length = 1; length < whole.length; length += 1) {
    expect(() => readMessages(whole.subarray(0, length), AT), `cut at ${length}`).toThrow(BadFrame)
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (noise) => {
      for (const read of [readMessages, readReplies]) {
        try {
          read(noise, AT)
        } catch (error) {
          expect(error).toBeInstanceOf(BadFrame)
        }
      }
    }),
  )
})

test('a position that would use up all others is none', () => {
  const accepted = (position: number): Uint8Array => {
    const frame = new FrameWriter()
    writeReply(frame, 1, { kind: 'accepted', version: 1, position, records: sliceOf(new Uint8Array()) })
    return frame.take()
  }
  expect(readReplies(accepted(POSITION_MAX))).toHaveLength(1)
  expect(() => readReplies(accepted(POSITION_MAX + 1))).toThrow(BadFrame)
})
