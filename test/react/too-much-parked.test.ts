import { expect, test } from 'vitest'
import { shardOf } from '../read/event-row.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

test.each([
  ['', 0],
  [', also where all of them have gone on meanwhile', 1],
])(
  'with events of a thousand streams parked its shard halts, and goes on once they are retried and it is resumed%s',
  async (_how, more) => {
    const bench = new LaneBench({ retries: 0 })
    const streams = Array.from({ length: 6_000 }, (_, n) => `a/${n}`)
      .filter((stream) => shardOf(stream) === SHARD)
      .slice(0, 1_001)
    bench.add(...streams)
    for (const { id } of bench.row.events) bench.poison.add(id)
    const lane = bench.open()
    await bench.until(() => lane.condition === 'halted')
    expect(Object.keys(bench.effects.record(SHARD).parked)).toHaveLength(1_000)
    expect(lane.trouble?.message).toContain('has parked events of 1000 streams')
    // Whoever looks after it does so later: all but the last is recorded.
    await bench.pass(3_000)

    for (let n = 0; n < more; n += 1) bench.add(...streams)
    const last = streams.find((stream) => bench.effects.record(SHARD).parked[stream] === undefined)!
    bench.poison.clear()
    bench.poison.add(bench.row.find(last, 1).id)
    for (const stream of Object.keys(bench.effects.record(SHARD).parked)) await bench.operate('retry', { stream })
    await bench.until(() => lane.parkedStreams === 0)
    await bench.operate('resume')
    await bench.until(() => bench.effects.record(SHARD).parked[last] !== undefined)
    expect(lane.condition).toBe('running')
    await bench.until(() => bench.done.length === 1_000 * (1 + more))
    await bench.pass(3_000)
    expect(bench.effects.record(SHARD).done).toBeUndefined()
  },
)

test('while an event holds the place no more than a thousand streams are known to be done beyond it, in whatever life of the lane', async () => {
  const bench = new LaneBench({ retries: 0, handlerTimeoutMs: 2 ** 31 - 1 })
  const [held, ...streams] = Array.from({ length: 6_000 }, (_, n) => `a/${n}`).filter(
    (stream) => shardOf(stream) === SHARD,
  )
  bench.onHandle = ({ stream }) => (stream === held ? new Promise(() => undefined) : undefined)
  bench.add(held!)
  const parked = () => Object.keys(bench.effects.record(SHARD).parked)
  const parkAndRetry = async (some: readonly string[]): Promise<void> => {
    bench.add(...some)
    for (const stream of some) bench.poison.add(bench.row.find(stream, 1).id)
    const lane = bench.open()
    await bench.until(() => parked().length === some.length || lane.condition === 'halted')
    bench.poison.clear()
    for (const stream of parked()) await bench.operate('retry', { stream })
    await bench.until(() => parked().length === 0)
    await bench.during(lane.close(0))
  }
  await parkAndRetry(streams.slice(0, 900))
  await parkAndRetry(streams.slice(900, 1_000))
  expect(Object.keys(bench.effects.record(SHARD).done!)).toHaveLength(1_000)
  bench.add(streams[1_000]!)
  bench.poison.add(bench.row.find(streams[1_000]!, 1).id)
  const lane = bench.open()
  await bench.until(() => lane.condition === 'halted')
  expect(parked()).toEqual([])
})
