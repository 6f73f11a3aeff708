/** Which attempt at an event its handler is told that it is. */
import { expect, test } from 'vitest'
import { away } from './memory-effects.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

/** A lane that tells the attempts. What its handler sends is not answered so often, each time it is begun anew. */
function numberedBench(settings: ConstructorParameters<typeof LaneBench>[0] = {}): {
  readonly bench: LaneBench
  readonly attempts: number[]
  readonly fail: { away: number; poison: number }
} {
  const bench = new LaneBench(settings)
  const attempts: number[] = []
  const fail = { away: 0, poison: 0 }
  bench.effects.onSent = async () => {
    if ((fail.away -= 1) >= 0) throw away()
    return { kind: 'accepted', version: 1, position: 1 }
  }
  bench.onHandle = async ({ id, position }, { attempt, effects }) => {
    attempts.push(attempt)
    const ids = { commandId: id, correlationId: '', causationId: id }
    await effects.ask({ stream: 'b/1', name: 'go', payload: undefined, ...ids, after: position })
    if ((fail.poison -= 1) >= 0) throw new Error('poison')
  }
  return { bench, attempts, fail }
}

test('attempts count whatever they come to, and from 1 where another takes the lane over', async () => {
  const { bench, attempts, fail } = numberedBench({ retries: 100 })
  fail.away = 2
  fail.poison = 1_000
  bench.add('a/0')
  const lane = bench.open()
  await bench.until(() => attempts.length === 5)
  expect(attempts.splice(0)).toEqual([1, 2, 3, 4, 5])
  await bench.during(lane.close(0))
  bench.open()
  await bench.until(() => attempts.length === 2)
  expect(attempts).toEqual([1, 2])
})

test('and where somebody retries what is parked: for each event, as often as that is', async () => {
  const { bench, attempts, fail } = numberedBench({ retries: 1 })
  fail.poison = 2
  bench.add('a/0', 'a/0')
  bench.open()
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] !== undefined)
  expect(attempts.splice(0)).toEqual([1, 2])
  fail.poison = 1
  fail.away = 2
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.effects.record(SHARD).parked['a/0']?.failures === 2)
  expect(attempts.splice(0)).toEqual([1, 2, 3])
  fail.away = 1
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.done.length === 2)
  expect(attempts).toEqual([1, 2, 1])
})

test('and where somebody resumes what was halted', async () => {
  const { bench, attempts, fail } = numberedBench({ retries: 1, onFailure: 'halt' })
  fail.poison = 3
  bench.add('a/0')
  const lane = bench.open()
  await bench.until(() => lane.condition === 'halted')
  await bench.operate('resume')
  await bench.until(() => bench.done.length === 1)
  expect(attempts).toEqual([1, 2, 1, 2])
})
