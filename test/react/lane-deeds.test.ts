/** What somebody wants of a lane while something else is under way there. */
import { expect, test } from 'vitest'
import { LaneBench, SHARD } from './lane-bench.ts'

async function parked(bench: LaneBench): Promise<void> {
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] !== undefined)
}

test('a pause that could not be read at first is obeyed', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.add('a/0')
  const lane = bench.open()
  await bench.until(() => bench.done.length === 1)
  await bench.pass(3_000)
  const before = bench.effects.onRecorded
  bench.effects.onRecorded = (stream, type) => {
    before(stream, type)
    if (type === 'Paused') bench.effects.faults.push('before')
  }
  await bench.operate('pause')
  await bench.pass(10_000)
  expect(lane.condition).toBe('paused')
})

test('a pause holds what is tried again, too, until it is resumed', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.poison.add('a/0/1')
  bench.add('a/0', 'a/0')
  const lane = bench.open()
  await parked(bench)
  bench.poison.clear()
  const first = Promise.withResolvers<void>()
  bench.onHandle = () => first.promise
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.begun.length === 2)
  await bench.operate('pause')
  await bench.until(() => lane.condition === 'paused')
  first.resolve()
  await bench.pass(60_000)
  expect(bench.begun).toHaveLength(2)
  await bench.operate('resume')
  await bench.until(() => bench.done.length === 2)
})

test('a lane that is closed while it loads begins nothing', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.poison.add('a/0/1')
  bench.add('a/0')
  const one = bench.open()
  await parked(bench)
  await bench.during(one.close(0))
  bench.poison.clear()
  await bench.operate('retry', { stream: 'a/0' })
  const query = bench.effects.query.bind(bench.effects)
  const gate = Promise.withResolvers<void>()
  bench.effects.query = async (question) => {
    await gate.promise
    return await query(question)
  }
  const two = bench.open()
  await bench.turns()
  await bench.during(two.close(0))
  const begun = bench.begun.length
  gate.resolve()
  await bench.pass(3_000)
  expect(bench.begun).toHaveLength(begun)
})

test('what is resumed while an event is being parked does not begin that event', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.add('a/3')
  bench.open()
  await bench.until(() => bench.done.length === 1)
  bench.poison.add('a/0/1')
  bench.add('a/0', 'a/0')
  const ask = bench.effects.ask.bind(bench.effects)
  const gate = Promise.withResolvers<void>()
  bench.effects.ask = async (command) => {
    if (command.name === 'park') await gate.promise
    return await ask(command)
  }
  await bench.until(() => bench.begun.includes('a/0/1'))
  bench.poison.clear()
  await bench.operate('resume')
  bench.add('a/0')
  await bench.pass(3_000)
  gate.resolve()
  await parked(bench)
  expect(bench.begun).toEqual(['a/3/1', 'a/0/1'])
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.done.length === 4)
  expect(bench.done).toEqual(['a/3/1', 'a/0/1', 'a/0/2', 'a/0/3'])
})
