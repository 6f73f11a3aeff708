import { expect, test } from 'vitest'
import { redisStreamPublisher, redisStreamSource, webhookPublisher } from '../../src/index.ts'

const redis = 'redis://localhost'
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

/** A stream that keeps everything for ever, where `maxLen` is misspelt: nobody would know before the memory is full. */
const wrong: readonly [make: (options: never) => unknown, options: unknown, message: string][] = [
  [redisStreamPublisher, { redis, stream: 'x', maxlen: 9 }, "redisStreamPublisher: it has no 'maxlen'; the nearest is"],
  [redisStreamPublisher, { stream: 'x' }, "redisStreamPublisher: it needs 'redis'"],
  [redisStreamPublisher, undefined, 'redisStreamPublisher: its options are an object, not undefined'],
  [
    redisStreamSource,
    { redis, stream: 'x', group: 'g' },
    "redisStreamSource: it has no 'group'; there are redis, stream",
  ],
  [redisStreamSource, undefined, 'redisStreamSource: its options are an object, not undefined'],
  [webhookPublisher, { url: 'http://host', secret, retryAfterMs: 1 }, "the nearest is 'retryAfterMsMax'"],
  [webhookPublisher, { url: 'http://host' }, "webhookPublisher: it needs 'secret'"],
]

test.for(wrong)('%o refuses %o', ([make, options, message]) => {
  expect(() => make(options as never)).toThrow(message)
})
