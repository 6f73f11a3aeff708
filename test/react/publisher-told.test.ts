/** A publisher that says of messages that they have arrived, and fails all the same. */
import { expect, onTestFinished, test } from 'vitest'
import { defineOutbox, type Publish } from '../../src/index.ts'
import { openOutbox } from '../../src/react/open-outbox.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

const streams = ['a/0', 'a/3', 'a/6', 'a/9', 'a/10']
const CALL_MS = 2_000

function open(publisher: Publish) {
  const bench = new LaneBench()
  const outbox = defineOutbox({
    name: 'deposits',
    startAt: 'beginning',
    from: 'all',
    map: { Done: () => ({ type: 'done' }) },
    publisher,
    handlerTimeoutMs: CALL_MS,
  })
  const opened = openOutbox(outbox, bench.clock)
  onTestFinished(() => opened.close(() => undefined))
  const { does, retries, onFailure, handlerTimeoutMs } = opened.consumer
  const start = () => bench.open(does, { retries, onFailure, handlerTimeoutMs })
  return { bench, start, parked: () => bench.effects.record(SHARD).parked }
}

test.for(['fails', 'hangs'])(
  'what has arrived is done with, also where its call %s after that each time',
  async (how) => {
    const there: string[] = []
    let calls = 0
    const { bench, start, parked } = open(async (messages, { published }) => {
      calls += 1
      for (const message of messages) {
        there.push(message.id)
        published(message)
      }
      if (how === 'fails') throw new Error('its connection could not be closed')
      await new Promise(() => undefined)
    })
    start()
    for (let i = 0; i < 10; i += 1) {
      bench.add(...streams, ...streams)
      await bench.pass(2 * CALL_MS + 1_000)
    }
    // The first event of ten is read before the others are there.
    expect(calls).toBeLessThanOrEqual(20)
    expect(new Set(there).size).toBe(100)
    expect(there).toHaveLength(100)
    expect(parked()).toEqual({})
  },
)
