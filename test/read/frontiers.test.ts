import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import { hash64 } from '../../src/log/stream.ts'
import type { Tail, TailSource } from '../../src/log/tail.ts'
import { Frontiers } from '../../src/read/frontiers.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { openLog } from '../log/noted.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A log's worker, which has at first said nothing. */
async function start() {
  const [disk, clock, warnings] = [new SimulatedDisk(), new SimulatedClock(), [] as string[]]
  const logs = [await openLog(disk, [0]), await openLog(disk, [1])]
  const asked: [worker: number, position: number][] = []
  const tailOf = (worker: number): Tail => {
    const { journal, end, position } = logs[worker]!.head
    return { journal, end, position, ownership: logs[worker]!.ownership, shards: logs[worker]!.openedShards }
  }
  const sources = logs.map((log, worker): TailSource => {
    return {
      nextTail: async () => (await turn(), tailOf(worker)),
      tailAbove: async (position) => {
        asked.push([worker, position])
        log.mark(position)
        await log.append(log.cut())
        return tailOf(worker)
      },
    }
  })
  const catalog = new Catalog({ storage: new SimulatedStorage(disk), clock, cluster: hash64('test', 0), shards: 2 })
  const workers = { list: sources as readonly TailSource[] }
  const onWarning = (message: string): void => void warnings.push(message)
  const frontiers = new Frontiers({ catalog, clock, shards: 2, workers: () => workers.list, onWarning })
  return { frontiers, logs, sources, workers, asked, clock, warnings }
}

test('a frontier reaches as far as all owners have promised, and those that are behind are asked', async () => {
  const { frontiers, logs, asked } = await start()
  const { signal } = new AbortController()
  expect(await frontiers.head(signal)).toBe(0)
  logs[0]!.mark(500)
  await logs[0]!.append(logs[0]!.cut())
  expect(await frontiers.head(signal)).toBe(500)
  const frontier = await frontiers.beyond(0, signal)
  expect(asked).toEqual([[1, 500]])
  expect(frontier?.position).toBe(500)
  expect(new Set(frontier!.reigns.keys())).toEqual(new Set([0, 1]))
  expect(frontier!.ends.get(logs[0]!.journal)).toEqual(logs[0]!.head.end)
})

test('for shards that nobody serves readers wait, an operator is told, once, and a signal ends it', async () => {
  const { frontiers, sources, workers, clock, warnings } = await start()
  workers.list = sources.slice(0, 1)
  const stop = new AbortController()
  const [head, beyond] = [frontiers.head(stop.signal), frontiers.beyond(0, stop.signal)]
  for (let ms = 0; ms < 30_000; ms += 500) {
    clock.advance(500)
    for (let i = 0; i < 5; i += 1) await turn()
  }
  expect(warnings).toEqual([expect.stringMatching(/waits for 1 of 2 shards, which nobody serves: 1\./)])
  stop.abort()
  clock.advance(500)
  expect(await Promise.all([head, beyond])).toEqual([undefined, undefined])
  workers.list = sources
  await frontiers.head(new AbortController().signal)
  expect(warnings[1]).toMatch(/every shard is served again/)
  expect(warnings).toHaveLength(2)
})

test('shards that change hands one after the other, each for a moment, are nothing to tell', async () => {
  const { frontiers, sources, workers, clock, warnings } = await start()
  const { signal } = new AbortController()
  const all = workers.list
  // Whoever waits for one shard alone does not see when the other is back.
  for (const away of [1, 0]) {
    workers.list = all
    await frontiers.head(signal)
    workers.list = sources.filter((_, worker) => worker !== away)
    await frontiers.newest([1 - away], signal)
    clock.advance(30_000)
  }
  workers.list = sources.slice(0, 1)
  const waiting = frontiers.head(signal)
  for (let ms = 0; ms < 30_000; ms += 500) {
    // They leave in turn, for 5 s each.
    workers.list = [sources[Math.floor(ms / 5_000) % 2]!]
    clock.advance(500)
    for (let i = 0; i < 5; i += 1) await turn()
  }
  expect(warnings).toEqual([])
  workers.list = sources
  await waiting
})
