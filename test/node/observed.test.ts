/** What somebody has read may be the cause of what they ask for next: its position goes along with that (I6). */
import { expect, test } from 'vitest'
import { encodePage } from '../../src/actor/page.ts'
import type { RefHost } from '../../src/cluster/ref.ts'
import { IdSource } from '../../src/log/identity.ts'
import type { Log } from '../../src/log/log.ts'
import type { TailSource } from '../../src/log/tail.ts'
import { RunningNodeStore, type NodeStore } from '../../src/node/node-store.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { openLog, streamOf, writeEvent } from '../log/noted.ts'

/** The store over a log that another worker writes, and what of it was observed. */
function storeOver(disk: SimulatedDisk, log: Log) {
  const observed: number[] = []
  const clock = new SimulatedClock()
  const stream = streamOf(log, 0)
  const host: RefHost = {
    ids: new IdSource(clock, new SeededRandom(1)),
    commandBytesMax: 1_000,
    shardOf: (name) => log.placement.shardOf(name),
    send: (_to, _message, outcome) => {
      void Array.fromAsync(log.back(log.placement.stream(stream)), ({ bytes }) => bytes).then((records) => {
        outcome.resolve({
          kind: 'answered',
          value: encodePage(Buffer.concat(records.toReversed()), [], records.length + 1),
        })
      })
    },
    observe: (position) => observed.push(position),
    onTellFailed: () => undefined,
  }
  const tail = async () => ({ ...log.head, ownership: log.ownership, shards: log.openedShards })
  const source: TailSource = { nextTail: tail, tailAbove: tail }
  const identity = { format: 1, clusterId: 'test', name: 'test', shards: 2 } as const
  const options = {
    storage: new SimulatedStorage(disk),
    clock,
    identity,
    aggregates: [],
    workers: () => [source],
    ownWorkers: () => [],
  }
  const store = new RunningNodeStore(host, { ...options, onWarning: () => undefined })
  return { store: store as unknown as NodeStore, stream, observed }
}

test('by reading everything, a stream, and what comes', async () => {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0, 1])
  log.positions.observe(2 ** 50)
  const first = await writeEvent(log, 0)
  await writeEvent(log, 0, { version: 2, previous: first })
  const { store, stream, observed } = storeOver(disk, log)
  const newest = log.head.position
  expect(newest).toBeGreaterThan(2 ** 50)
  for await (const { position } of store.readAll()) expect(observed.at(-1)).toBe(position)
  expect(observed.splice(0)).toEqual([newest - 1, newest])
  await Array.fromAsync(store.readAll({ filter: { types: ['Other'] } }))
  expect(observed, 'what nobody is told causes nothing').toEqual([])
  await Array.fromAsync(store.load(stream))
  expect(observed.splice(0)).toEqual([newest - 1, newest])
  for await (const { version } of store.subscribe({ stream })) if (version === 2) break
  expect(observed).toEqual([newest - 1, newest])
})
