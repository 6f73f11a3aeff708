import { expect, test } from 'vitest'
import { attemptOne, type HandleOptions } from '../../src/react/handling.ts'
import type { Consumer, Reaction } from '../../src/react/consumer.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { Slots } from '../../src/react/slots.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { EventRow } from '../read/event-row.ts'
import { MemoryEffects } from './memory-effects.ts'

function optionsOf(one: (event: FeedEvent, reaction: Reaction) => unknown): HandleOptions {
  const consumer: Consumer = {
    kind: 'reactor',
    name: 'mails',
    isWanted: () => true,
    startAt: 'beginning',
    onFailure: 'park',
    retries: 0,
    handlerTimeoutMs: 10_000,
    concurrency: 1,
    does: { one },
  }
  return { consumer, shard: 0, effects: new MemoryEffects(), clock: new SimulatedClock() }
}

test('events of the same id are others: whoever appends gives ids, and may give one twice', () => {
  const row = new EventRow()
  const keys: string[] = []
  const options = optionsOf((_event, { idempotencyKey }) => void keys.push(idempotencyKey))
  const first = row.add('Done', 'a/0')
  const twin: FeedEvent = { ...row.add('Done', 'b/0'), id: first.id }
  const tries = { attempt: 1, isOutOfRetries: false, isBehindParked: false }
  for (const event of [first, twin, first]) attemptOne(event, tries, options)
  expect(new Set(keys).size).toBe(2)
  expect(keys[2]).toBe(keys[0])
})

test('a slot that one does not want any more is for the next who waits', () => {
  const slots = new Slots(1)
  let taken = 0
  expect(slots.take(() => undefined)).toBe(true)
  expect(slots.take(() => undefined)).toBe(false)
  expect(slots.take(() => (taken += slots.take(() => undefined) ? 1 : 0))).toBe(false)
  slots.release()
  expect(taken).toBe(1)
})
