import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import type { Place } from '../../src/log/reign.ts'
import { hash64 } from '../../src/log/stream.ts'
import { Bell } from '../../src/read/bell.ts'
import type { KnownTails } from '../../src/read/known-tails.ts'
import { Strand, type Part } from '../../src/read/strand.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage, type Fault } from '../../src/testing/simulated-storage.ts'
import { openLog, writeEvent } from '../log/noted.ts'

test('whoever goes over to a reading that is further ahead is woken for what that has', async () => {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0, 1])
  await writeEvent(log, 0)
  let { end } = log.head
  const news = new Bell()
  const tails = {
    end: () => end,
    listen: (told: () => void) => {
      void (async () => {
        for (;;) {
          await news.rung()
          told()
        }
      })()
      return () => undefined
    },
  } as unknown as KnownTails
  const [reading, goesOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const start = (isSlow: boolean, onRead: () => void): Strand => {
    const storage = new SimulatedStorage(disk, async ({ name }): Promise<Fault> => {
      if (isSlow && name === 'read') {
        reading.resolve()
        await goesOn.promise
      }
      return 'none'
    })
    const clock = new SimulatedClock()
    const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
    const { journal } = log
    return new Strand({ catalog, clock, tails, keptBytes: () => 100_000, journal, segment: 1, onRead, onEnd: () => {} })
  }
  const part = (shard: number): Part => {
    const from: Place = { segment: 1, offset: 0 }
    return { shard, from, after: 0, until: undefined, bell: new Bell() }
  }
  const ahead = start(false, () => undefined)
  const first = part(0)
  const before = ahead.join(first)!
  await first.bell.rung()
  const behind = start(true, () => ahead.adopt(behind))
  const second = part(1)
  const reader = behind.join(second)!
  await reading.promise
  await writeEvent(log, 1)
  ;({ end } = log.head)
  news.ring()
  while (!before.hasCome(end)) {
    before.take(100_000)
    await setImmediate()
  }
  const woken = second.bell.rung()
  goesOn.resolve()
  await woken
  expect(reader.strand).toBe(ahead)
  expect(reader.take(100_000).events.map(({ seq }) => seq)).toEqual([1])
  before.leave()
  reader.leave()
})
