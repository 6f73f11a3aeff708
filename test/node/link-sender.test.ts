import { expect, test } from 'vitest'
import type { Reply } from '../../src/actor/message.ts'
import { ENTRY_BYTES_MAX, FRAME_FULL_BYTES, type Link } from '../../src/cluster/link.ts'
import { FRAME_BYTES_MAX } from '../../src/cluster/network.ts'
import { readReplies } from '../../src/cluster/wire.ts'
import { NO_BYTES, sliceOf } from '../../src/log/slice.ts'
import { createLinkSender } from '../../src/node/link-sender.ts'

function open() {
  const frames: Uint8Array[] = []
  const link = { send: (frame: Uint8Array) => void frames.push(frame) } as Partial<Link> as Link
  const sender = createLinkSender(link, () => undefined)
  return { frames, sender, replies: () => frames.flatMap((frame) => readReplies(frame)) }
}

function answer(bytes: number): Reply {
  return { kind: 'answered', value: new Uint8Array(bytes) }
}

test('replies of one release travel in order, in frames of a bounded size', () => {
  const { frames, sender, replies } = open()
  for (let request = 1; request <= 100; request += 1) sender.reply(request, answer(900_000))
  sender.flush()
  expect(replies().map(({ request }) => request)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1))
  for (const { length } of frames) expect(length).toBeLessThan(FRAME_FULL_BYTES + 1_000_000)
})

test('small replies of one release travel in one frame, and where there is none nothing travels', () => {
  const { frames, sender } = open()
  for (let request = 1; request <= 1_000; request += 1) sender.reply(request, answer(10))
  sender.flush()
  sender.flush()
  expect(frames).toHaveLength(1)
})

test('the longest reply fits a frame behind others', () => {
  const { frames, sender, replies } = open()
  sender.reply(1, answer(FRAME_FULL_BYTES - 100))
  sender.reply(2, answer(ENTRY_BYTES_MAX - 100))
  sender.flush()
  expect(replies().map(({ reply }) => reply.kind)).toEqual(['answered', 'answered'])
  expect(frames).toHaveLength(1)
  expect(frames[0]!.length).toBeLessThan(FRAME_BYTES_MAX - 100)
})

test('a reply that no frame carries is an error of its request alone, and says what is true of it', () => {
  const { sender, replies } = open()
  const details = new Uint8Array(20_000_000)
  const doubt = { code: 'Timeout', message: '', outcome: 'unknown', retryable: true, details } as const
  sender.reply(1, answer(10))
  sender.reply(2, answer(20_000_000))
  sender.reply(3, { kind: 'rejected', code: 'Refused', details })
  sender.reply(4, { kind: 'failed', failure: doubt })
  sender.reply(5, { kind: 'accepted', version: 1, position: 1, records: sliceOf(details) })
  sender.reply(6, { kind: 'accepted', version: 1, position: 1, records: NO_BYTES })
  sender.flush()
  const outcomes = replies().map(({ reply }) =>
    reply.kind === 'failed' ? `${reply.failure.code} ${reply.failure.outcome}` : reply.kind,
  )
  expect(outcomes).toEqual([
    'answered',
    'TooLarge none',
    'TooLarge none',
    'TooLarge unknown',
    'TooLarge unknown',
    'accepted',
  ])
})
