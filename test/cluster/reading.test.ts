import { expect, test } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import type { ReadingRun } from '../../src/cluster/held-reading.ts'
import { BACKLOG_HIGH_BYTES } from '../../src/cluster/network.ts'
import { ReadingEnd, READINGS_MAX, type OpenReading, type ReadingCount } from '../../src/cluster/reading-end.ts'
import { decodeAnswer, encodeAnswer, encodeQuestion, type ReadingQuestion } from '../../src/cluster/reading-frames.ts'
import { ReadingLine, type Came } from '../../src/cluster/reading-line.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { splitRecords } from '../../src/log/recorded-event.ts'
import type { LogRecord } from '../../src/log/record.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { turn } from '../actor/simulated-bank.ts'
import { eventBytes } from '../log/event-bytes.ts'
import { readingPair } from './reading-ends.ts'

const KB = 'x'.repeat(1_000)
const recordsOf = (...data: readonly unknown[]): LogRecord[] => [...splitRecords(sliceOf(eventBytes(...data)))]
const runOf = (...data: readonly unknown[]): ReadingRun => ({ records: recordsOf(...data) })

/** A node with a client, whose readings give these runs, then wait, or fail, or end. */
function open(runs: readonly ReadingRun[] = [], then: 'wait' | 'end' | Error = 'wait') {
  const clock = new SimulatedClock()
  const [atNode, atClient] = readingPair()
  const warnings: string[] = []
  const onWarning = (text: string): void => void warnings.push(text)
  const count: ReadingCount = { all: 0, stream: 0 }
  const state = { read: 0, open: 0, ended: 0 }
  const read: OpenReading = async function* (_kind, _request, signal) {
    state.open += 1
    try {
      for (const run of runs) {
        state.read += 1
        yield run
      }
      if (then instanceof Error) throw then
      if (then === 'wait') await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    } finally {
      state.open -= 1
    }
  }
  const end = new ReadingEnd(atNode, { clock, open: read, count, onWarning, onEnd: () => (state.ended += 1) })
  const lineOf = (): ReadingLine =>
    new ReadingLine(atClient, { node: 'n', address: 'n:1', clock, onWarning, onEnd: () => (state.ended += 1) })
  const say = (question: ReadingQuestion): void => atNode.take(encodeQuestion(question))
  const told = () => atNode.sent.map(decodeAnswer)
  return { clock, atNode, atClient, warnings, count, state, end, lineOf, say, told }
}

const dataOf = (came: Came): unknown => {
  if (came.kind !== 'page') return came.kind
  return [...splitRecords(came.page.records)].map(({ data }) => data)
}
const OPEN = { kind: 'open', reading: 1, of: 'all', request: {} } as const
const PULL = { kind: 'pull', reading: 1 } as const

test('a page has what is there, without waiting for more than is read already', async () => {
  const level = { records: [], isLevel: true }
  const { lineOf, state } = open([runOf(1, 2), runOf(3), level, runOf(4), level], 'end')
  const reading = lineOf().open('all', {})
  expect(dataOf(await reading.next())).toEqual([1, 2, 3])
  expect(dataOf(await reading.next())).toEqual([4])
  const last = await reading.next()
  expect(last).toMatchObject({ kind: 'page', page: { isLast: true } })
  expect([state.open, state.read]).toEqual([0, 5])
})

test('nothing is read before it is asked for, and a page and one run beyond it are held', async () => {
  const runs = Array.from({ length: 20 }, () => runOf(...Array.from({ length: 400 }, () => KB)))
  const { say, told, state } = open(runs, 'end')
  say(OPEN)
  await turn()
  expect(state.read).toBe(0)
  say(PULL)
  await turn()
  expect(told()).toHaveLength(1)
  // Of 400 kB each: the third is cut, and so nothing is read ahead of it.
  expect(state.read).toBe(3)
  await turn()
  expect(state.read).toBe(3)
  let events = 0
  for (let i = 0; i < 30 && state.open > 0; i += 1) {
    say(PULL)
    await turn()
  }
  for (const answer of told()) {
    if (answer.kind !== 'page') continue
    const bytes = answer.page.records.end - answer.page.records.start
    expect(bytes).toBeLessThanOrEqual(1024 * 1024)
    events += [...splitRecords(answer.page.records)].length
  }
  expect(events).toBe(20 * 400)
})

test('a place is said once all up to it was handed out, and an end as soon as it is known', async () => {
  const big = Array.from({ length: 1_500 }, () => KB)
  const place = { position: 2 ** 41, shard: 1 }
  const before = { position: 2 ** 40, shard: 0 }
  const { lineOf } = open([
    { records: [], until: { position: 7, shard: 0 }, place: before },
    { ...runOf(...big), place, isLast: true },
  ])
  const reading = lineOf().open('all', {})
  expect(await reading.next()).toMatchObject({
    page: { until: { position: 7, shard: 0 }, place: undefined, isLast: false },
  })
  expect(await reading.next()).toMatchObject({ page: { until: undefined, place, isLast: true } })
})

