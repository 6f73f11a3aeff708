import { expect, test } from 'vitest'
import type { AllPlace } from '../../src/read/all.ts'
import { systemClock } from '../../src/platform/system.ts'
import { WAITING_MAX } from '../../src/read/coming.ts'
import { queryTimedOut } from '../../src/read/error.ts'
import { Patience } from '../../src/read/patience.ts'
import { formatPlace } from '../../src/read/place.ts'
import { placeOf } from './event-row.ts'
import { ProjectionBench } from './projection-bench.ts'

test('a query waits until the read model has what it is to have', async () => {
  const bench = new ProjectionBench()
  const projection = await bench.open()
  await bench.pass(50)
  await projection.pause()
  const [first, second] = bench.add('a/1', 'a/2')
  const answers: string[] = []
  const ask = async (after: number | string | AllPlace): Promise<void> => {
    answers.push((await projection.query(({ seen }) => seen, { after })).join())
  }
  const asked = [ask(first!.position), ask(placeOf(second!)), ask(formatPlace(second!))]
  await bench.pass(1_000)
  expect(answers).toEqual([])
  expect(await projection.query(({ seen }) => seen.length)).toBe(0)
  await projection.resume()
  await bench.pass(100)
  await Promise.all(asked)
  expect(answers.map((answer) => answer.split(',')[0])).toEqual(['a/1/1', 'a/1/1', 'a/1/1'])
  await expect(ask({ position: 1 } as AllPlace)).rejects.toMatchObject({ code: 'BadPlace' })
  await projection.close()
})

test('a position that several shards have is there once all of them are', async () => {
  const bench = new ProjectionBench({ batchMax: 1 })
  bench.row.pageMax = 1
  const projection = await bench.open()
  await bench.pass(50)
  const [first] = bench.add('a/0')
  const second = bench.row.add('Done', 'a/1', {}, true)
  expect(second.position).toBe(first!.position)
  bench.poison.add('a/1/1')
  await bench.until(() => bench.seen().length === 1)
  await expect(
    Promise.race([
      projection.query(({ seen }) => seen, { after: second.position, timeoutMs: 50 }),
      bench.pass(200).then(() => 'waits'),
    ]),
  ).rejects.toMatchObject({ code: 'ProjectionBehind' })
  expect(await projection.query(({ seen }) => seen, { after: placeOf(first!) })).toEqual(['a/0/1'])
  await projection.close()
})

test('a query that waits too long, in vain, or no more, is told so', async () => {
  const bench = new ProjectionBench({ retries: 0 })
  const projection = await bench.open()
  await bench.pass(50)
  await projection.pause()
  bench.add('a/0')
  const late = projection.query(({ seen }) => seen, { after: bench.row.head, timeoutMs: 500 })
  const controller = new AbortController()
  const given = projection.query(({ seen }) => seen, { after: bench.row.head, signal: controller.signal })
  const refused = expect(given).rejects.toMatchObject({ code: 'Aborted', outcome: 'none' })
  const told = expect(late).rejects.toMatchObject({ code: 'ProjectionBehind', retryable: true, outcome: 'none' })
  controller.abort()
  await refused
  await bench.pass(600)
  await told
  await projection.resume()
  bench.poison.add('a/1/1')
  const [event] = bench.add('a/1')
  const inVain = expect(
    projection.query(({ seen }) => seen, { after: event!.position, timeoutMs: 1e9 }),
  ).rejects.toMatchObject({ code: 'ProjectionHalted', message: expect.stringContaining('a/1/1 is poison') as string })
  await bench.pass(100)
  await inVain
  await expect(projection.query(({ seen }) => seen, { after: event!.position, timeoutMs: 1e9 })).rejects.toMatchObject({
    code: 'ProjectionHalted',
  })
  expect(await projection.query(({ seen }) => seen)).toEqual(['a/0/1'])
  await projection.close()
})

