import { expect, test } from 'vitest'
import { failed, toFailure, unknownAggregate } from '../../src/actor/error.ts'
import type { Reply } from '../../src/actor/message.ts'
import type { PenholdError } from '../../src/aggregate/error.ts'
import { FrameWriter } from '../../src/cluster/frame.ts'
import { Router, type RequestOptions } from '../../src/cluster/router.ts'
import { createLinkPair, type Link } from '../../src/cluster/link.ts'
import { NO_EPOCH, outgoing, PROTOCOL_VERSION, readMessages, writeReply } from '../../src/cluster/wire.ts'
import { logCorrupt } from '../../src/log/error.ts'
import { POSITION_MAX } from '../../src/log/position.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { command } from './unsent.ts'

const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

test('a command comes after all that its worker took over (I6), and still does when it is sent again', async () => {
  const clock = new SimulatedClock()
  const router = new Router({ shards: 1, clock, underWayMax: 10, timeoutMs: 1000, onBadFrame: () => undefined })
  router.assign(0, 'worker')
  const arrived: unknown[] = []
  const attach = (position: number): void => {
    const [near, far] = createLinkPair(clock)
    far.onFrame((frame) => arrived.push(...readMessages(frame, { now: 0, protocol: PROTOCOL_VERSION })))
    router.observe(position)
    // No event has such a position.
    router.observe(POSITION_MAX + 1)
    router.attach('worker', near)
  }
  attach(500)
  router.send(0, command(), { resolve: () => undefined, reject: () => undefined })
  await settled()
  router.detach('worker')
  attach(700)
  await settled()
  expect(arrived).toMatchObject([
    { after: 500, isAgain: false },
    { after: 500, isAgain: true },
  ])
})

test('what one handler sends comes after all that was seen (I6), and is looked for as far back as its cause (I5)', async () => {
  const clock = new SimulatedClock()
  const router = new Router({ shards: 1, clock, underWayMax: 10, timeoutMs: 1000, onBadFrame: () => undefined })
  router.assign(0, 'worker')
  const arrived: unknown[] = []
  const [near, far] = createLinkPair(clock)
  far.onFrame((frame) => arrived.push(...readMessages(frame, { now: 0, protocol: PROTOCOL_VERSION })))
  router.attach('worker', near)
  const send = (options: RequestOptions): void =>
    router.send(0, command(), { resolve: () => undefined, reject: () => undefined }, options)
  send({ cause: 300 })
  router.observe(500)
  send({ cause: 300 })
  send({ cause: 700 })
  send({})
  await settled()
  expect(arrived).toMatchObject([
    { after: 300, since: 300, isAgain: true },
    { after: 500, since: 300, isAgain: true },
    { after: 700, since: 700, isAgain: true },
    { after: 500, since: 500, isAgain: false },
  ])
})

/** A router whose link takes one frame at a time, and another one when it is told to. */
function openNarrow() {
  const clock = new SimulatedClock()
  const router = new Router({ shards: 1, clock, underWayMax: 1000, timeoutMs: 1000, onBadFrame: () => undefined })
  router.assign(0, 'worker')
  const arrived: number[] = []
  let frames = 0
  let isFull = false
  let onDrain = (): void => undefined
  const link: Link = {
    get isFull() {
      return isFull
    },
    send(frame) {
      isFull = true
      frames += 1
      arrived.push(...readMessages(frame, { now: 0, protocol: PROTOCOL_VERSION }).map((message) => message.request))
    },
    onFrame: () => undefined,
    onDrain: (callback) => (onDrain = callback),
    close: () => undefined,
  }
  const answers: unknown[] = []
  const ask = (bytes: number, options: RequestOptions = {}): void => {
    const message = { ...command(), payload: outgoing(new Uint8Array(bytes)) }
    const reject = ({ code, outcome }: PenholdError): void => void answers.push([code, outcome])
    router.send(0, message, { resolve: () => undefined, reject }, options)
  }
  const drain = (): void => {
    isFull = false
    onDrain()
  }
  router.attach('worker', link)
  return { clock, router, arrived, answers, ask, drain, frames: () => frames }
}

