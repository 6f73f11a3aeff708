import { expect, test } from 'vitest'
import { AttemptsAwaited, UNREAD_MAX, type Attempted } from '../../src/react/attempts-awaited.ts'
import type { Consumer } from '../../src/react/consumer.ts'
import type { ConsumerLane } from '../../src/react/consumer-lane.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

/** Longer than any test lets pass. */
const LONG_MS = 1e9

/** A lane whose handlers do what they are told to, by event, and whoever waits for their first attempts. */
class AwaitedBench extends LaneBench {
  readonly lane: ConsumerLane
  readonly handlers = new Map<string, PromiseWithResolvers<void>>()
  readonly #awaited = new AttemptsAwaited(this.clock)

  constructor(settings: Partial<Consumer> = {}) {
    super(settings)
    this.onHandle = ({ id }) => {
      const handler = Promise.withResolvers<void>()
      this.handlers.set(id, handler)
      return handler.promise
    }
    this.onTried = (stream) => this.#awaited.look(stream)
    this.lane = this.open()
  }

  /** What becomes of the first attempt at an event, once it is known: `of` says so then. */
  awaits(stream: string, version: number, ms = LONG_MS): { of: Attempted | undefined } {
    const { position, seq } = this.row.find(stream, version)
    const told: { of: Attempted | undefined } = { of: undefined }
    const event = { stream, shard: SHARD, version, position, seq }
    void this.#awaited.attempted(stream, ms, () => this.lane.attempted(event)).then((of) => (told.of = of))
    return told
  }
}

// Where no time passes, nothing is known because the lane has done something else by the way.

test('what is done is known at once, and what was done before anybody asked as well', async () => {
  const bench = new AwaitedBench()
  bench.add('a/0', 'a/3')
  const told = bench.awaits('a/0', 1)
  await bench.turns()
  expect(told.of).toBe(undefined)
  bench.handlers.get('a/0/1')!.resolve()
  await bench.turns()
  expect(told.of).toEqual({ kind: 'done' })
  expect(bench.lane.attempted(bench.row.find('a/0', 1))).toEqual({ kind: 'done' })
  expect(bench.lane.attempted(bench.row.find('a/3', 1))).toBe(undefined)
})

test('what has failed is known at once, and so is what waits behind it', async () => {
  const bench = new AwaitedBench()
  bench.add('a/0', 'a/0', 'a/3')
  const [first, second, other] = [bench.awaits('a/0', 1), bench.awaits('a/0', 2), bench.awaits('a/3', 1)]
  await bench.turns()
  bench.handlers.get('a/0/1')!.reject(new Error('no'))
  await bench.turns()
  expect(first.of).toEqual({ kind: 'failed', reason: 'Error: no' })
  expect(second.of).toEqual({
    kind: 'pending',
    reason: 'it waits behind version 1 of a/0, which fails: Error: no',
  })
  expect(other.of).toBe(undefined)
})

test('what is parked, or comes behind it, has failed, for a lane that begins there too', async () => {
  const bench = new AwaitedBench({ retries: 0 })
  bench.add('a/0', 'a/0')
  await bench.turns()
  bench.handlers.get('a/0/1')!.reject(new Error('no'))
  await bench.until(() => bench.effects.record(bench.lane.shard).parked['a/0'] !== undefined)
  const parked = { kind: 'failed', reason: 'version 1 of a/0 is parked, and all behind it' }
  bench.add('a/0')
  const third = bench.awaits('a/0', 3)
  await bench.turns()
  expect(third.of).toEqual(parked)
  await bench.during(bench.lane.close(0))
  const heir = bench.open()
  expect(heir.attempted(bench.row.find('a/0', 1))).toBe(undefined)
  await bench.pass(100)
  for (const version of [1, 2, 3]) expect(heir.attempted(bench.row.find('a/0', version))).toEqual(parked)
  bench.add('a/0')
  expect(heir.attempted(bench.row.find('a/0', 4)), 'it was not read').toBe(undefined)
})

test('what a paused lane does not begin waits for nobody', async () => {
  const bench = new AwaitedBench()
  bench.add('a/0')
  const told = bench.awaits('a/0', 1)
  await bench.turns()
  await bench.operate('pause')
  await bench.turns()
  expect(told.of).toEqual({ kind: 'pending', reason: 'it is paused' })
})

test('nor does what stands behind an event that halts its lane', async () => {
  const bench = new AwaitedBench({ retries: 0, onFailure: 'halt' })
  bench.add('a/0', 'a/3')
  const [first, other] = [bench.awaits('a/0', 1), bench.awaits('a/3', 1)]
  await bench.turns()
  bench.handlers.get('a/0/1')!.reject(new Error('no'))
  await bench.turns()
  expect([first.of?.kind, other.of]).toEqual(['failed', { kind: 'pending', reason: 'it is halted' }])
})

test('nor what a lane leaves', async () => {
  const bench = new AwaitedBench()
  bench.add('a/0')
  const told = bench.awaits('a/0', 1)
  await bench.turns()
  const closed = bench.lane.close(1_000)
  await bench.turns()
  expect(told.of).toEqual({ kind: 'pending', reason: 'its shard has left this node' })
  await bench.during(closed)
})

test('who waits does so for a time', async () => {
  const bench = new AwaitedBench()
  bench.add('a/0')
  const told = bench.awaits('a/0', 1, 500)
  await bench.pass(400)
  expect(told.of).toBe(undefined)
  await bench.pass(200)
  expect(told.of).toEqual({ kind: 'pending', reason: 'it was not done in time' })
})

test('nobody waits for what a lane cannot come to soon', async () => {
  const bench = new AwaitedBench({ concurrency: 1 })
  bench.row.pageMax = 100
  for (let n = 0; n < 1_000; n += 1) bench.add('a/0')
  await bench.pass(500)
  for (let n = 1; n < UNREAD_MAX; n += 1) bench.row.add('Other', 'a/0')
  bench.add('a/3', 'a/6')
  const [near, far] = [bench.awaits('a/3', 1), bench.awaits('a/6', 1)]
  await bench.turns()
  expect([near.of, far.of]).toEqual([
    undefined,
    { kind: 'pending', reason: `it has ${UNREAD_MAX + 1} events of the shard to read before` },
  ])
})
