import { expect, test } from 'vitest'
import { Departures, type Move } from '../../src/cluster/departures.ts'
import type { Member } from '../../src/cluster/leases.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

const move = (shard: number, { worker = 0, heir = 'b' } = {}): Move => {
  return { shard, worker, to: { member: heir, worker: 0 } }
}

const moves = (count: number, heirs: readonly string[]): Move[] =>
  Array.from({ length: count }, (_, shard) => move(shard, { heir: heirs[shard % heirs.length]! }))

function start() {
  const clock = new SimulatedClock()
  const departures = new Departures(clock)
  /** The shards that leave next of these. */
  const begin = (...waiting: readonly Move[]): readonly number[] | undefined =>
    departures.begin(() => waiting)?.moves.map(({ shard }) => shard)
  /** They begin, and are nobody's at once. */
  const leave = (...waiting: readonly Move[]): readonly number[] | undefined => {
    const departure = departures.begin(() => waiting)
    if (departure !== undefined) departures.left(departure)
    return departure?.moves.map(({ shard }) => shard)
  }
  return { clock, departures, begin, leave }
}

test('one shard at a time: the next may leave once somebody serves the one before', () => {
  const { departures, begin } = start()
  const first = departures.begin(() => [move(3), move(4)])!
  expect(departures.leaving).toEqual([3])
  expect(begin(move(4, { worker: 1, heir: 'c' }))).toBeUndefined()
  // What is served elsewhere before it has left here is an older story.
  expect(departures.arrived([3])).toBe(false)
  departures.left(first)
  expect(departures.leaving).toEqual([])
  expect(departures.arrived([4])).toBe(false)
  expect(begin(move(4, { worker: 1, heir: 'c' }))).toBeUndefined()
  expect(departures.arrived([4, 3])).toBe(true)
  expect(begin(move(4, { worker: 1, heir: 'c' }))).toEqual([4])
})

test('an heir that does not take a shard up keeps its own waiting for a second, and those of others for a moment', () => {
  const { clock, begin, leave } = start()
  leave(move(1))
  clock.advance(249)
  expect(begin(move(3, { heir: 'c' }))).toBeUndefined()
  clock.advance(1)
  expect(leave(move(2), move(3, { heir: 'c' }))).toEqual([3])
  clock.advance(749)
  expect(begin(move(2))).toBeUndefined()
  clock.advance(1)
  expect(begin(move(2))).toEqual([2])
})

test('nobody waits for an heir that was waited for in vain, until it serves a shard', () => {
  const { clock, departures, begin, leave } = start()
  leave(move(1))
  clock.advance(1_000)
  expect(leave(move(2), move(3, { heir: 'c' }))).toEqual([2])
  expect(leave(move(3, { heir: 'c' }))).toEqual([3])
  departures.arrived([2, 3])
  expect(leave(move(4))).toEqual([4])
  expect(begin(move(5, { heir: 'c' }))).toBeUndefined()
})

test('a worker that hangs gives up no other shard, and keeps other workers waiting for a moment', () => {
  const { clock, departures, begin } = start()
  begin(move(1))
  clock.advance(249)
  expect(begin(move(2, { worker: 1 }))).toBeUndefined()
  clock.advance(1)
  expect(begin(move(3), move(2, { worker: 1 }))).toEqual([2])
  expect(departures.leaving).toEqual([1, 2])
})

interface Drain {
  readonly heirs: readonly string[]
  readonly hanging?: string
  readonly leaveBy?: number
  /** How long a departure of so many takes. */
  readonly tookMs: (count: number) => number
}

/** Shards leave until there is none, or none may; how many at a time, and when the last has arrived. */
function drain(count: number, { heirs, hanging, leaveBy, tookMs }: Drain) {
  const { clock, departures } = start()
  const sizes: number[] = []
  let rest = moves(count, heirs)
  const isDone = (): boolean => rest.every(({ to }) => to.member === hanging)
  while (!isDone() && clock.monotonic() < 600_000) {
    const departure = departures.begin(() => rest, leaveBy)
    if (departure === undefined) {
      clock.advance(50)
      continue
    }
    const leaving = new Set(departure.moves)
    rest = rest.filter((waiting) => !leaving.has(waiting))
    departures.left(departure)
    if (departure.heir === hanging) continue
    sizes.push(leaving.size)
    clock.advance(tookMs(leaving.size))
    departures.arrived(departure.moves.map(({ shard }) => shard))
  }
  return { sizes, endedAt: clock.monotonic(), isDone: isDone() }
}

test('where there is time shards leave one by one, however many they are', () => {
  const took = { heirs: ['b', 'c'], tookMs: () => 20 }
  expect(new Set(drain(64, { ...took, leaveBy: 30_000 }).sizes)).toEqual(new Set([1]))
  expect(new Set(drain(1_000, took).sizes)).toEqual(new Set([1]))
})

test.for([
  { name: 'together costs no more', tookMs: () => 20 },
  { name: 'each costs something', tookMs: (count: number) => 15 + 4 * count },
])('where many would not fit into the time, several leave together: $name', ({ tookMs }) => {
  const { sizes, endedAt, isDone } = drain(2_000, { heirs: ['b', 'c', 'd'], leaveBy: 15_000, tookMs })
  expect(isDone).toBe(true)
  expect(endedAt).toBeLessThan(15_000)
  expect(Math.max(...sizes)).toBeLessThan(64)
  // The last ones have time again.
  expect(sizes.at(-1)).toBe(1)
})

test('an heir that hangs holds up the others for a moment once', () => {
  const took = { heirs: ['b', 'c'], tookMs: () => 20 }
  const alone = drain(100, { ...took, heirs: ['b'], leaveBy: 30_000 })
  const beside = drain(200, { ...took, hanging: 'c', leaveBy: 30_000 })
  expect(beside.isDone).toBe(true)
  expect(beside.sizes).toEqual(alone.sizes)
  expect(beside.endedAt - alone.endedAt).toBeLessThanOrEqual(300)
})

test('that an heir was late is forgotten with its membership', () => {
  const { clock, departures, begin, leave } = start()
  const others = (...ids: string[]) => ({ members: ids.map((id) => ({ id }) as Member) })
  for (let shard = 0; shard < 2; shard += 1) {
    leave(move(shard))
    clock.advance(1_000)
    departures.see(others('b', 'c'))
  }
  leave(move(2))
  expect(begin(move(3, { heir: 'c' })), 'nobody waits for it').toEqual([3])
  clock.advance(1_000)
  expect(begin()).toBeUndefined()
  departures.see(others('c'))
  departures.see(others('b', 'c'))
  leave(move(4, { worker: 1 }))
  expect(begin(move(5, { worker: 2, heir: 'c' }))).toBeUndefined()
})
