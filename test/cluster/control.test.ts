import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeControl, encodeControl, type ControlMessage } from '../../src/cluster/control.ts'
import { BadFrame } from '../../src/cluster/frame.ts'
import { encode } from '../../src/log/codec.ts'

const count = fc.nat()
/** A name as options have them; `__proto__` is none of plain data. */
const key = fc.string({ minLength: 1 }).filter((name) => name !== '__proto__')
const served = fc.record({ shard: count, worker: count, epoch: count })
const worker = fc.record({
  state: fc.constantFrom('silent' as const, 'writes' as const, 'full' as const),
  journal: count,
  records: count,
  bytes: fc.maxSafeNat(),
  oldestMs: count,
})
const shard = fc.record({
  shard: count,
  worker: count,
  epoch: count,
  state: fc.constantFrom('served' as const, 'leaving' as const, 'awaited' as const),
  seq: fc.maxSafeNat(),
  undurable: count,
  ms: count,
})
const place = fc.record({ segment: count, offset: count })
const known = fc.record({ journal: count, end: place, ownership: count })
const opened = fc.record({ shard: count, epoch: count, opening: place, position: fc.maxSafeNat() })
const tail = fc.record({
  journal: count,
  end: place,
  position: fc.maxSafeNat(),
  ownership: count,
  shards: fc.array(opened),
})
const message: fc.Arbitrary<ControlMessage> = fc.oneof(
  fc.record({ kind: fc.constant('serving' as const), shards: fc.array(served) }),
  fc.record({ kind: fc.constant('handed' as const), shards: fc.array(fc.record({ shard: count, worker: count })) }),
  fc.constant({ kind: 'drain' as const }),
  fc.constant({ kind: 'measure' as const }),
  fc.record({ kind: fc.constant('measured' as const), workers: fc.array(worker), shards: fc.array(shard) }),
  fc.record({
    kind: fc.constant('tail' as const),
    request: count,
    worker: count,
    above: fc.maxSafeNat(),
    ms: count,
    known: fc.option(known, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('tailed' as const), request: count, tail: fc.option(tail, { nil: undefined }) }),
  fc.record({
    kind: fc.constant('projection' as const),
    request: count,
    call: fc.string(),
    projection: fc.string(),
    options: fc.dictionary(key, fc.oneof(fc.string(), count), { noNullPrototype: true }),
  }),
  fc.record({
    kind: fc.constant('projection-answer' as const),
    request: count,
    outcome: fc.oneof(
      fc.record({ value: fc.oneof(count, fc.string(), fc.array(count), fc.constant(null)) }),
      fc.record({
        failure: fc.record({
          code: fc.string(),
          message: fc.string(),
          outcome: fc.constantFrom('none' as const, 'unknown' as const),
          retryable: fc.boolean(),
          details: fc.oneof(count, fc.string(), fc.array(count)),
        }),
      }),
    ),
  }),
  fc.constant({ kind: 'ping' as const }),
  fc.constant({ kind: 'pong' as const }),
)

test('what nodes tell each other arrives as it was said', () => {
  fc.assert(
    fc.property(message, (said) => {
      expect(decodeControl(encodeControl(said))).toEqual(said)
    }),
  )
})

test('anything else is a BadFrame', () => {
  const measures = [[7], [7, 1], [7, 1, 1, 0, 0, 0], [7, 1, 3, 0, 0, 0, 0], [7, 0, 0, 0, 0, 3, 0, 0, 0], [7, 0, 1]]
  const tails = [[9], [9, 1, 0, 0], [9, 1, 0, 0, 5, 1], [10], [10, 1, 1, 1, 0, 0], [10, 1, 1, 1, 0, 0, 9, 1]]
  const calls = [[11], [11, 1, 'list'], [11, 1, 'list', '', []], [11, 'a', 'list', '', {}], [11, 1, 'list', '', {}, 1]]
  const answers = [[12], [12, 1, 2, 'a'], [12, 1, 0, 'a'], [12, 1, 0, { code: 'A' }], [12, 1, 1, 'a', 1]]
  const others = [[], [13], [1, 2], [2, 1], [3, 1], [6, 0], ['serving'], [1, -1, 0, 0], [1, 0.5, 0, 0]]
  const wrong = [
    ...others,
    ...calls,
    ...answers,
    ...tails,
    ...measures,
    [7, 2 ** 50, 0, 0, 0, 0, 0],
    { kind: 'ping' },
    null,
  ]
  for (const each of wrong) expect(() => decodeControl(encode(each)), JSON.stringify(each)).toThrow(BadFrame)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
      try {
        decodeControl(noise)
      } catch (error) {
        expect(error).toBeInstanceOf(BadFrame)
      }
    }),
  )
})