test('what is more than a link takes waits until it has drained, and goes on in order', async () => {
  const { arrived, ask, drain, frames } = openNarrow()
  for (let i = 0; i < 10; i += 1) ask(900_000)
  await settled()
  ask(10)
  await settled()
  expect([arrived.length, frames()]).toEqual([2, 1])
  for (let i = 0; i < 10; i += 1) drain()
  expect(arrived).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
  expect(frames()).toBe(6)
})

test('what was given up before it was written never goes out, and had no effect', async () => {
  const { clock, arrived, answers, ask, drain } = openNarrow()
  const abort = new AbortController()
  ask(2_000_000)
  ask(10, { signal: abort.signal })
  ask(10)
  await settled()
  abort.abort()
  expect(answers).toEqual([['Aborted', 'none']])
  clock.advance(1_200)
  expect(answers.slice(1)).toEqual([
    ['Timeout', 'unknown'],
    ['ShardUnavailable', 'none'],
  ])
  ask(10)
  drain()
  expect(arrived).toEqual([1, 4])
})

test('what was given up after it was written may have had its effect', async () => {
  const { arrived, answers, ask } = openNarrow()
  const abort = new AbortController()
  ask(10, { signal: abort.signal })
  await settled()
  abort.abort()
  expect([arrived, answers]).toEqual([[1], [['Aborted', 'unknown']]])
})

test('what was not written when its worker went away is sent to the next one as new', async () => {
  const { clock, router, arrived, ask } = openNarrow()
  ask(2_000_000)
  ask(10)
  await settled()
  router.detach('worker')
  const [near, far] = createLinkPair(clock)
  const again: unknown[] = []
  far.onFrame((frame) => again.push(...readMessages(frame, { now: 0, protocol: PROTOCOL_VERSION })))
  router.attach('worker', near)
  await settled()
  expect(arrived).toEqual([1])
  expect(again).toMatchObject([
    { request: 3, isFresh: false, isAgain: true },
    { request: 2, isFresh: true, isAgain: false },
  ])
})

test('what waits to be sent again is given up as whatever else is: by its caller, or after the time that it was given', async () => {
  const { clock, router, answers, ask, drain } = openNarrow()
  const abort = new AbortController()
  ask(10, { signal: abort.signal })
  await settled()
  drain()
  ask(10, { timeoutMs: 100 })
  await settled()
  router.detach('worker')
  abort.abort()
  expect(answers).toEqual([['Aborted', 'unknown']])
  clock.advance(100)
  expect(answers.slice(1)).toEqual([['Timeout', 'unknown']])
  expect(router.underWay).toBe(0)
})

test('whoever waits longest is told first, though what is sent again counts as newer', async () => {
  const { clock, router, answers, ask } = openNarrow()
  ask(10)
  await settled()
  clock.advance(500)
  ask(10)
  await settled()
  router.detach('worker')
  clock.advance(600)
  expect(answers).toEqual([['Timeout', 'unknown']])
  clock.advance(500)
  expect(answers.slice(1)).toEqual([['ShardUnavailable', 'none']])
})

test('what a successor says of a copy that was sent to the worker before is no answer to the one that it is sent', async () => {
  const clock = new SimulatedClock()
  const options = { shards: 1, clock, underWayMax: 10, timeoutMs: 1000, onBadFrame: () => undefined }
  const router = new Router({ ...options, onElsewhere: () => undefined })
  const attach = () => {
    const [near, far] = createLinkPair(clock)
    const arrived: number[] = []
    far.onFrame((frame) => {
      arrived.push(...readMessages(frame, { now: 0, protocol: PROTOCOL_VERSION }).map(({ request }) => request))
    })
    router.attach('worker', near)
    const answer = (request: number, reply: Reply): void => {
      const writer = new FrameWriter()
      writeReply(writer, request, reply)
      far.send(writer.take())
    }
    return { arrived, answer }
  }
  router.assign(0, 'worker', 1)
  const before = attach()
  const told: Reply[] = []
  router.send(0, command(), { resolve: (reply) => void told.push(reply), reject: () => undefined })
  await settled()
  router.detach('worker')
  router.assign(0, 'worker', 2)
  const after = attach()
  await settled()
  // The first copy was on its way when the worker was replaced, and has met its successor.
  after.answer(before.arrived[0]!, { kind: 'elsewhere', shard: 0 })
  await settled()
  expect(after.arrived).toHaveLength(1)
  after.answer(after.arrived[0]!, { kind: 'rejected', code: 'no', details: undefined })
  await settled()
  expect(told).toMatchObject([{ kind: 'rejected' }])
})

