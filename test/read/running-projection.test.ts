import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { placeOf } from './event-row.ts'
import { ConnectionLost } from './faulty-store.ts'
import { ProjectionBench } from './projection-bench.ts'

test('what is there and what comes is seen, and how far it has come is told', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1', 'a/2', 'a/1')
  const projection = await bench.open()
  await bench.pass(50)
  bench.add('a/2')
  bench.row.add('Ignored', 'a/2')
  await bench.until(async () => (await projection.status()).state === 'caught up')
  expect(bench.seen()).toEqual(['a/1/1', 'a/2/1', 'a/1/2', 'a/2/2'])
  expect(await projection.status()).toMatchObject({
    name: 'seen',
    generation: 1,
    lag: { positions: 0, ms: 0 },
    events: 4,
    parkedStreams: 0,
    lanes: [{ lane: 'all', place: { position: bench.row.head }, head: bench.row.head }],
  })
  await projection.close()
})

test('many events are committed together, up to the batch, and nobody waits for a batch to be full', async () => {
  const bench = new ProjectionBench({ batchMax: 250 })
  bench.row.pageMax = 1_000
  for (let n = 0; n < 1_000; n += 1) bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1_000)
  expect(bench.store.commits).toBeGreaterThanOrEqual(4)
  expect(bench.store.commits).toBeLessThanOrEqual(5)
  bench.add('a/1')
  // No time passes.
  for (let turn = 0; turn < 20; turn += 1) await setImmediate()
  expect(bench.seen().length).toBe(1_001)
  await projection.close()
})

test('what comes in while a batch is committed is one batch', async () => {
  const bench = new ProjectionBench()
  bench.row.pageMax = 1
  const projection = await bench.open()
  await bench.pass(50)
  bench.store.faults = ['slow']
  for (let n = 0; n < 50; n += 1) bench.add('a/1')
  await bench.until(() => bench.seen().length === 50)
  expect(bench.store.commits).toBeLessThan(10)
  await projection.close()
})

test('a handler that fails is retried alone, after longer and longer, and then halts its lane', async () => {
  const bench = new ProjectionBench({ retries: 3 })
  bench.row.pageMax = 10
  bench.add('a/1', 'a/2', 'a/3')
  bench.poison.add('a/2/1')
  const projection = await bench.open()
  await bench.pass(50)
  expect(bench.seen()).toEqual(['a/1/1'])
  expect(await projection.status()).toMatchObject({
    state: 'waiting',
    trouble: 'Error: a/2/1 is poison',
    lanes: [{ trouble: { attempts: 1, event: { stream: 'a/2', version: 1, type: 'Done' } } }],
  })
  bench.calls.length = 0
  await bench.pass(100 + 200 + 400)
  expect(bench.calls).toEqual(['a/2/1', 'a/2/1', 'a/2/1'])
  expect(await projection.status()).toMatchObject({
    state: 'halted',
    trouble: expect.stringContaining(`cannot handle 'Done', version 1 of a/2: Error: a/2/1 is poison.`) as string,
    lanes: [{ state: 'halted', trouble: { attempts: 4, event: { stream: 'a/2' } } }],
  })
  expect(bench.warnings).toEqual([expect.stringContaining('It stands still before this event')])
  await bench.pass(60_000)
  expect(bench.calls).toHaveLength(3)
  bench.poison.clear()
  await projection.resume()
  await bench.until(() => bench.seen().length === 3)
  expect(bench.seen()).toEqual(['a/1/1', 'a/2/1', 'a/3/1'])
  await projection.close()
})

test('a handler that fails because its store is away has not failed', async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park' })
  const projection = await bench.open()
  await bench.pass(50)
  bench.onHandle = () => {
    bench.store.isAway = true
    throw new ConnectionLost('a statement of the handler')
  }
  bench.add('a/1')
  await bench.pass(30_000)
  expect(await projection.status()).toMatchObject({ state: 'waiting', lanes: [{ state: 'waiting' }] })
  bench.onHandle = () => undefined
  bench.store.isAway = false
  await bench.until(() => bench.seen().length === 1)
  expect(await projection.parked()).toEqual([])
  await projection.close()
})

