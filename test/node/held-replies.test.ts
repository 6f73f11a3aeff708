import { expect, test } from 'vitest'
import type { Reply, Unsettled } from '../../src/actor/message.ts'
import { FrameWriter } from '../../src/cluster/frame.ts'
import type { Link } from '../../src/cluster/link.ts'
import { readReplies, writeReply } from '../../src/cluster/wire.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { writeHeldReply } from '../../src/node/held-frame.ts'
import { HELD_MAX, HeldReplies } from '../../src/node/held-replies.ts'
import type { WorkerHandle } from '../../src/node/worker-handle.ts'
import { defineReactor } from '../../src/react/reactor.ts'
import { SynchronousReactors } from '../../src/react/synchronous-reactors.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { eventBytes } from '../log/event-bytes.ts'

const REPLY: Reply = { kind: 'accepted', version: 1, position: 1, records: sliceOf(eventBytes({ amount: 1 })) }

/** Lets what was deferred come. */
const turns = async (): Promise<void> => {
  for (let i = 0; i < 3; i += 1) await new Promise((resolve) => void setImmediate(resolve))
}

function reactorsOf(): SynchronousReactors {
  const reactor = defineReactor({
    name: 'stock',
    from: 'all',
    startAt: 'beginning',
    mode: 'synchronous',
    on: { MoneyDeposited: () => undefined },
  })
  return SynchronousReactors.of({ reactors: [reactor], aggregates: [] })!
}

/** A node's end of a worker's link, by which its replies come, and what goes on to who has asked. */
function open(more: { readonly bytesMax?: number } = {}) {
  const waiting: {
    readonly ms: number
    readonly tell: (unsettled: readonly Unsettled[]) => void
    readonly fail: (error: Error) => void
  }[] = []
  const held = new HeldReplies({
    ...more,
    clock: new SimulatedClock(),
    reactors: reactorsOf(),
    unsettled: (_wanted, ms) => new Promise((tell, fail) => waiting.push({ ms, tell, fail })),
  })
  let arrive = (_frame: Uint8Array): void => undefined
  const link = {
    onFrame: (receive) => void (arrive = receive),
    close: () => undefined,
  } as Partial<Link> as Link
  const worker = held.of({
    link,
    release: () => Promise.resolve(),
    takeOver: () => Promise.resolve([]),
  } as Partial<WorkerHandle> as WorkerHandle)
  const near = worker.link
  const frames: Uint8Array[] = []
  near.onFrame((frame) => void frames.push(frame))
  const send = (write: (frame: FrameWriter) => void): void => {
    const frame = new FrameWriter()
    write(frame)
    arrive(frame.take())
  }
  const hold = (...requests: number[]): void =>
    send((frame) => {
      for (const request of requests) writeHeldReply(frame, { msLeft: 1_000, request, reply: REPLY })
    })
  const told = (): unknown[] =>
    frames
      .splice(0)
      .flatMap((frame) => readReplies(frame))
      .map(({ request, reply }) => [request, reply.kind === 'accepted' ? reply.unsettled : reply.kind])
  return { worker, near, frames, send, hold, told, waiting }
}

test('other replies go on at once, unread, and those that are released in a turn go on together', async () => {
  const { frames, send, hold, told, waiting } = open()
  hold(1, 2, 3)
  await turns()
  expect(frames).toEqual([])
  send((frame) => writeReply(frame, 4, REPLY))
  expect(told()).toEqual([[4, undefined]])
  const failed: Unsettled = { reactor: 'stock', state: 'failed', reason: 'no' }
  waiting[2]!.tell([])
  waiting[0]!.tell([failed])
  await turns()
  expect(frames).toHaveLength(1)
  expect(told()).toEqual([
    [3, undefined],
    [1, [failed]],
  ])
})

test('a reply is on its way before its caller gives up', () => {
  const { send, waiting } = open()
  send((frame) => {
    for (const msLeft of [-5, 50, 200, 1_000, 60_000]) writeHeldReply(frame, { msLeft, request: 1, reply: REPLY })
  })
  expect(waiting.map(({ ms }) => ms)).toEqual([0, 0, 100, 900, 54_000])
})