test('a query for what the log does not have is refused: what lies ahead of it, and what a restore has taken out', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const before = bench.row.head
  const projection = await bench.open()
  const ask = (after: number) => projection.query(({ seen }) => seen, { after, timeoutMs: 60_000 })
  const refused = expect(ask(before + 1)).rejects.toMatchObject({ code: 'PlaceAhead', details: { head: before } })
  await bench.pass(2_000)
  await refused
  bench.add('a/1')
  const restoration = { id: 'it', position: before, resumesAt: bench.row.head - 1, time: 0 }
  bench.row.restorations = [restoration]
  await bench.until(() => bench.seen().length === 2)
  const lost = { code: 'PlaceAhead', details: { position: before + 1, restoredTo: before, restoration: 'it' } }
  await expect(ask(before + 1)).rejects.toMatchObject(lost)
  await expect(ask(restoration.resumesAt)).rejects.toMatchObject({ code: 'PlaceAhead' })
  for (const position of [before, bench.row.head]) expect(await ask(position)).toEqual(['a/1/1', 'a/1/2'])
  await projection.close()
})

test('by shard, a lane that fails keeps no other from going on', async () => {
  const bench = new ProjectionBench({ order: 'shard', retries: 0 })
  bench.poison.add('a/0/1')
  const projection = await bench.open()
  const [, other] = bench.add('a/0', 'a/1', 'a/2', 'a/1')
  await bench.until(() => bench.seen().length === 3)
  expect(bench.seen().toSorted()).toEqual(['a/1/1', 'a/1/2', 'a/2/1'])
  expect(await projection.status()).toMatchObject({ state: 'halted' })
  expect(await projection.query(({ seen }) => seen.length, { after: placeOf(other!) })).toBe(3)
  await expect(projection.query(({ seen }) => seen, { after: other!.position })).rejects.toMatchObject({
    code: 'ProjectionHalted',
  })
  await projection.close()
})

test('a query waits for lanes that run elsewhere too', async () => {
  const bench = new ProjectionBench({ order: 'shard' })
  const here = await bench.open(['0'])
  const there = await bench.open(['1', '2'])
  const [event] = bench.add('a/1')
  const answer = here.query(({ seen }) => seen, { after: event!.position })
  await bench.pass(500)
  expect(await answer).toEqual(['a/1/1'])
  // An idle one has come wherever it has to be.
  await bench.pass(500)
  expect(await here.query(({ seen }) => seen, { after: bench.row.head + 1_000_000 })).toEqual(['a/1/1'])
  await here.close()
  await there.close()
})

test('the status of a projection tells of all its lanes, and which of them run here', async () => {
  const bench = new ProjectionBench({ order: 'shard' })
  const here = await bench.open(['0'])
  await bench.pass(50)
  const [event] = bench.add('a/1')
  expect(await here.status()).toMatchObject({
    state: 'running',
    lanes: [{ lane: '0', lag: { positions: 0 } }],
    elsewhere: [
      { lane: '1', place: { position: 0 }, head: event!.position, lag: undefined },
      { lane: '2', lag: { positions: 0 } },
    ],
    // It has not begun: how far it is behind is not counted from the day on which positions begin.
    lag: undefined,
  })
  const there = await bench.open(['1', '2'])
  await bench.until(async () => (await here.status()).state === 'caught up')
  expect(await here.status()).toMatchObject({ elsewhere: [{ place: placeOf(event!) }, {}], lag: { positions: 0 } })
  bench.row.isHeadless = true
  expect(await here.status()).toMatchObject({ state: 'waiting', elsewhere: undefined, lag: undefined })
  await here.close()
  await there.close()
})

test('a query finds the live generation where others have swapped and dropped what was live', async () => {
  const bench = new ProjectionBench()
  const here = await bench.open()
  const there = await bench.open([])
  const [event] = bench.add('a/1')
  await bench.until(() => bench.seen().length === 1)
  // Both before who runs no lanes looks again.
  bench.store.add()
  bench.store.live = bench.store.add()
  bench.store.drop(1)
  bench.store.drop(2)
  const rows = bench.store.generation(bench.store.live).model.seen
  rows.push('a/1/1')
  expect(await there.query(({ seen }) => seen.length)).toBe(1)
  bench.store.live = bench.store.add()
  bench.store.drop(3)
  const late = there.query(({ seen }) => seen.length, { after: event!.position, timeoutMs: 60_000 })
  await bench.until(() => bench.seen(4).length === 1)
  await bench.pass(1_000)
  expect(await late).toBe(1)
  await here.close()
  await there.close()
})