test('a place from before events is not said behind them', async () => {
  const { lineOf } = open([{ records: [], place: { position: 5, shard: 0 } }, runOf(1), { records: [], isLevel: true }])
  expect(await lineOf().open('all', {}).next()).toMatchObject({ page: { place: undefined } })
})

test('where nothing comes, an empty page says so after a while', async () => {
  const place = { position: 5, shard: 0 }
  const { lineOf, clock } = open([{ records: [], place }])
  const reading = lineOf().open('all', {})
  const next = reading.next()
  await turn()
  clock.advance(4_900)
  await turn()
  clock.advance(200)
  expect(await next).toMatchObject({ kind: 'page', page: { place, isLast: false } })
})

test('what has failed is told behind all that was read before', async () => {
  const details = { file: 'a.log' }
  const failure = new PenholdError('LogCorrupt', 'harmed', { outcome: 'none', retryable: false, details })
  const { lineOf, state, count, clock } = open([runOf(1)], failure)
  const reading = lineOf().open('all', {})
  const first = reading.next()
  await turn()
  clock.advance(20)
  expect(dataOf(await first)).toEqual([1])
  expect(await reading.next()).toMatchObject({ kind: 'failed', failure: { code: 'LogCorrupt', details } })
  expect(await reading.next()).toMatchObject({ kind: 'failed' })
  expect([state.open, count.all]).toEqual([0, 0])
})

test('an event that fits into no frame fails its reading alone', async () => {
  const { lineOf } = open([runOf(new Uint8Array(15 * 1024 * 1024))])
  expect(await lineOf().open('all', {}).next()).toMatchObject({ kind: 'failed', failure: { code: 'TooLarge' } })
})

test('whoever closes a reading, or the connection, leaves nothing open', async () => {
  const { lineOf, state, count, atClient } = open()
  const line = lineOf()
  const readings = Array.from({ length: 10 }, (_, i) => line.open(i % 2 === 0 ? 'all' : 'stream', {}))
  const waiting = readings.map((reading) => reading.next())
  await turn()
  expect([state.open, count]).toEqual([10, { all: 5, stream: 5 }])
  readings[0]!.close()
  readings[1]!.close()
  expect((await waiting[0]!).kind).toBe('gone')
  await turn()
  expect([state.open, count]).toEqual([8, { all: 4, stream: 4 }])
  atClient.close()
  expect((await waiting[2]!).kind).toBe('gone')
  await turn()
  expect([state.open, count, state.ended]).toEqual([0, { all: 0, stream: 0 }, 2])
})

test('a reading of which nobody asks for a page for a minute is let go, and its reader is told', async () => {
  const { lineOf, state, clock, count } = open([runOf(1)])
  const reading = lineOf().open('all', {})
  const first = reading.next()
  await turn()
  clock.advance(20)
  await first
  for (let s = 0; s < 59; s += 1) clock.advance(1_000)
  expect(count.all).toBe(1)
  clock.advance(1_000)
  await turn()
  expect([state.open, count.all]).toEqual([0, 0])
  expect((await reading.next()).kind).toBe('gone')
})

test('whoever waits for a page is not let go', async () => {
  const { lineOf, state, clock } = open()
  const reading = lineOf().open('stream', {})
  for (let i = 0; i < 30; i += 1) {
    const next = reading.next()
    for (let s = 0; s < 6; s += 1) {
      await turn()
      clock.advance(1_000)
    }
    expect((await next).kind).toBe('page')
  }
  expect(state.open).toBe(1)
})

test('pages wait while their reader does not take what was sent, all of them', async () => {
  const { say, told, atNode, state } = open([runOf(KB)], 'end')
  atNode.backlogBytes = BACKLOG_HIGH_BYTES + 1
  for (let reading = 1; reading <= 20; reading += 1) {
    say({ ...OPEN, reading })
    say({ kind: 'pull', reading })
  }
  await turn()
  expect([told().length, state.read]).toEqual([0, 20])
  const send = atNode.send.bind(atNode)
  // The first that goes out fills it again.
  atNode.send = (frame) => {
    send(frame)
    atNode.backlogBytes = BACKLOG_HIGH_BYTES + 1
  }
  for (let drains = 1; drains <= 20; drains += 1) {
    atNode.backlogBytes = 0
    atNode.drained()
    await turn()
    expect(told()).toHaveLength(drains)
  }
})

test('one who closes while a page waits for room leaves nothing behind', async () => {
  const { say, told, atNode, count } = open([runOf(KB)])
  atNode.backlogBytes = BACKLOG_HIGH_BYTES + 1
  say(OPEN)
  say(PULL)
  await turn()
  say({ kind: 'close', reading: 1 })
  atNode.backlogBytes = 0
  atNode.drained()
  await turn()
  expect([told(), count.all]).toEqual([[], 0])
})

