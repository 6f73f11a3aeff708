/** Frames of messages and of replies: read to what their types say, or BadFrame; and what was read harms nobody. */
import fc from 'fast-check'
import { expect } from 'vitest'
import type { Reply, StateAt } from '../../src/actor/message.ts'
import { BadFrame, FrameWriter } from '../../src/cluster/frame.ts'
import { createRef } from '../../src/cluster/ref.ts'
import { Router } from '../../src/cluster/router.ts'
import {
  outgoing,
  readMessages,
  readReplies,
  writeMessage,
  writeReply,
  type OutgoingMessage,
} from '../../src/cluster/wire.ts'
import { PenholdError } from '../../src/aggregate/error.ts'
import { deriveId, IdSource, isId, parseId } from '../../src/log/identity.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { Account } from '../account.ts'
import { DEFAULTS, open } from '../actor/harness.ts'
import { eventBytes } from '../log/event-bytes.ts'
import { edges, mutate, mutations } from './mutation.ts'
import { expectPlain, plain, withWrong, wrong } from './plain-data.ts'
import { orDocumented, target, type Target } from './target.ts'

const streams = fc.constantFrom('account/1', 'account/2', 'account/', '/', 'account', 'none/1', 'account/e\u0301')
const number = fc.oneof(edges, fc.double(), fc.constantFrom(2 ** 53, -1, Number.NaN, Number.POSITIVE_INFINITY))

const ids = fc.oneof(
  fc.nat().map((seed) => parseId(deriveId(seed))),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map(sliceOf),
)
/** What goes to streams by name, with some part that is wrong. */
const storeMessage = fc
  .record({
    stream: fc.oneof(streams, fc.constantFrom('ledger/1', 'ledger/2', '$all/1')),
    of: fc.constantFrom(
      ['$append', { events: [{ type: 'Noted', data: { a: 1 }, metadata: { b: 2 } }], expected: 'any' }] as const,
      ['$append', { events: [{ type: 'MoneyDeposited', data: { amount: 1 } }], expected: 0 }] as const,
      ['$append', { events: [{ type: 'N', aggregate: { type: 'o', id: '1', version: 1 } }] }] as const,
      ['$append', { events: [], create: { persistence: 'partitioned', metadata: { c: 3 } } }] as const,
      ['$read', { from: 1, to: 3, at: [1, 1, 48], isBackwards: false, limit: 2 }] as const,
      ['$read', { from: 0, isBackwards: true, limit: 9, filter: { metadata: { a: { in: [1, 'b'] } } } }] as const,
      ['$info', {}] as const,
    ),
    place: fc.nat({ max: 30 }),
    part: fc.option(wrong),
    isFresh: fc.boolean(),
    commandId: fc.nat(3).map((seed) => parseId(deriveId(seed))),
  })
  .map(({ stream, of: [name, payload], place, part, isFresh, commandId }): OutgoingMessage => {
    const sent = outgoing(part === null ? payload : withWrong(payload, place, part))
    if (name !== '$append') return { kind: 'query', request: 3, epoch: 0, stream, name, payload: sent }
    const given = { isFresh, isAgain: !isFresh, commandId, metadata: undefined }
    return { ...DEFAULTS, ...given, request: 4, stream, name, payload: sent }
  })
/** Of its shard's only epoch, of none, or of another. */
const epoch = fc.oneof(fc.constantFrom(0, 1), edges)
const command = fc
  .record({
    stream: streams,
    name: fc.constantFrom('deposit', 'open', 'toString', ''),
    payload: fc.oneof(plain, fc.constant({ amount: 1 })),
    request: edges,
    epoch,
    after: number,
    since: number,
    expectedVersion: fc.oneof(fc.constant(-1), number),
    deadline: number,
    waitsForReactors: fc.boolean(),
    sentIn: fc.option(fc.record({ shard: edges, epoch }), { nil: undefined }),
    isFresh: fc.boolean(),
    commandId: ids,
  })
  .map(({ payload, ...given }): OutgoingMessage => {
    const [sent, metadata] = [outgoing(payload), outgoing({ user: 'u' })]
    return { ...DEFAULTS, ...given, payload: sent, isAgain: !given.isFresh, metadata }
  })
const message: fc.Arbitrary<OutgoingMessage> = fc.oneof(
  command,
  storeMessage,
  fc.record({ stream: streams, epoch, payload: plain }).map(({ payload, ...given }): OutgoingMessage => {
    return { kind: 'query', request: 1, name: 'balance', ...given, payload: outgoing(payload) }
  }),
  fc
    .record({ stream: streams, epoch, at: wrong })
    .map(({ at, ...given }): OutgoingMessage => ({ kind: 'state', request: 2, ...given, at: (at ?? {}) as StateAt })),
)