test('queries that wait for lanes elsewhere share one look at the store', async () => {
  const bench = new ProjectionBench({ order: 'shard' })
  const here = await bench.open(['0'])
  const there = await bench.open([])
  const [event] = bench.add('a/1')
  await bench.pass(1_000)
  const ask = () => here.query(({ seen }) => seen.length, { after: placeOf(event!) })
  const waiting = Array.from({ length: 50 }, ask)
  const before = bench.store.looks
  await bench.pass(2_000)
  // Every 50 ms, for all of them.
  expect(bench.store.looks - before).toBeLessThanOrEqual(41)
  await there.run(['1', '2'])
  await bench.pass(500)
  expect(new Set(await Promise.all(waiting))).toEqual(new Set([1]))
  await here.close()
  await there.close()
})

test('a query that is not to wait has what is there', async () => {
  const bench = new ProjectionBench()
  const [event] = bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  const ask = (after: number) => projection.query(({ seen }) => seen.length, { after, timeoutMs: 0 })
  expect(await ask(event!.position)).toBe(1)
  await projection.pause()
  const [next] = bench.add('a/1')
  await expect(ask(next!.position)).rejects.toMatchObject({ code: 'ProjectionBehind' })
  await projection.close()
})

test('a query may wait for ever', async () => {
  const bench = new ProjectionBench()
  const projection = await bench.open()
  await bench.pass(50)
  await projection.pause()
  const [event] = bench.add('a/1')
  const waiting = projection.query(({ seen }) => seen.length, { after: event!.position, timeoutMs: Infinity })
  await bench.pass(30_000)
  await projection.resume()
  await bench.pass(100)
  expect(await waiting).toBe(1)
  const patience = new Patience({ clock: systemClock, projection: 'seen', timeoutMs: Infinity })
  const late = () => queryTimedOut('seen', Infinity)
  expect(await patience.wait(new Promise((resolve) => setTimeout(resolve, 20, 'in time')), late)).toBe('in time')
  await projection.close()
})

test('a query that waits while its projection is closed is told so at once', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  const told: unknown[] = []
  void projection.query(({ seen }) => seen, { after: bench.row.head + 1 }).catch((error: unknown) => told.push(error))
  await bench.pass(100)
  await projection.close()
  // No time passes, and whoever else would ring is closed.
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate)
  expect(told).toMatchObject([{ code: 'ReadModelUnavailable', outcome: 'none', retryable: true }])
})

test('one that comes when too many wait is told so at once; when some have gone there is room again', async () => {
  const bench = new ProjectionBench()
  const projection = await bench.open()
  await bench.pass(50)
  await projection.pause()
  bench.add('a/1')
  const controller = new AbortController()
  const ask = (signal?: AbortSignal) =>
    projection.query(({ seen }) => seen.length, { after: bench.row.head, ...(signal !== undefined && { signal }) })
  const waiting = Promise.allSettled(Array.from({ length: WAITING_MAX }, () => ask(controller.signal)))
  await expect(ask()).rejects.toMatchObject({ code: 'ProjectionBusy', retryable: true, outcome: 'none' })
  expect(await projection.query(({ seen }) => seen.length)).toBe(0)
  controller.abort()
  expect(new Set((await waiting).map(({ status }) => status))).toEqual(new Set(['rejected']))
  const last = ask()
  await projection.resume()
  await bench.pass(100)
  expect(await last).toBe(1)
  await projection.close()
})

test('a query has its time, whatever keeps it from being answered: what asks, or a store that hangs', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  const late = { code: 'Timeout', outcome: 'none', message: 'a query of seen has not ended within 500 ms' }
  const hangs = expect(projection.query(() => new Promise(() => undefined), { timeoutMs: 500 })).rejects.toMatchObject(
    late,
  )
  bench.store.onQuery = () => new Promise(() => undefined)
  const hung = expect(projection.query(() => 1, { timeoutMs: 500 })).rejects.toMatchObject(late)
  await bench.pass(500)
  await Promise.all([hangs, hung])
  const controller = new AbortController()
  const aborted = expect(projection.query(() => 1, { signal: controller.signal })).rejects.toMatchObject({
    code: 'Aborted',
  })
  controller.abort()
  await aborted
  await projection.close()
})