test.each(['all', 'stream'] as const)('of kind %s so many are open over a connection, and at a node', async (kind) => {
  const { lineOf, count } = open()
  const line = lineOf()
  const { ofCaller, ofNode } = READINGS_MAX[kind]
  const readings = Array.from({ length: ofCaller }, () => line.open(kind, {}))
  const refused = { kind: 'failed', failure: { code: 'MailboxFull', outcome: 'none', retryable: true } }
  expect(await line.open(kind, {}).next()).toMatchObject(refused)
  readings[0]!.close()
  const other = line.open(kind, {})
  await turn()
  expect(count[kind]).toBe(ofCaller)
  other.close()
  count[kind] = ofNode
  expect(await line.open(kind, {}).next()).toMatchObject(refused)
})

test('what cannot be opened is told to who asked, and nothing stays open', async () => {
  const [atNode, atClient] = readingPair()
  const clock = new SimulatedClock()
  const count = { all: 0, stream: 0 }
  const nothing = (): void => undefined
  const details = { value: Symbol('what cannot be sent') }
  const refuse = (): never => {
    throw new PenholdError('BadPayload', 'no', { outcome: 'none', retryable: false, details })
  }
  const options = { clock, onWarning: nothing, onEnd: nothing }
  const end = new ReadingEnd(atNode, { ...options, open: refuse, count })
  const line = new ReadingLine(atClient, { ...options, node: 'n', address: 'n:1' })
  expect(await line.open('all', {}).next()).toMatchObject({ kind: 'failed', failure: { code: 'BadPayload' } })
  expect(count.all).toBe(0)
  end.close()
  expect(atClient.isClosed).toBe(true)
})

const HOSTILE: readonly (readonly [string, readonly Uint8Array[]])[] = [
  ['two pages at once', [OPEN, PULL, PULL].map(encodeQuestion)],
  ['two readings of one number', [OPEN, OPEN].map(encodeQuestion)],
  ['what only nodes say', [encodeQuestion(OPEN), encodeAnswer({ kind: 'gone', reading: 1 })]],
  ['a kind that nobody has', [encodeQuestion(OPEN), encodeQuestion({ ...OPEN, reading: 2 }).with(5, 9)]],
  ['more behind a question', [encodeQuestion(OPEN), Buffer.concat([encodeQuestion(PULL), Uint8Array.of(1)])]],
  ['half a question', [encodeQuestion(OPEN), encodeQuestion(PULL).subarray(0, 4)]],
  ['nothing', [encodeQuestion(OPEN), new Uint8Array()]],
  ['a request that is too large', [encodeQuestion({ ...OPEN, request: { filter: 'x'.repeat(1024 * 1024) } })]],
]

test.each(HOSTILE)('a caller that sends %s is cut off, with all it has open', async (_, frames) => {
  const { atNode, state, count, warnings } = open()
  for (const frame of frames) atNode.take(frame)
  await turn()
  expect([atNode.isClosed, state.open, count.all, warnings.length]).toEqual([true, 0, 0, 1])
})

test('questions about readings that have ended are passed over', async () => {
  const { say, atNode } = open()
  say(PULL)
  say({ kind: 'close', reading: 1 })
  await turn()
  expect([atNode.isClosed, atNode.sent]).toEqual([false, []])
})

test.each([
  ['a page that nobody asked for', encodePageOf(1)],
  ['nonsense', Uint8Array.of(99, 0, 0, 0, 0)],
  ['records that are none', Uint8Array.of(5, 1, 0, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3)],
])('a node that sends %s is hung up, and what was read is gone', async (_, frame) => {
  const { lineOf, atClient, warnings, state } = open()
  const line = lineOf()
  const reading = line.open('all', {})
  atClient.take(frame)
  expect((await reading.next()).kind).toBe('gone')
  expect((await line.open('all', {}).next()).kind).toBe('gone')
  expect([atClient.isClosed, warnings.length, state.ended]).toEqual([true, 1, 2])
})

function encodePageOf(reading: number): Uint8Array {
  return Uint8Array.of(5, reading, 0, 0, 0, 0, 0, 0, 0, 0)
}

test('a node that says nothing is given up, but not because this thread was held', async () => {
  const { lineOf, atNode, clock } = open()
  const [monotonic, held] = [clock.monotonic.bind(clock), { ms: 0 }]
  clock.monotonic = () => monotonic() + held.ms
  const line = lineOf()
  const reading = line.open('stream', {})
  const next = reading.next()
  for (let s = 0; s < 4; s += 1) clock.advance(1_000)
  expect(atNode.isClosed, 'pings are answered').toBe(false)
  atNode.send = () => undefined
  clock.advance(900)
  held.ms = 10_000
  clock.advance(100)
  expect(atNode.isClosed).toBe(false)
  for (let s = 0; s < 5; s += 1) clock.advance(1_000)
  expect((await next).kind).toBe('gone')
  expect(atNode.isClosed).toBe(true)
})

test('a line over which nothing is read is left in peace, and serves again', async () => {
  const { lineOf, atClient, clock, atNode } = open([runOf(1)], 'end')
  const line = lineOf()
  expect(dataOf(await line.open('all', {}).next())).toEqual([1])
  clock.advance(2_000)
  const { length } = atClient.sent
  clock.advance(100_000)
  expect(atClient.sent).toHaveLength(length)
  expect(atNode.isClosed).toBe(false)
  expect(dataOf(await line.open('all', {}).next())).toEqual([1])
})
