import { expect, test } from 'vitest'
import { definitionError } from '../../src/aggregate/error.ts'
import { readModelUnavailable } from '../../src/read/read-model-error.ts'
import { EventRow } from './event-row.ts'
import { ProjectionBench } from './projection-bench.ts'

test('a read model that is ahead of the log is not touched, and says so', async () => {
  const bench = new ProjectionBench()
  const streams = Array.from({ length: 10 }, () => 'a/1')
  bench.add(...streams, ...streams)
  const before = await bench.open()
  await bench.until(() => bench.seen().length === 20)
  await before.close()
  // The log was restored from an older backup.
  const restored = new ProjectionBench({ batchMax: 1 }, { store: bench.store })
  restored.row.pageMax = 1
  restored.add(...streams)
  const projection = await restored.open()
  await restored.pass(1_000)
  expect(await projection.status()).toMatchObject({
    state: 'halted',
    trouble: expect.stringMatching(/ahead of the log, which ends at .*penhold projection rebuild/) as string,
  })
  expect(bench.seen()).toHaveLength(20)
  // No event needs to come for that, and it goes live with all that there is.
  const promoted: (readonly string[])[] = []
  bench.store.onPromote = (generation) => promoted.push(bench.store.generation(generation).model.seen)
  expect(await projection.rebuild()).toBe(2)
  await restored.until(async () => (await projection.status()).generation === 2)
  expect(promoted).toEqual([streams.map((stream, i) => `${stream}/${i + 1}`)])
  expect(await projection.status()).toMatchObject({ state: 'caught up' })
  await projection.close()
})

test('a read model that has what a restore has taken out is not touched, also once the log has grown beyond it', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const position = bench.row.head
  bench.add('a/1')
  const before = await bench.open()
  await bench.until(() => bench.seen().length === 2)
  await before.close()
  const resumesAt = bench.row.head + 5
  const restored = new ProjectionBench({}, { store: bench.store })
  restored.add('a/1')
  restored.row.restorations = [{ id: 'it', position, resumesAt, time: 0 }]
  while (restored.row.head <= resumesAt) restored.add('a/2')
  const projection = await restored.open()
  await restored.pass(1_000)
  expect(await projection.status()).toMatchObject({
    state: 'halted',
    trouble: expect.stringMatching(
      /ahead of the log, which was restored at 1970.*penhold projection rebuild/,
    ) as string,
    // It is ahead of the log: it is behind by nothing that could be counted.
    lag: undefined,
    lanes: [{ lag: undefined }],
  })
  expect(bench.seen()).toEqual(['a/1/1', 'a/1/2'])
  await projection.rebuild()
  await restored.until(async () => (await projection.status()).state === 'caught up')
  expect(restored.seen()[0]).toBe('a/1/1')
  expect(restored.seen()).not.toContain('a/1/2')
  await projection.close()
  const again = await restored.open()
  await restored.pass(1_000)
  expect((await again.status()).state).toBe('caught up')
  await again.close()
})

test('a read model that cannot be used halts it, until somebody resumes it; rebuilt it goes on without being mended', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  const halted = { state: 'halted', trouble: expect.stringContaining('it is damaged') as string }
  bench.store.broken.add(1)
  bench.add('a/1')
  await bench.until(async () => (await projection.status()).state === 'halted')
  await bench.pass(60_000)
  expect(await projection.status()).toMatchObject({ ...halted, lanes: [{ trouble: { attempts: 1 } }] })
  await projection.resume()
  await bench.until(async () => (await projection.status()).state === 'halted')
  bench.store.broken.delete(1)
  await projection.resume()
  await bench.until(() => bench.seen().length === 2)

  bench.store.broken.add(1)
  bench.add('a/1')
  await bench.until(async () => (await projection.status()).state === 'halted')
  await projection.rebuild()
  await bench.until(async () => (await projection.status()).generation === 2)
  expect(bench.seen()).toEqual(['a/1/1', 'a/1/2', 'a/1/3'])
  await projection.close()
})

test('a definition that cannot work halts it', async () => {
  const bench = new ProjectionBench()
  const projection = await bench.open()
  bench.poison.add('a/1/1')
  bench.store.onApplied = () => definitionError('handlers are synchronous here')
  bench.add('a/1')
  await bench.until(async () => (await projection.status()).state === 'halted')
  await bench.pass(60_000)
  expect(bench.calls).toEqual(['a/1/1'])
  await projection.close()
})

test("what the store fails in a handler is the store's failure, and no event's", async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park' })
  const projection = await bench.open()
  bench.poison.add('a/1/1')
  bench.store.onApplied = () => readModelUnavailable('the store', new Error('a deadlock'))
  bench.add('a/1')
  await bench.until(() => bench.calls.length > 3)
  expect(await projection.status()).toMatchObject({ state: 'waiting', parkedStreams: 0 })
  bench.store.onApplied = (error) => error
  await bench.until(async () => (await projection.status()).parkedStreams === 1)
  await projection.close()
})

test('one that is ahead of a log that has nothing does not claim to be behind by nothing', async () => {
  const before = new ProjectionBench()
  before.add('a/1')
  const former = await before.open()
  await before.until(() => before.seen().length === 1)
  await former.close()
  const bench = new ProjectionBench({}, { store: before.store, row: new EventRow(0) })
  const projection = await bench.open()
  await bench.until(async () => (await projection.status()).state === 'halted')
  expect(await projection.status()).toMatchObject({ lag: undefined, lanes: [{ head: 0, lag: undefined }] })
  await projection.close()
})