test('what waits long for an owner is sent to whoever has the lease, who may say why not, and takes nothing up', async () => {
  const clock = new SimulatedClock()
  const router = new Router({
    shards: 1,
    clock,
    underWayMax: 2,
    timeoutMs: 10_000,
    onBadFrame: () => undefined,
    onElsewhere: () => undefined,
  })
  const [near, far] = createLinkPair(clock)
  const epochs: number[] = []
  let reply: Reply = { kind: 'elsewhere', shard: 0 }
  far.onFrame((frame) => {
    const answers = new FrameWriter()
    for (const { epoch, request } of readMessages(frame, { now: 0, protocol: PROTOCOL_VERSION })) {
      epochs.push(epoch)
      writeReply(answers, request, reply)
    }
    far.send(answers.take())
  })
  router.attach('a/0', near)
  const told: unknown[] = []
  const ask = (): void => {
    const reject = ({ code, outcome }: PenholdError): void => void told.push([code, outcome])
    const resolve = (answer: Reply): void =>
      void told.push(answer.kind === 'failed' ? answer.failure.code : answer.kind)
    router.send(0, command(), { resolve, reject })
  }
  const suggest = async (): Promise<void> => {
    router.suggest(0, 'a/0')
    await settled()
    await settled()
  }
  ask()
  ask()
  await suggest()
  expect(epochs).toEqual([])
  ask()
  expect(told).toEqual([['MailboxFull', 'none']])
  clock.advance(2_000)
  await suggest()
  expect(epochs).toEqual([NO_EPOCH, NO_EPOCH])
  expect([router.underWay, told.length]).toEqual([2, 1])
  reply = { kind: 'failed', failure: toFailure(logCorrupt('a file', 0, 'it is not what was written')) }
  await suggest()
  expect(told.slice(1)).toEqual(['LogCorrupt', 'LogCorrupt'])
  // From here on nobody need wait to be told.
  ask()
  await settled()
  await settled()
  expect(told.slice(3)).toEqual(['LogCorrupt'])
  router.assign(0, 'a/0', 7)
  await suggest()
  ask()
  await settled()
  expect(epochs.at(-1)).toBe(7)
})

test('who holds a lease is asked why once the owner before is gone for long, however long that had it', async () => {
  const clock = new SimulatedClock()
  const options = { shards: 1, clock, underWayMax: 10, timeoutMs: 10_000, onBadFrame: () => undefined }
  const router = new Router({ ...options, onElsewhere: () => undefined })
  const asked: number[] = []
  const [near, far] = createLinkPair(clock)
  far.onFrame((frame) => {
    const answers = new FrameWriter()
    for (const { epoch, request } of readMessages(frame, { now: 0, protocol: PROTOCOL_VERSION })) {
      asked.push(epoch)
      writeReply(answers, request, { kind: 'elsewhere', shard: 0 })
    }
    far.send(answers.take())
  })
  router.attach('b/0', near)
  const suggestAfter = async (ms: number): Promise<number> => {
    clock.advance(ms)
    router.suggest(0, 'b/0')
    await settled()
    await settled()
    return asked.splice(0).length
  }
  router.attach('a/0', createLinkPair(clock)[0])
  router.assign(0, 'a/0', 1)
  router.send(0, command(), { resolve: () => undefined, reject: () => undefined })
  await settled()
  clock.advance(5_000)
  router.detach('a/0')
  // It is being taken over: who holds the lease will serve it soon, or leave it to somebody who can.
  expect(await suggestAfter(0)).toBe(0)
  expect(await suggestAfter(1_999)).toBe(0)
  expect(await suggestAfter(1)).toBe(1)
  expect(await suggestAfter(0)).toBe(1)
  router.attach('a/0', createLinkPair(clock)[0])
  router.assign(0, 'a/0', 2)
  await settled()
  clock.advance(2_000)
  router.detach('a/0')
  // One second is left to it.
  expect(await suggestAfter(499)).toBe(0)
  expect(await suggestAfter(1)).toBe(1)
})

