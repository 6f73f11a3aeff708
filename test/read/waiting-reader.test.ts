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
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { openLog, writeEvent } from '../log/noted.ts'

test('whoever waits for an event to be durable has it also where another reading takes over those that have all', async () => {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0, 1])
  await writeEvent(log, 0)
  let { end } = log.head
  await writeEvent(log, 1)
  await writeEvent(log, 0)
  const seal = log.head.end
  const listeners: (() => void)[] = []
  const tails = {
    end: () => end,
    listen: (listener: () => void) => {
      listeners.push(listener)
      return () => undefined
    },
  } as unknown as KnownTails
  const [storage, clock] = [new SimulatedStorage(disk), new SimulatedClock()]
  const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
  const { journal } = log
  const start = (onRead: () => void): Strand =>
    new Strand({ catalog, clock, tails, keptBytes: () => 100_000, journal, segment: 1, onRead, onEnd: () => {} })
  const part = (shard: number, until?: Place): Part => {
    return { shard, from: { segment: 1, offset: 0 }, after: 0, until, bell: new Bell() }
  }
  const older = start(() => undefined)
  const first = older.join(part(0, seal))!
  for (let turn = 0; turn < 20; turn += 1) await setImmediate()
  expect(first.take(100_000).events.map(({ seq }) => seq)).toEqual([1, 2])
  const strand = start(() => older.adopt(strand))
  const sealed = strand.join(part(0, seal))!
  const waiting = strand.join(part(1))!
  for (let turn = 0; turn < 20; turn += 1) await setImmediate()
  expect(waiting.take(100_000).events).toEqual([])
  end = seal
  for (const listener of listeners) listener()
  for (let turn = 0; turn < 20; turn += 1) await setImmediate()
  expect(waiting.take(100_000).events.map(({ seq }) => seq)).toEqual([1])
  for (const reader of [first, sealed, waiting]) reader.leave()
})
