import { expect, test } from 'vitest'
import { LaneBench, SHARD } from './lane-bench.ts'

test.each(['it comes', 'what stands before it is done'])(
  'an event that comes as its stream is unparked is begun, in whichever turn of the two: %s first',
  async (first) => {
    for (let turns = 0; turns < 80; turns += 1) {
      const bench = new LaneBench({ retries: 0 })
      bench.poison.add('a/0/1')
      bench.add('a/0')
      bench.open()
      const isParked = (): boolean => bench.effects.record(SHARD).parked['a/0'] !== undefined
      await bench.until(isParked)
      bench.poison.clear()
      const { promise, resolve: done } = Promise.withResolvers<void>()
      bench.onHandle = ({ id }) => (id === 'a/0/1' ? promise : undefined)
      await bench.operate('retry', { stream: 'a/0' })
      await bench.until(() => bench.begun.length === 2)
      await bench.pass(1_000)
      const both = [() => void bench.add('a/0'), () => done()]
      if (first !== 'it comes') both.reverse()
      both[0]!()
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
      both[1]!()
      await bench.until(() => !isParked())
      bench.add('a/0')
      await bench.until(() => bench.done.includes('a/0/3'))
      expect(bench.done, `${turns} turns later`).toEqual(['a/0/1', 'a/0/2', 'a/0/3'])
    }
  },
)