test('who says that it does not serve a shard is not asked again before there is news of it', async () => {
  const clock = new SimulatedClock()
  const options = { shards: 1, clock, underWayMax: 10, timeoutMs: 1000, onBadFrame: () => undefined }
  const router = new Router({ ...options, onElsewhere: () => undefined })
  const [near, far] = createLinkPair(clock)
  const epochs: number[] = []
  far.onFrame((frame) => {
    const answers = new FrameWriter()
    for (const { epoch, request } of readMessages(frame, { now: 0, protocol: PROTOCOL_VERSION })) {
      // Whoever is asked for ever must not hold this test up for ever.
      if (epochs.push(epoch) < 10) writeReply(answers, request, { kind: 'elsewhere', shard: 0 })
    }
    if (answers.length > 0) far.send(answers.take())
  })
  router.attach('a/0', near)
  router.assign(0, 'a/0', 1)
  router.send(0, command(), { resolve: () => undefined, reject: () => undefined })
  for (let i = 0; i < 10; i += 1) await settled()
  router.send(0, command(), { resolve: () => undefined, reject: () => undefined })
  for (let i = 0; i < 10; i += 1) await settled()
  expect(epochs).toEqual([1])
  router.assign(0, 'a/0', 2)
  for (let i = 0; i < 10; i += 1) await settled()
  expect(epochs).toEqual([1, 2, 2])
})

test.each([
  [false, 'none'],
  [true, 'unknown'],
])('NotSupported: who does not know what is sent runs other code (sent again: %s)', async (isSentAgain, outcome) => {
  const clock = new SimulatedClock()
  const options = { shards: 1, clock, underWayMax: 10, timeoutMs: 1000, onBadFrame: () => undefined }
  const router = new Router({ ...options, nodeOf: (owner) => `the node of ${owner}` })
  router.assign(0, 'a/0', 1)
  const told = new Promise((resolve) => router.send(0, command(), { resolve, reject: resolve }))
  if (isSentAgain) {
    // It may have done it.
    router.attach('a/0', createLinkPair(clock)[0])
    await settled()
    router.detach('a/0')
  }
  const [near, far] = createLinkPair(clock)
  far.onFrame((frame) => {
    const answers = new FrameWriter()
    for (const { request } of readMessages(frame, { now: 0, protocol: PROTOCOL_VERSION })) {
      writeReply(answers, request, failed(unknownAggregate('account')))
    }
    far.send(answers.take())
  })
  router.attach('b/0', near)
  router.assign(0, 'b/0', 2)
  const failure = {
    code: 'NotSupported',
    outcome,
    retryable: true,
    details: { node: 'the node of b/0', stream: 'account/1' },
  }
  expect(await told).toMatchObject({ kind: 'failed', failure })
})

test('ShardUnavailable: what nobody serves was done by nobody', async () => {
  const clock = new SimulatedClock()
  const router = new Router({ shards: 1, clock, underWayMax: 10, timeoutMs: 1000, onBadFrame: () => undefined })
  const told = new Promise((_, reject) => {
    router.send(0, command(), { resolve: () => undefined, reject }, { timeoutMs: 50 })
  })
  clock.advance(60)
  await expect(told).rejects.toMatchObject({ code: 'ShardUnavailable', outcome: 'none', retryable: true })
})
