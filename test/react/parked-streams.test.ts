import { expect, test } from 'vitest'
import type { ConsumerLane } from '../../src/react/consumer-lane.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

/** The first event of `a/6` is under way for as long as its promise is, so that the record's place stays before the others. */
function heldBench(...poison: readonly string[]): { readonly bench: LaneBench; readonly lane: ConsumerLane } {
  const bench = new LaneBench({ retries: 0 })
  bench.onHandle = ({ id }) => (id === 'a/6/1' ? new Promise(() => undefined) : undefined)
  for (const id of poison) bench.poison.add(id)
  bench.add('a/6', 'a/0', 'a/0', 'a/3')
  return { bench, lane: bench.open() }
}

const isParked = (bench: LaneBench, stream: string): boolean => bench.effects.record(SHARD).parked[stream] !== undefined

test('what was skipped is not handled by who takes the lane over, though something before it is not done', async () => {
  const { bench, lane } = heldBench('a/0/1', 'a/3/1')
  await bench.until(() => isParked(bench, 'a/0') && isParked(bench, 'a/3'))
  await bench.operate('skip', { stream: 'a/0', version: 1, reason: 'by hand' })
  await bench.operate('skip', { stream: 'a/3', version: 1, reason: 'by hand' })
  await bench.until(() => !isParked(bench, 'a/3'))
  bench.poison.clear()
  bench.add('a/3')
  await bench.until(() => bench.done.includes('a/3/2'))
  await bench.during(lane.close(0))
  bench.onHandle = () => undefined
  bench.open()
  await bench.until(() => bench.done.includes('a/6/1'))
  await bench.pass(2_000)
  expect(bench.done).toEqual(['a/3/2', 'a/6/1', 'a/3/2'])
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => !isParked(bench, 'a/0'))
  expect(bench.done.slice(3)).toEqual(['a/0/2'])
  bench.add('a/0', 'a/3')
  await bench.until(() => bench.done.length === 6)
  // The place is past all of it, so that nothing of it is kept.
  await bench.until(() => bench.effects.record(SHARD).place!.position >= bench.row.find('a/3', 3).position)
  expect(bench.effects.record(SHARD).done).toBeUndefined()
})

test('what was skipped while nobody ran the lane is passed over as well', async () => {
  const { bench, lane } = heldBench('a/0/1')
  await bench.until(() => isParked(bench, 'a/0'))
  await bench.during(lane.close(0))
  bench.poison.clear()
  bench.onHandle = () => undefined
  const done = bench.done.length
  await bench.operate('skip', { stream: 'a/0', version: 1, reason: 'by hand' })
  bench.open()
  await bench.until(() => bench.done.includes('a/6/1'))
  await bench.pass(2_000)
  if (isParked(bench, 'a/0')) await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.done.includes('a/0/2'))
  expect(bench.done.slice(done).filter((id) => id.startsWith('a/0'))).toEqual(['a/0/2'])
})

test('what was retried is not handled again by who takes the lane over', async () => {
  const { bench, lane } = heldBench('a/0/1')
  await bench.until(() => isParked(bench, 'a/0'))
  bench.poison.clear()
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => !isParked(bench, 'a/0'))
  await bench.during(lane.close(0))
  bench.onHandle = () => undefined
  bench.open()
  bench.add('a/0')
  await bench.until(() => bench.done.includes('a/0/3'))
  expect(bench.done.filter((id) => id.startsWith('a/0'))).toEqual(['a/0/1', 'a/0/2', 'a/0/3'])
})
