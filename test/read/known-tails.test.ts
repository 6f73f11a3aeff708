import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import { hash64 } from '../../src/log/stream.ts'
import type { Tail, TailSource } from '../../src/log/tail.ts'
import { KnownTails, type News } from '../../src/read/known-tails.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'

function tailOf(offset: number, ownership = 1, shards: readonly number[] = [0]): Tail {
  const opening = { segment: 1, offset: 0 }
  return {
    journal: 1,
    end: { segment: 1, offset },
    position: offset,
    ownership,
    shards: shards.map((shard) => ({ shard, epoch: 1, opening, position: offset })),
  }
}

/** One worker, which answers when it is made to. */
function start() {
  const clock = new SimulatedClock()
  const catalog = new Catalog({
    storage: new SimulatedStorage(new SimulatedDisk()),
    clock,
    cluster: hash64('test', 0),
    shards: 2,
  })
  const asked: ((tail: Tail | undefined) => void)[] = []
  const source: TailSource = {
    nextTail: () => new Promise((resolve) => asked.push(resolve)),
    tailAbove: () => Promise.reject(new Error('not asked')),
  }
  const workers = { list: [source] }
  const tails = new KnownTails({ catalog, clock, workers: () => workers.list })
  const pass = async (): Promise<void> => {
    for (let i = 0; i < 10; i += 1) await setImmediate()
    clock.advance(500)
    for (let i = 0; i < 10; i += 1) await setImmediate()
  }
  return { clock, asked, workers, tails, pass }
}

test('who listens is told that there is more, and that other shards are served, until they leave', async () => {
  const { asked, workers, tails, pass } = start()
  const told: News[] = []
  await pass()
  expect(asked).toEqual([])
  const stop = tails.listen((news) => told.push(news))
  for (const tail of [tailOf(100), tailOf(200), tailOf(200), tailOf(300, 2, [0, 1])]) {
    asked.at(-1)!(tail)
    await pass()
  }
  expect(told).toEqual(['moved', 'durable', 'moved'])
  expect(tails.owner(1)?.tail.end).toEqual({ segment: 1, offset: 300 })
  asked.at(-1)!(undefined)
  await pass()
  expect(told.splice(0)).toHaveLength(4)
  expect([tails.owner(0), tails.end(1)]).toEqual([undefined, undefined])
  asked.at(-1)!(tailOf(300, 2))
  await pass()
  workers.list = []
  await pass()
  expect(told.splice(0)).toEqual(['moved', 'moved'])
  stop()
  await pass()
  const { length } = asked
  await pass()
  expect(asked).toHaveLength(length)
})

test('answers that overtake each other take nothing back', async () => {
  const { asked, tails, pass } = start()
  const all = tails.askAll()
  void tails.news(new AbortController().signal)
  const [first, second] = asked
  second!(tailOf(200))
  first!(tailOf(100))
  await all
  await pass()
  expect(tails.end(1)).toEqual({ segment: 1, offset: 200 })
})