test('a store that is away is waited for, for as long as it takes, and this is told', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  bench.store.isAway = true
  bench.add('a/1')
  await bench.pass(3_600_000)
  const { state, trouble, lanes } = await projection.status()
  expect({ state, trouble }).toEqual({ state: 'waiting', trouble: 'ConnectionLost: the store is away' })
  expect(lanes[0]!.stillMs).toBeGreaterThanOrEqual(3_600_000)
  expect(lanes[0]!.trouble!.attempts).toBeGreaterThan(300)
  expect(lanes[0]!.lag!.positions).toBeGreaterThan(0)
  expect(bench.warnings[0]).toContain('waits and tries again: ConnectionLost')
  bench.store.isAway = false
  await bench.until(() => bench.seen().length === 2)
  expect((await projection.status()).trouble).toBeUndefined()
  await projection.close()
})

test('a feed that fails is opened anew; where nothing comes, all is well again at once', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  bench.row.failures = 3
  bench.row.changed.ring()
  await bench.pass(50)
  expect(await projection.status()).toMatchObject({ state: 'waiting', trouble: 'Error: the feed fails' })
  await bench.until(async () => (await projection.status()).state === 'caught up')
  bench.add('a/1')
  await bench.until(() => bench.seen().length === 2)
  await projection.close()
})

test('a feed that ends is opened anew', async () => {
  const bench = new ProjectionBench()
  const projection = await bench.open()
  await bench.pass(50)
  bench.row.endings = 1
  bench.row.changed.ring()
  await bench.pass(50)
  expect((await projection.status()).trouble).toContain('the feed has ended')
  bench.add('a/1')
  await bench.until(() => bench.seen().length === 1)
  await projection.close()
})

test('who does not know how far the log goes does not claim to have caught up', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  bench.row.isHeadless = true
  const status = await projection.status()
  expect(status).toMatchObject({ state: 'waiting', trouble: `the log's head is not known: Error: the log is away` })
  expect(status.lag).toBeUndefined()
  await projection.close()
})

test('a feed that gives an event twice halts the projection', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1', 'a/1', 'a/1', 'a/1')
  bench.row.bend = (event) =>
    event.version === 3 ? { ...event, ...placeOf({ position: event.position - 4096, shard: event.shard }) } : event
  bench.row.pageMax = 10
  const projection = await bench.open()
  await bench.until(async () => (await projection.status()).state === 'halted')
  expect(bench.warnings).toEqual([expect.stringContaining('comes behind position')])
  bench.row.bend = (event) => event
  await projection.resume()
  await bench.until(() => bench.seen().length === 4)
  expect(bench.seen()).toEqual(['a/1/1', 'a/1/2', 'a/1/3', 'a/1/4'])
  await projection.close()
})

test('a lane takes no events of other shards', async () => {
  const bench = new ProjectionBench({ order: 'shard' })
  bench.row.bend = (event) => ({ ...event, shard: 2 })
  bench.add('a/0')
  const projection = await bench.open(['0'])
  await bench.until(async () => (await projection.status()).state === 'halted')
  expect(bench.warnings.at(-1)).toContain('is not of this lane')
  await projection.close()
})

test('paused, it stays so, whoever runs it next; others that have it open notice', async () => {
  const bench = new ProjectionBench()
  const one = await bench.open()
  const other = await bench.open([])
  await one.pause()
  bench.add('a/1')
  await bench.pass(2_000)
  await one.close()
  await other.run(['all'])
  const next = await bench.open([])
  await bench.pass(60_000)
  expect((await other.status()).state).toBe('paused')
  expect(bench.seen()).toEqual([])
  await other.close()
  await next.run(['all'])
  await bench.pass(60_000)
  expect((await next.status()).state).toBe('paused')
  const third = await bench.open([])
  await third.resume()
  await bench.until(() => bench.seen().length === 1)
  await next.close()
  await third.close()
})

test('paused a moment ago, it does not begin elsewhere, nor while the store does not say', async () => {
  const bench = new ProjectionBench()
  const one = await bench.open()
  const other = await bench.open([])
  await one.pause()
  bench.add('a/1')
  const running = other.run(['all'])
  await bench.pass(0)
  await running
  await bench.pass(500)
  expect(bench.seen()).toEqual([])
  await other.run([])
  await one.resume()
  await bench.until(() => bench.seen().length === 1)
  await bench.pass(2_000)
  await one.close()
  bench.add('a/1')
  bench.store.isAway = true
  await other.run(['all'])
  await bench.pass(500)
  expect(other.condition).toMatchObject({ state: 'waiting' })
  bench.store.isPaused = true
  bench.store.isAway = false
  await bench.pass(10_000)
  expect([bench.seen().length, (await other.status()).state]).toEqual([1, 'paused'])
  await other.close()
})

