/** A message that fails alone, and what else keeps it from being tried: that counts not against it. */
import { expect, onTestFinished, test } from 'vitest'
import { defineOutbox } from '../../src/index.ts'
import { openOutbox } from '../../src/react/open-outbox.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

const streams = ['a/0', 'a/3', 'a/6', 'a/9', 'a/10']

/** A place that never takes what is of `a/0`, and nothing at all while it is away. */
function open() {
  const bench = new LaneBench()
  const place = { isAway: false, tries: 0 }
  const outbox = defineOutbox({
    name: 'deposits',
    startAt: 'beginning',
    from: 'all',
    map: { Done: () => ({ type: 'done' }) },
    publisher: async (messages) => {
      for (const { stream } of messages) {
        if (stream === 'a/0') place.tries += 1
        if (place.isAway || stream === 'a/0') throw new Error('500')
      }
    },
  })
  const opened = openOutbox(outbox, bench.clock)
  onTestFinished(() => opened.close(() => undefined))
  const { does, retries, onFailure, handlerTimeoutMs } = opened.consumer
  bench.add(...streams)
  bench.open(does, { retries, onFailure, handlerTimeoutMs })
  return { bench, place, parked: () => Object.keys(bench.effects.record(SHARD).parked) }
}

const between: Readonly<Record<string, (world: ReturnType<typeof open>) => Promise<void>>> = {
  'all was away': async ({ bench, place }) => {
    place.isAway = true
    bench.add('a/3', 'a/6')
    await bench.pass(600_000)
    place.isAway = false
  },
  'the outbox was paused': async ({ bench }) => {
    await bench.operate('pause')
    await bench.pass(600_000)
    await bench.operate('resume')
  },
}

test.for(Object.entries(between))(
  'one that alone is not taken is parked once it has failed for its time, in which it does not count that %s',
  async ([, happens]) => {
    const world = open()
    const { bench, place, parked } = world
    await bench.pass(10_000)
    expect(place.tries).toBeGreaterThan(6)
    await happens(world)
    const before = place.tries
    for (let i = 0; i < 12; i += 1) {
      bench.add('a/3')
      await bench.pass(10_000)
      expect(parked()).toEqual([])
    }
    expect(place.tries).toBeGreaterThan(before + 6)
    for (let i = 0; i < 6; i += 1) {
      bench.add('a/3')
      await bench.pass(10_000)
    }
    expect(parked()).toEqual(['a/0'])
  },
)
