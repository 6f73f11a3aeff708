import { expect, test } from 'vitest'
import { NonRetryableError, PenholdError } from '../../src/index.ts'
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