test('more replies than a node holds go on at once, and say so', async () => {
  const { hold, told, waiting } = open()
  hold(...Array.from({ length: HELD_MAX + 1 }, (_, i) => i))
  await turns()
  const tooMany = [{ reactor: 'stock', state: 'pending', reason: 'too many replies wait at its node' }]
  expect(told()).toEqual([[HELD_MAX, tooMany]])
  waiting[0]!.tell([])
  await turns()
  expect(told()).toEqual([[0, undefined]])
  hold(HELD_MAX + 1)
  await turns()
  expect(told()).toEqual([])
})

test('a reply that cannot be read is its caller’s loss alone, and a frame that is none goes on to who knows what that means', async () => {
  const { hold, send, frames, told, waiting } = open()
  hold(1)
  send((frame) => {
    writeHeldReply(frame, { msLeft: 1_000, request: 2, reply: REPLY })
    frame.f64(1_000)
    frame.u32(3)
    // Its events end within one.
    const { records } = REPLY
    const broken = new FrameWriter()
    writeReply(broken, 3, { ...REPLY, records: { ...records, end: records.end - 8 } })
    frame.slice(sliceOf(broken.take()))
    writeHeldReply(frame, { msLeft: 1_000, request: 4, reply: REPLY })
  })
  await turns()
  expect(frames.flatMap((frame) => readReplies(frame))).toMatchObject([
    { request: 3, reply: { kind: 'failed', failure: { code: 'ReplyLost', outcome: 'unknown', retryable: true } } },
  ])
  frames.length = 0
  for (const { tell } of waiting) tell([])
  await turns()
  expect(told()).toEqual([1, 2, 4].map((request) => [request, undefined]))
  send((frame) => {
    writeHeldReply(frame, { msLeft: 1_000, request: 5, reply: REPLY })
    frame.u32(7)
  })
  expect(frames.map(([first]) => first)).toEqual([0])
})

test('a reply of which nobody can say what is settled is lost, and no other', async () => {
  const { hold, told, waiting } = open()
  hold(1, 2)
  waiting[0]!.fail(new Error('no'))
  waiting[1]!.tell([])
  await turns()
  expect(told()).toEqual([
    [1, 'failed'],
    [2, undefined],
  ])
})

test('more bytes than a node holds go on at once, and what was held before makes room when it goes', async () => {
  const { end, start } = sliceOf(eventBytes({ amount: 1 }))
  const { hold, told, waiting } = open({ bytesMax: 2 * (end - start) })
  hold(1, 2, 3)
  await turns()
  expect(told()).toEqual([[3, [{ reactor: 'stock', state: 'pending', reason: 'too many replies wait at its node' }]]])
  waiting[0]!.tell([])
  await turns()
  expect(told()).toEqual([[1, undefined]])
  hold(4, 5)
  await turns()
  expect(told()).toMatchObject([[5, [{ state: 'pending' }]]])
  waiting[1]!.tell([])
  waiting[2]!.tell([])
  await turns()
  expect(told()).toEqual([
    [2, undefined],
    [4, undefined],
  ])
})

test('what is held for a link that is closed goes nowhere', async () => {
  const { near, hold, frames, waiting } = open()
  hold(1)
  near.close()
  waiting[0]!.tell([])
  await turns()
  expect(frames).toEqual([])
})

test('a shard that is handed over takes no reply with it, and one that comes back holds them again', async () => {
  const { worker, hold, told, waiting } = open()
  const { event } = reactorsOf().wanted(sliceOf(eventBytes({ amount: 1 })))[0]!
  const other = event.shard === 0 ? 1 : 0
  hold(1)
  await worker.release([other], 1_000)
  await turns()
  expect(told()).toEqual([])
  await worker.release([event.shard], 1_000)
  await turns()
  expect(told()).toEqual([[1, [{ reactor: 'stock', state: 'pending', reason: 'its shard leaves this node' }]]])
  hold(2)
  await worker.takeOver([event.shard])
  hold(3)
  expect(waiting.map(({ ms }) => ms)).toEqual([900, 0, 900])
})
