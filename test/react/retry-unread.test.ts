import { expect, test } from 'vitest'
import { LaneBench } from './lane-bench.ts'

test('what is parked is not told to be done before it was tried, also where the lane has not read of it', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.row.pageMax = 5
  bench.add('a/0')
  for (let n = 0; n < 200; n += 1) bench.row.add('Other', 'a/6')
  bench.add('a/3')
  bench.onHandle = ({ stream }) => (stream === 'a/0' ? new Promise(() => undefined) : undefined)
  bench.poison.add(bench.row.find('a/3', 1).id)
  const first = bench.open()
  const parked = () => bench.effects.record(first.shard).parked['a/3']
  await bench.until(() => parked() !== undefined)
  await bench.during(first.close(0))
  await bench.operate('retry', { stream: 'a/3' })
  bench.open()
  await bench.until(() => parked()?.isAsked === false)
  expect(parked()).toMatchObject({ failures: 2 })
  expect(bench.effects.steps).not.toContain('Unparked')
})