test('whoever takes lanes over does not go by what was asked before', async () => {
  const bench = new ProjectionBench()
  const one = await bench.open()
  const other = await bench.open([])
  await bench.pass(50)
  const gates: (() => void)[] = []
  bench.store.onControl = () => new Promise((resolve) => gates.push(resolve))
  await bench.pass(1_000)
  const gated = bench.store.onControl
  bench.store.onControl = () => Promise.resolve()
  await one.run([])
  bench.store.isPaused = true
  bench.add('a/1')
  // The lane asks in which order it is; and then it is asked anew whether it is paused.
  void other.run(['all'])
  await setImmediate()
  bench.store.onControl = gated
  expect(gates).toHaveLength(2)
  for (const tell of gates) tell()
  await bench.pass(500)
  expect(bench.seen()).toEqual([])
  bench.store.onControl = () => Promise.resolve()
  for (const tell of gates) tell()
  await bench.pass(2_000)
  expect(other.condition).toMatchObject({ state: 'paused' })
  expect(bench.seen()).toEqual([])
  await one.close()
  await other.close()
})

test('paused, it ends the batch under way and begins no other', async () => {
  const bench = new ProjectionBench({ batchMax: 1 })
  const projection = await bench.open()
  await bench.pass(50)
  let letGo = (): void => undefined
  bench.onHandle = () => new Promise((resolve) => (letGo = resolve))
  bench.add('a/1', 'a/2')
  await bench.until(() => bench.calls.length === 1)
  let isPaused = false
  const pausing = projection.pause().then(() => (isPaused = true))
  await bench.pass(1_000)
  expect(isPaused).toBe(false)
  bench.onHandle = () => undefined
  letGo()
  await pausing
  expect(bench.seen()).toEqual(['a/1/1'])
  expect((await projection.status()).state).toBe('paused')
  await bench.pass(60_000)
  expect(bench.seen()).toEqual(['a/1/1'])
  await projection.resume()
  await bench.until(() => bench.seen().length === 2)
  await projection.close()
})

test('paused, an event that has failed is not tried again', async () => {
  const bench = new ProjectionBench()
  bench.poison.add('a/1/1')
  const projection = await bench.open()
  bench.add('a/1')
  await bench.until(() => bench.calls.length === 2)
  await projection.pause()
  await bench.pass(60_000)
  expect(bench.calls).toHaveLength(2)
  await projection.close()
})

test('an event that fails once is committed alone', async () => {
  const bench = new ProjectionBench({ retries: 1 })
  bench.row.pageMax = 10
  bench.poison.add('a/1/1').add('a/1/2')
  const projection = await bench.open()
  bench.add('a/1', 'a/1')
  await bench.until(() => bench.calls.length === 1)
  bench.poison.delete('a/1/1')
  await bench.until(async () => (await projection.status()).state === 'halted')
  expect(bench.calls).toEqual(['a/1/1', 'a/1/1', 'a/1/2', 'a/1/2'])
  await projection.close()
})

test('closed, it ends the batch under way', async () => {
  const bench = new ProjectionBench({ batchMax: 1 })
  const projection = await bench.open()
  await bench.pass(50)
  let letGo = (): void => undefined
  bench.onHandle = () => new Promise((resolve) => (letGo = resolve))
  bench.add('a/1', 'a/2')
  await bench.until(() => bench.calls.length === 1)
  let isClosed = false
  const closing = projection.close().then(() => (isClosed = true))
  await bench.pass(1_000)
  expect(isClosed).toBe(false)
  letGo()
  await closing
  expect(bench.seen()).toEqual(['a/1/1'])
  await bench.pass(1_000)
  expect(bench.calls).toHaveLength(1)
})

test('lanes that are let go of are not run any more', async () => {
  const bench = new ProjectionBench({ order: 'shard' })
  const projection = await bench.open()
  bench.add('a/0', 'a/1', 'a/2')
  await bench.until(() => bench.seen().length === 3)
  await projection.run(['1'])
  bench.add('a/0', 'a/1', 'a/2')
  await bench.until(() => bench.seen().length === 4)
  await bench.pass(1_000)
  expect(bench.seen().at(-1)).toBe('a/1/2')
  await projection.close()
})

test('two that run the same lane count nothing twice, and both say so', async () => {
  const bench = new ProjectionBench()
  const one = await bench.open()
  const other = await bench.open()
  for (let n = 0; n < 20; n += 1) {
    bench.add('a/1')
    await bench.pass(500)
  }
  await bench.until(() => bench.seen().length === 20)
  expect(new Set(bench.seen()).size).toBe(20)
  expect(bench.warnings.some((warning) => warning.includes('somebody else runs this projection'))).toBe(true)
  await one.close()
  await other.close()
})
