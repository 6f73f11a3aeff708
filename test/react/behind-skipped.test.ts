import { expect, test } from 'vitest'
import { LaneBench, SHARD } from './lane-bench.ts'

test('what waits behind a skipped event is retried, whatever lies between that nobody wants', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.poison.add('a/0/1')
  bench.add('a/0')
  bench.row.add('Other', 'a/0')
  bench.add('a/0')
  bench.open()
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] !== undefined)
  await bench.operate('skip', { stream: 'a/0', version: 1, reason: 'by hand' })
  await bench.pass(2_000)
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] === undefined)
  expect(bench.done).toEqual(['a/0/3'])
})
