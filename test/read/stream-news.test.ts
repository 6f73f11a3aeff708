import { expect, onTestFinished, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import type { Log } from '../../src/log/log.ts'
import { hash64 } from '../../src/log/stream.ts'
import type { Owner } from '../../src/read/known-tails.ts'
import { StreamNews, type Follower } from '../../src/read/stream-news.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { openLog, streamOf, writeEvent } from '../log/noted.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

interface Following extends Follower {
  /** Since it was asked last. */
  readonly woken: () => Promise<boolean>
}

/** The owners' workers, who tell when they are made to. */
function start() {
  const disk = new SimulatedDisk()
  const told = { owners: new Map<number, Owner>(), onNews: (): void => undefined }
  const tails = {
    owners: () => told.owners,
    news: () => new Promise<void>((resolve) => (told.onNews = resolve)),
  }
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const storage = new SimulatedStorage(disk)
  const catalog = new Catalog({ storage, clock: new SimulatedClock(), cluster: hash64('test', 0), shards: 2 })
  const shards = new Map<string, number>()
  const shardOf = (stream: string): number => shards.get(stream)!
  const news = new StreamNews({ catalog, tails, shardOf, signal: stop.signal })
  /** It has told, which nobody has noticed yet. */
  const heard = (log: Log): void => {
    const { journal, end, position } = log.head
    const tail = { journal, end, position, ownership: log.ownership, shards: log.openedShards }
    for (const opened of log.openedShards) told.owners.set(opened.shard, { ...opened, tail } as Owner)
  }
  return {
    disk,
    stop,
    heard,
    /** No owner is heard of any more. */
    loseSight: async (): Promise<void> => {
      told.owners.clear()
      told.onNews()
      for (let i = 0; i < 20; i += 1) await turn()
    },
    tell: async (log: Log): Promise<void> => {
      await turn()
      heard(log)
      told.onNews()
      for (let i = 0; i < 20; i += 1) await turn()
    },
    follow: (log: Log, shard: number): Following => {
      const stream = streamOf(log, shard)
      shards.set(stream, shard)
      const follower = news.follow(stream)
      let calls = 0
      let known = 0
      const next = async (): Promise<void> => {
        if (await follower.next(stop.signal)) calls += 1
      }
      let waiting: Promise<void> | undefined
      return {
        ...follower,
        async woken() {
          waiting ??= next().finally(() => (waiting = undefined))
          for (let i = 0; i < 20; i += 1) await turn()
          const isWoken = calls > known
          known = calls
          return isWoken
        },
      }
    },
  }
}

test('a follower is woken once for what its stream gets, and not for what others get', async () => {
  const { disk, tell, follow } = start()
  const log = await openLog(disk, [0, 1])
  await tell(log)
  const [zero, one] = [follow(log, 0), follow(log, 1)]
  expect([await zero.woken(), await one.woken()], 'it may have got something meanwhile').toEqual([true, true])
  expect([await zero.woken(), await one.woken()]).toEqual([false, false])
  await writeEvent(log, 0)
  await writeEvent(log, 0)
  await tell(log)
  expect([await zero.woken(), await one.woken()]).toEqual([true, false])
  expect([await zero.woken(), await one.woken()]).toEqual([false, false])
  log.rollOver()
  await log.append(log.cut())
  await writeEvent(log, 1)
  await tell(log)
  expect([await zero.woken(), await one.woken()]).toEqual([false, true])
})

test('what comes while nobody waits, or before others follow, is not overheard', async () => {
  const { disk, heard, tell, follow } = start()
  const log = await openLog(disk, [0, 1])
  const zero = follow(log, 0)
  await tell(log)
  expect(await zero.woken()).toBe(true)
  await writeEvent(log, 0)
  heard(log)
  const one = follow(log, 1)
  expect([await zero.woken(), await one.woken()]).toEqual([true, true])
  one.close()
  await tell(log)
  await writeEvent(log, 0)
  await tell(log)
  expect(await zero.woken()).toBe(true)
})

test('where a shard gets another owner its followers look, and hear of what that one writes', async () => {
  const { disk, tell, follow } = start()
  const [before, heir] = [await openLog(disk, [0]), await openLog(disk, [1])]
  const zero = follow(before, 0)
  await tell(before)
  await tell(heir)
  expect(await zero.woken()).toBe(true)
  const address = await writeEvent(before, 0)
  for (const inheritance of await heir.inherit([0])) {
    heir.open(inheritance)
    await heir.append(heir.cut())
    await heir.serve(inheritance)
  }
  expect(await zero.woken()).toBe(false)
  await tell(heir)
  expect(await zero.woken()).toBe(true)
  expect(await zero.woken()).toBe(false)
  await writeEvent(heir, 0, { version: 2, previous: address })
  await tell(heir)
  expect(await zero.woken()).toBe(true)
})

test('it ends with its signal', async () => {
  const { disk, stop, follow } = start()
  const zero = follow(await openLog(disk, [0]), 0)
  const next = zero.next(stop.signal)
  stop.abort()
  expect(await next).toBe(false)
})

test('what an owner wrote while it was not heard of is news when it is again', async () => {
  const { disk, loseSight, tell, follow } = start()
  const log = await openLog(disk, [0, 1])
  await tell(log)
  const follower = follow(log, 0)
  expect(await follower.woken()).toBe(true)
  expect(await follower.woken()).toBe(false)
  await loseSight()
  await writeEvent(log, 0)
  await tell(log)
  expect(await follower.woken()).toBe(true)
})
