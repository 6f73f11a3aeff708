/** Bad frames that were found, by name. What is wrong in MessagePack stands in test/log/decoder.test.ts. */
import { describe, expect, test } from 'vitest'
import { BadFrame, FrameWriter } from '../../src/cluster/frame.ts'
import {
  outgoing,
  PROTOCOL_VERSION,
  readMessages,
  readReplies,
  writeMessage,
  writeReply,
} from '../../src/cluster/wire.ts'
import { RECORD_HEADER_BYTES } from '../../src/log/record.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { deposit, DEFAULTS, open } from '../actor/harness.ts'
import { turn } from '../actor/simulated-bank.ts'
import { eventBytes } from '../log/event-bytes.ts'
import { startSimulatedNode } from '../node/simulated-node.ts'

const AT = { now: 0, protocol: PROTOCOL_VERSION }

describe('frames', () => {
  const id = sliceOf(new Uint8Array(16))
  const command = { ...DEFAULTS, ...deposit('account/1', 1), commandId: id, request: 1 }
  const ask = { ...command, payload: outgoing(command.payload), metadata: outgoing(command.metadata) }
  test.each<[string, object]>([
    ['a position without end', { after: Number.POSITIVE_INFINITY }],
    ['a position that is no number', { after: Number.NaN }],
    ['a position below none', { after: -1 }],
    ['a position to look back to that is none', { since: 0.5 }],
    ['an expected version and a half', { expectedVersion: 1.5 }],
    ['a deadline that is no time', { deadline: Number.NaN }],
    ['a command id that is no UUID', { commandId: sliceOf(Buffer.alloc(16, 0x77)) }],
    ['metadata that is a list', { metadata: outgoing([1]) }],
    ['a payload that is a timestamp', { payload: outgoing(new Date()) }],
  ])('a command with %s', (_, wrong) => {
    const frame = new FrameWriter()
    writeMessage(frame, ask, AT)
    expect(readMessages(frame.take(), AT)).toHaveLength(1)
    writeMessage(frame, { ...ask, ...wrong }, AT)
    expect(() => readMessages(frame.take(), AT)).toThrow(BadFrame)
  })

  test.each<[string, unknown]>([
    ['no list', { reactor: 'r', state: 'failed' }],
    ['nameless', [{ state: 'failed' }]],
    ['in a state that nobody knows', [{ reactor: 'r', state: 'lost' }]],
    ['nothing', [null]],
    ['for a reason that is none', [{ reactor: 'r', state: 'pending', reason: 1 }]],
  ])('something unsettled that is %s', (_, unsettled) => {
    const frame = new FrameWriter()
    const reply = { kind: 'accepted', version: 1, position: 1, records: sliceOf(eventBytes({ amount: 1 })) } as const
    writeReply(frame, 1, { ...reply, unsettled: [{ reactor: 'r', state: 'pending' }] })
    expect(readReplies(frame.take())).toMatchObject([{ reply: { unsettled: [{ reactor: 'r', state: 'pending' }] } }])
    writeReply(frame, 1, { ...reply, unsettled: unsettled as never })
    expect(() => readReplies(frame.take())).toThrow(BadFrame)
  })

  test.each<[string, unknown]>([
    ['null', null],
    ['two at once', { atVersion: 1, atTime: 1 }],
    ['an event that is no id', { atEvent: 5 }],
    ['one that nobody knows', { atMoon: 1 }],
  ])('a moment that is %s', (_, at) => {
    const frame = new FrameWriter()
    writeMessage(frame, { kind: 'state', request: 1, epoch: 0, stream: 'account/1', at: at as never }, AT)
    expect(() => readMessages(frame.take(), AT)).toThrow(BadFrame)
  })

  test.each<[string, unknown]>([
    ['null', null],
    ['without a code', { message: 'm', outcome: 'none', retryable: true }],
    ['with another outcome', { code: 'c', message: 'm', outcome: 'maybe', retryable: true }],
  ])('a failure that is %s', (_, failure) => {
    const frame = new FrameWriter()
    writeReply(frame, 1, { kind: 'failed', failure: failure as never })
    expect(() => readReplies(frame.take())).toThrow(BadFrame)
  })

  const events = Buffer.from(eventBytes({ amount: 1 }))
  const changed = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(events)
    bytes.writeUInt32LE(value, at)
    return bytes
  }
  test.each<[string, Buffer]>([
    ['of length 0, which never come to an end', changed(0, 0)],
    ['longer than the frame', changed(0, 2 ** 31)],
    ['with data beyond their end', changed(104, 2 ** 31)],
    ['that are cut', events.subarray(0, -8)],
    ['that are less than a header', events.subarray(0, RECORD_HEADER_BYTES - 1)],
    ['that are no events', changed(8, 3)],
    ['with an event id that is no UUID', changed(72, 0x77777777)],
  ])('a reply with records %s', (_, records) => {
    const frame = new FrameWriter()
    const reply = { kind: 'accepted', version: 1, position: 1 } as const
    writeReply(frame, 1, { ...reply, records: sliceOf(events) })
    expect(readReplies(frame.take())).toHaveLength(1)
    writeReply(frame, 1, { ...reply, records: sliceOf(records) })
    expect(() => readReplies(frame.take())).toThrow(BadFrame)
  })

  test('a name that is no UTF-8', () => {
    const frame = new FrameWriter()
    writeMessage(frame, { ...ask, stream: 'account/x' }, AT)
    const bytes = frame.take()
    bytes[bytes.indexOf(0x78)] = 0xff
    expect(() => readMessages(bytes, AT)).toThrow(BadFrame)
  })

  test.each(['account/', 'account/e\u0301', 'account/\n', `account/${'x'.repeat(600)}`])(
    'a message to the id of %j, which no ref takes, costs its sender an error',
    async (stream) => {
      const bank = await open(new SimulatedDisk(), new SimulatedClock())
      const failure = { code: 'BadAddress', outcome: 'none', retryable: false }
      expect(await bank.ask(deposit(stream, 1))).toMatchObject({ kind: 'failed', failure })
      expect(await bank.ask(deposit('account/1', 1))).toMatchObject({ kind: 'accepted' })
    },
  )
})

test('a sender of nonsense is not listened to any more, and costs the worker and its other senders nothing', async () => {
  const node = await startSimulatedNode(new SimulatedDisk())
  const stranger = node.worker.connect(PROTOCOL_VERSION)
  stranger.send(Uint8Array.of(9, 9, 9))
  await turn()
  expect(node.warnings).toEqual([expect.stringContaining('somebody sent a worker what no node sends')])
  expect(await node.account('1').ask('deposit', { amount: 5 })).toMatchObject({ version: 1 })
})
