import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import { hash64 } from '../../src/log/stream.ts'
import { allPages } from '../../src/read/all-feed.ts'
import { BEGINNING, type AllPlace } from '../../src/read/all.ts'
import type { Frontiers } from '../../src/read/frontiers.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { addEvent, openLog } from '../log/noted.ts'

test('up to a place, where events of several shards stand at one position', async () => {
  const disk = new SimulatedDisk()
  const logs = [await openLog(disk, [0]), await openLog(disk, [1])]
  for (const position of [100, 200, 300]) {
    for (const [shard, log] of logs.entries()) {
      addEvent(log, shard, position)
      await log.append(log.cut())
    }
  }
  const frontier = {
    reigns: new Map(logs.map((log, shard) => [shard, log.reigns(shard)])),
    ends: new Map(logs.map(({ head }) => [head.journal, head.end])),
    position: 300,
  }
  const frontiers = { head: async () => 300, beyond: async () => frontier } as unknown as Frontiers
  const clock = new SimulatedClock()
  const catalog = new Catalog({ storage: new SimulatedStorage(disk), clock, cluster: hash64('test', 0), shards: 2 })
  const read = async (until: AllPlace): Promise<string[]> => {
    const options = { after: BEGINNING, until, isLive: false, signal: new AbortController().signal }
    const pages = allPages({ catalog, frontiers }, { ...options, onLoss: () => expect.fail() })
    return (await Array.fromAsync(pages)).flatMap(({ events }) =>
      events.map((event) => `${event.position}.${event.shard}`),
    )
  }
  const all = ['100.0', '100.1', '200.0', '200.1', '300.0', '300.1']
  expect(await read({ position: 200, shard: 0 })).toEqual(all.slice(0, 3))
  expect(await read({ position: 200, shard: 1 })).toEqual(all.slice(0, 4))
  expect(await read({ position: 199, shard: 9 })).toEqual(all.slice(0, 2))
  expect(await read({ position: 400, shard: 0 })).toEqual(all)
  expect(await read(BEGINNING)).toEqual([])
})
