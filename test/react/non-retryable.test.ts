import { expect, test } from 'vitest'
import { defineOutbox, NonRetryableError, PenholdError } from '../../src/index.ts'
import { openOutbox } from '../../src/react/open-outbox.ts'
import { away } from './memory-effects.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

const parkedOf = (bench: LaneBench) => bench.effects.record(SHARD).parked['a/0']

test('what a handler gives up is not tried again: it is parked at once', async () => {
  const bench = new LaneBench({ retries: 1_000 })
  bench.onHandle = ({ stream }) => {
    if (stream !== 'a/0') return undefined
    throw new NonRetryableError('no such mailbox', { cause: new Error('550') })
  }
  bench.add('a/0', 'a/0', 'a/3')
  bench.open()
  await bench.until(() => parkedOf(bench) !== undefined)
  expect(parkedOf(bench)).toMatchObject({ version: 1, reason: 'NonRetryableError: no such mailbox', failures: 1 })
  expect(bench.begun).toEqual(['a/0/1', 'a/3/1'])
})

test('or halts its shard at once', async () => {
  const bench = new LaneBench({ retries: 1_000, onFailure: 'halt' })
  bench.onHandle = () => Promise.reject(new NonRetryableError('never'))
  bench.add('a/0')
  const lane = bench.open()
  await bench.until(() => lane.condition === 'halted')
  expect(bench.begun).toEqual(['a/0/1'])
})

test('an error that is not retryable is another: what an aggregate refuses now it may take later', async () => {
  const bench = new LaneBench({ retries: 2 })
  bench.onHandle = async ({ id, position }, { effects }) => {
    const ids = { commandId: id, correlationId: '', causationId: id }
    await effects.ask({ stream: 'b/1', name: 'go', payload: undefined, ...ids, after: position })
  }
  bench.effects.onSent = () =>
    Promise.reject(new PenholdError('TooLarge', 'it is too large', { outcome: 'none', retryable: false }))
  bench.add('a/0')
  bench.open()
  await bench.until(() => parkedOf(bench) !== undefined)
  expect(bench.begun).toHaveLength(3)
})

test('what of the log did not answer is waited for first', async () => {
  const bench = new LaneBench({ retries: 0 })
  let failures = 2
  bench.effects.onSent = async () => {
    if ((failures -= 1) >= 0) throw away()
    return { kind: 'accepted', version: 1, position: 1 }
  }
  bench.onHandle = async ({ id, position }, { effects }) => {
    const ids = { commandId: id, correlationId: '', causationId: id }
    try {
      await effects.ask({ stream: 'b/1', name: 'go', payload: undefined, ...ids, after: position })
    } catch (cause) {
      throw new NonRetryableError('never', { cause })
    }
  }
  bench.add('a/0')
  bench.open()
  await bench.until(() => bench.done.length === 1)
  expect(bench.begun).toHaveLength(3)
})

test('what an outbox’ mapper gives up is parked at once, and what it throws else is tried again', async () => {
  const bench = new LaneBench()
  const asked: string[] = []
  const there: string[] = []
  const outbox = defineOutbox({
    name: 'deposits',
    startAt: 'beginning',
    from: 'all',
    map: {
      Done: ({ id, stream }) => {
        asked.push(id)
        if (stream === 'a/0') throw new NonRetryableError('it has no price')
        if (stream === 'a/3') throw new Error('it may have one later')
        return { type: 'done' }
      },
    },
    publisher: async (messages) => void there.push(...messages.map(({ stream }) => stream)),
    retries: 3,
  })
  const { consumer } = openOutbox(outbox, bench.clock)
  bench.add('a/0', 'a/0', 'a/3', 'a/6')
  bench.open(consumer.does, { retries: consumer.retries })
  const parked = () => bench.effects.record(SHARD).parked
  await bench.until(() => parked()['a/3'] !== undefined)
  expect(parked()['a/0']).toMatchObject({ version: 1, reason: 'NonRetryableError: it has no price', failures: 1 })
  expect(asked.filter((id) => id.startsWith('a/0/'))).toEqual(['a/0/1'])
  expect(asked.filter((id) => id === 'a/3/1')).toHaveLength(4)
  expect(there).toEqual(['a/6'])
})