const reply: fc.Arbitrary<Reply> = fc.oneof(
  fc
    .record({ position: number, data: fc.array(plain, { maxLength: 3 }), changes: mutations })
    .map(({ position, data, changes }): Reply => {
      const records = sliceOf(mutate(eventBytes(...data.map((value) => value ?? null)), changes))
      return { kind: 'accepted', version: 3, position, records }
    }),
  fc.record({ place: fc.nat({ max: 10 }), part: fc.option(wrong) }).map(({ place, part }): Reply => {
    const valid = [{ reactor: 'r', state: 'failed', reason: 'it is closed' }]
    const unsettled = (part === null ? valid : withWrong(valid, place, part)) as never
    return { kind: 'accepted', version: 1, position: 1, records: sliceOf(eventBytes({ amount: 1 })), unsettled }
  }),
  plain.map((details): Reply => ({ kind: 'rejected', code: 'no', details })),
  plain.map((value): Reply => ({ kind: 'answered', value })),
  wrong.map((failure): Reply => ({ kind: 'failed', failure: (failure ?? null) as never })),
  fc.record({ place: fc.nat({ max: 10 }), part: wrong }).map(({ place, part }): Reply => {
    const valid = { code: 'X', message: 'm', outcome: 'none', retryable: true, details: 1 }
    return { kind: 'failed', failure: withWrong(valid, place, part ?? null) as never }
  }),
  plain.map((details): Reply => {
    return { kind: 'failed', failure: { code: 'X', message: 'm', outcome: 'none', retryable: true, details } }
  }),
)

const isBadFrame = (error: unknown): boolean => error instanceof BadFrame

/** A worker that gets a made-up frame answers each message of it, and goes on. */
export const messageFrame: Target = target(
  'message-frame',
  fc.record({ messages: fc.array(message, { maxLength: 4 }), changes: mutations, protocol: fc.constantFrom(2, 3) }),
  async ({ messages, changes, protocol }) => {
    const passage = { now: 0, protocol }
    const frame = new FrameWriter()
    for (const each of messages) writeMessage(frame, each, passage)
    const read = await orDocumented(() => readMessages(mutate(frame.take(), changes), passage), isBadFrame)
    if (read === undefined) return
    for (const each of read) if (each.kind !== 'state') expectPlain(each.payload ?? null)
    const { worker } = await open(new SimulatedDisk(), new SimulatedClock())
    let answers = 0
    const out = new FrameWriter()
    const sender = {
      reply(request: number, answer: Reply) {
        answers += 1
        writeReply(out, request, answer)
      },
      flush: () => undefined,
    }
    worker.receive(sender, read)
    await worker.settle()
    expect(answers).toBe(read.length)
    expect(readReplies(out.take())).toHaveLength(answers)
    await worker.close()
  },
)

/** A router that gets a made-up frame tells its callers a value or an error, whichever way they asked. */
export const replyFrame: Target = target(
  'reply-frame',
  fc.record({ replies: fc.array(reply, { minLength: 1, maxLength: 4 }), changes: mutations }),
  async ({ replies, changes }) => {
    const frame = new FrameWriter()
    for (const [i, each] of replies.entries()) writeReply(frame, i + 1, each)
    const bytes = mutate(frame.take(), changes)
    const read = await orDocumented(() => readReplies(bytes), isBadFrame)
    await expectTold(bytes, read === undefined)
  },
)

async function expectTold(bytes: Uint8Array, isBad: boolean): Promise<void> {
  const clock = new SimulatedClock()
  const bad: unknown[] = []
  const router = new Router({
    shards: 1,
    clock,
    underWayMax: 10,
    timeoutMs: 1000,
    onBadFrame: (_, error) => bad.push(error),
  })
  let receive: (frame: Uint8Array) => void = () => undefined
  router.assign(0, 'worker')
  const nothing = (): void => undefined
  const onFrame = (take: typeof receive): void => void (receive = take)
  router.attach('worker', { send: nothing, onFrame, isFull: false, onDrain: nothing, close: nothing })
  const host = {
    ids: new IdSource(clock, new SeededRandom(1)),
    commandBytesMax: 1000,
    shardOf: () => 0,
    send: (...[to, given, outcome, options]: Parameters<Parameters<typeof createRef>[0]['send']>) =>
      router.send(to.shard, given, outcome, options),
    observe: () => undefined,
    onTellFailed: () => undefined,
  }
  const ref = createRef(host, Account, '1')
  const asked = [ref.ask('deposit', { amount: 1 }), ref.query('balance'), ref.state(), ref.ask('open', { owner: 'o' })]
  const settled = Promise.allSettled(asked)
  receive(bytes)
  expect(bad).toHaveLength(isBad ? 1 : 0)
  router.close()
  for (const outcome of await settled) {
    if (outcome.status === 'rejected') expectSaid(outcome.reason)
    else if (typeof outcome.value === 'object') await readEvents(outcome.value)
  }
}

function expectSaid(error: unknown): void {
  expect(error).toBeInstanceOf(PenholdError)
  const { code, message: text, outcome, retryable } = error as PenholdError
  expect([typeof code, typeof text, typeof retryable]).toEqual(['string', 'string', 'boolean'])
  expect(['none', 'unknown']).toContain(outcome)
}

async function readEvents(value: unknown): Promise<void> {
  const isCorrupt = (error: unknown): boolean => error instanceof PenholdError && error.code === 'LogCorrupt'
  const events = await orDocumented(() => (value as { readonly events?: unknown } | null)?.events, isCorrupt)
  for (const event of (events ?? []) as readonly { readonly id: string; readonly data: unknown }[]) {
    expect(isId(event.id)).toBe(true)
    expectPlain(event.data)
  }
}
