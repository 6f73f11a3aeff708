import { expect, test } from 'vitest'
import { EventFailed } from '../../src/react/consumer.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

test('of many, a parked one that is retried waits while what it goes to is away, and fails only where it is its own fault', async () => {
  const bench = new LaneBench({ retries: 0 })
  let away = 0
  bench.poison.add('a/0/1')
  bench.add('a/0', 'a/0')
  bench.open({
    most: 10,
    many: async (events) => {
      if (away > 0) {
        away -= 1
        throw new Error('it is away')
      }
      for (const event of events) {
        if (bench.poison.has(event.id)) throw new EventFailed(event, new Error(`${event.id} is poison`))
        bench.done.push(event.id)
      }
    },
  })
  const parked = () => bench.effects.record(SHARD).parked['a/0']
  await bench.until(() => parked()?.reason === 'Error: a/0/1 is poison')
  away = 2
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => parked()?.isAsked === false)
  expect(parked()).toMatchObject({ version: 1, reason: 'Error: a/0/1 is poison', failures: 2 })
  expect(away).toBe(0)
  away = 2
  bench.poison.clear()
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => parked() === undefined)
  expect(bench.done).toEqual(['a/0/1', 'a/0/2'])
})
