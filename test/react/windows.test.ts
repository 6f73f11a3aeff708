import { expect, test } from 'vitest'
import { Bell } from '../../src/read/bell.ts'
import { Room } from '../../src/read/room.ts'
import { shardOf } from '../read/event-row.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

/** All of the shard. */
const STREAMS = Array.from({ length: 200 }, (_, n) => `a/${n}`)
  .filter((stream) => shardOf(stream) === SHARD)
  .slice(0, 20)

test('all lanes of a node have one room for their windows, and one that has nothing goes on without', async () => {
  const room = new Room(20_000)
  const [first, second] = [new LaneBench({}, room), new LaneBench({}, room)]
  for (const bench of [first, second]) {
    bench.row.pageMax = 5
    for (let n = 0; n < 200; n += 1) bench.add(STREAMS[n % STREAMS.length]!)
  }
  let isHeld = true
  first.onHandle = () => (isHeld ? new Promise(() => undefined) : undefined)
  const lane = first.open()
  await first.pass(3_000)
  const { waiting } = await lane.status()
  expect(waiting).toBeGreaterThan(10)
  expect(waiting).toBeLessThanOrEqual(45)
  expect(room.isFor(new Bell())).toBe(false)

  second.open()
  await second.until(() => second.done.length === 200)
  expect(new Set(second.done).size).toBe(200)

  // What it has is given back when it ends, and to whoever begins anew.
  isHeld = false
  await first.during(lane.close(0))
  expect(room.isFor(new Bell())).toBe(true)
  first.open()
  await first.until(() => first.effects.record(SHARD).place!.position >= first.row.find(STREAMS.at(-1)!, 10).position)
  expect(room.isFor(new Bell())).toBe(true)
})

test('where somebody else has gone on, the room of what was read before is given back', async () => {
  const room = new Room(20_000)
  const bench = new LaneBench({}, room)
  const first = Promise.withResolvers<void>()
  bench.onHandle = ({ id }) => (id === `${STREAMS[0]}/1` ? first.promise : new Promise(() => undefined))
  for (let n = 0; n < 200; n += 1) bench.add(STREAMS[n % STREAMS.length]!)
  bench.open()
  await bench.pass(3_000)
  expect(room.isFor(new Bell())).toBe(false)
  // Another is far ahead, so that there is nothing to do for this one.
  const { place } = bench.effects.record(SHARD)
  await bench.operate('advance', { from: place, turn: 0, to: { position: bench.row.head, shard: SHARD } })
  first.resolve()
  await bench.pass(5_000)
  expect(room.isFor(new Bell())).toBe(true)
})
