import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BadFrame } from '../../src/cluster/frame.ts'
import {
  decodeAnswer,
  decodeQuestion,
  encodeAnswer,
  encodePage,
  encodeQuestion,
  type ReadingQuestion,
} from '../../src/cluster/reading-frames.ts'
import { POSITION_MAX } from '../../src/log/position.ts'
import { copyOf, sliceOf } from '../../src/log/slice.ts'
import { splitRecords } from '../../src/log/recorded-event.ts'
import { eventBytes } from '../log/event-bytes.ts'

const number = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const place = fc.record({ position: fc.integer({ min: 0, max: POSITION_MAX }), shard: number })
const maybePlace = fc.option(place, { nil: undefined })
const request = fc.dictionary(
  fc.constantFrom('after', 'filter', 'a'),
  fc.oneof(fc.string({ unit: 'grapheme' }), fc.nat()),
  {
    noNullPrototype: true,
  },
)
const question: fc.Arbitrary<ReadingQuestion> = fc.oneof(
  fc.record({
    kind: fc.constant('open' as const),
    reading: number,
    of: fc.constantFrom('all' as const, 'stream' as const),
    request,
  }),
  fc.record({ kind: fc.constantFrom('pull' as const, 'close' as const), reading: number }),
  fc.constant({ kind: 'ping' as const }),
)
const page = fc.record({
  data: fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 4 }),
  place: maybePlace,
  until: maybePlace,
  isLast: fc.boolean(),
})
const failure = { code: 'X', message: 'm', outcome: 'none', retryable: true, details: { a: 1 } } as const

test('questions, pages and what else a node says arrive as they were sent', () => {
  fc.assert(
    fc.property(question, (said) => {
      expect(decodeQuestion(encodeQuestion(said))).toEqual(said)
    }),
  )
  fc.assert(
    fc.property(number, page, (reading, { data, ...rest }) => {
      const bytes = eventBytes(...data)
      const records = [...splitRecords(sliceOf(bytes))]
      const answer = decodeAnswer(encodePage(reading, { ...rest, records }))
      expect(answer).toMatchObject({ kind: 'page', reading, page: rest })
      expect(answer.kind === 'page' && Buffer.compare(copyOf(answer.page.records), bytes)).toBe(0)
    }),
  )
  for (const said of [
    { kind: 'pong' },
    { kind: 'gone', reading: 7 },
    { kind: 'failed', reading: 8, failure },
  ] as const) {
    expect(decodeAnswer(encodeAnswer(said))).toEqual(said)
  }
})

test('what cannot be encoded leaves nothing in the frames that follow', () => {
  const unsendable = { value: Symbol('no') } as never
  expect(() => encodeQuestion({ kind: 'open', reading: 1, of: 'all', request: unsendable })).toThrow()
  expect(decodeQuestion(encodeQuestion({ kind: 'ping' }))).toEqual({ kind: 'ping' })
})

test('anything else is a BadFrame, or says what its types say', () => {
  const frames = fc.oneof(
    question.map(encodeQuestion),
    page.map(({ data, ...rest }) =>
      encodePage(1, { ...rest, records: [...splitRecords(sliceOf(eventBytes(...data)))] }),
    ),
    fc.constant(encodeAnswer({ kind: 'failed', reading: 1, failure })),
    fc.uint8Array({ maxLength: 40 }),
  )
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 })
  const read = (decode: () => unknown): void => {
    try {
      decode()
    } catch (error) {
      expect(error).toBeInstanceOf(BadFrame)
    }
  }
  fc.assert(
    fc.property(frames, changes, fc.nat(200), (frame, changed, cut) => {
      const bytes = Uint8Array.from(frame)
      for (const [at, value] of changed) if (bytes.length > 0) bytes[at % bytes.length] = value
      for (const each of [bytes, bytes.subarray(0, cut)]) {
        read(() => decodeQuestion(each))
        read(() => decodeAnswer(each))
      }
    }),
    { numRuns: 2_000 },
  )
})
