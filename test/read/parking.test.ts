import { expect, test } from 'vitest'
import { PARKED_STREAMS_MAX } from '../../src/read/lane.ts'
import { placeOf } from './event-row.ts'
import { ConnectionLost } from './faulty-store.ts'
import { ProjectionBench } from './projection-bench.ts'

test('what is parked stands aside with all that follows it, until it is retried by hand', async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park' })
  bench.add('a/1', 'a/2', 'a/2', 'a/1')
  bench.poison.add('a/2/1')
  let projection = await bench.open()
  await bench.until(async () => (await projection.status()).state === 'caught up')
  expect(bench.seen()).toEqual(['a/1/1', 'a/1/2'])
  expect(await projection.parked()).toMatchObject([
    {
      stream: 'a/2',
      version: 1,
      type: 'Done',
      reason: 'Error: a/2/1 is poison',
      place: placeOf(bench.row.find('a/2', 1)),
    },
    { stream: 'a/2', version: 2, reason: undefined, parkedAt: expect.any(Date) as Date },
  ])
  expect(await projection.status()).toMatchObject({ parkedStreams: 1 })
  expect(bench.warnings).toEqual([expect.stringContaining(`has parked 'Done', version 1 of a/2`)])
  // Its successor knows it too.
  await projection.close()
  projection = await bench.open()
  bench.add('a/2', 'a/1')
  await bench.until(() => bench.seen().length === 3)
  expect(await projection.retryParked('a/2')).toEqual({
    done: 0,
    failed: { version: 1, type: 'Done', reason: 'Error: a/2/1 is poison' },
  })
  expect(await projection.parked({ stream: 'a/2' })).toHaveLength(3)
  bench.poison.clear()
  bench.poison.add('a/2/3')
  expect(await projection.retryParked('a/2')).toMatchObject({ done: 2, failed: { version: 3 } })
  expect(bench.seen().slice(-2)).toEqual(['a/2/1', 'a/2/2'])
  bench.poison.clear()
  expect(await projection.retryParked('a/2')).toEqual({ done: 1, failed: undefined })
  expect(await projection.retryParked('a/2')).toEqual({ done: 0, failed: undefined })
  // The stream flows again.
  bench.add('a/2')
  await bench.until(() => bench.seen().at(-1) === 'a/2/4')
  await projection.close()
})

test('more is parked than is retried in one commit', async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park' })
  bench.poison.add('a/1/1')
  for (let n = 0; n < 250; n += 1) bench.add('a/1')
  const projection = await bench.open()
  await bench.until(async () => (await projection.status()).state === 'caught up')
  bench.poison.clear()
  bench.row.pageMax = 30
  expect(await projection.retryParked('a/1')).toEqual({ done: 250, failed: undefined })
  expect(bench.seen()).toEqual(bench.row.events.map(({ id }) => id))
  expect(bench.row.readings, 'page by page, and none twice').toBe(1)
  await projection.close()
})

test('while parked events are read, and between two pages of them, the lane goes on with other streams', async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park' })
  bench.poison.add('a/1/1')
  bench.add('a/1', 'a/1', 'a/1', 'a/1', 'a/1')
  const projection = await bench.open()
  await bench.until(async () => (await projection.parked()).length === 5)
  bench.poison.clear()
  bench.row.onReadAgain = async () => {
    const { version } = bench.row.add('Done', 'a/2')
    await bench.until(() => bench.seen().includes(`a/2/${version}`))
  }
  expect(await projection.retryParked('a/1')).toEqual({ done: 5, failed: undefined })
  expect(bench.seen()).toEqual(['a/2/1', 'a/1/1', 'a/1/2', 'a/1/3', 'a/2/2', 'a/1/4', 'a/1/5'])
  await projection.close()
})

test('what is parked, skipped or retried by somebody else during a retry is neither left out nor done twice', async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park' })
  bench.poison.add('a/1/1')
  bench.add(...Array.from({ length: 9 }, () => 'a/1'))
  const projection = await bench.open()
  await bench.until(async () => (await projection.parked()).length === 9)
  bench.poison.clear()
  const meanwhile = [
    () => projection.skipParked({ stream: 'a/1', version: 2, reason: 'by somebody else' }),
    async () => {
      bench.row.onReadAgain = () => Promise.resolve()
      expect(await projection.retryParked('a/1')).toMatchObject({ done: 6 })
    },
  ]
  bench.row.onReadAgain = async () => await meanwhile.shift()?.()
  expect(await projection.retryParked('a/1')).toEqual({ done: 2, failed: undefined })
  expect(bench.seen()).toEqual([1, 3, 4, 5, 6, 7, 8, 9].map((version) => `a/1/${version}`))
  expect(await projection.parked()).toEqual([])
  bench.add('a/1')
  await bench.until(() => bench.seen().at(-1) === 'a/1/10')
  await projection.close()
})

test('a parked event that the log does not have as it was parked is told of, and can be skipped', async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park' })
  bench.poison.add('a/1/1')
  bench.add('a/1', 'a/1', 'a/1')
  const projection = await bench.open()
  await bench.until(async () => (await projection.parked()).length === 3)
  bench.poison.clear()
  const [first, second] = bench.row.events.splice(0, 2)
  const gone = { code: 'ProjectionState', message: expect.stringContaining('version 1 of a/1 was parked') as string }
  await expect(projection.retryParked('a/1')).rejects.toMatchObject(gone)
  bench.row.events.unshift({ ...first!, position: first!.position - 1 }, second!)
  await expect(projection.retryParked('a/1')).rejects.toMatchObject(gone)
  await projection.skipParked({ stream: 'a/1', version: 1, reason: 'it is not there any more' })
  expect(await projection.retryParked('a/1')).toEqual({ done: 2, failed: undefined })
  expect(bench.seen()).toEqual(['a/1/2', 'a/1/3'])
  await projection.close()
})

test('a parked event is skipped by hand, with a reason that is told; what stands behind it waits', async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park' })
  bench.add('a/1', 'a/1', 'a/1')
  bench.poison.add('a/1/1')
  const projection = await bench.open()
  await bench.until(async () => (await projection.status()).state === 'caught up')
  await projection.skipParked({ stream: 'a/1', version: 1, reason: 'a duplicate of 17' })
  expect(bench.warnings.at(-1)).toContain(`version 1 of a/1, is skipped by hand: a duplicate of 17`)
  bench.add('a/1')
  await bench.until(async () => (await projection.parked()).length === 3)
  expect(bench.seen()).toEqual([])
  expect(await projection.retryParked('a/1')).toEqual({ done: 3, failed: undefined })
  expect(bench.seen()).toEqual(['a/1/2', 'a/1/3', 'a/1/4'])
  await projection.close()
})

test('only what is parked is skipped, and not without a reason', async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park' })
  bench.add('a/1')
  bench.poison.add('a/1/1')
  const projection = await bench.open()
  await bench.until(async () => (await projection.status()).state === 'caught up')
  await expect(projection.skipParked({ stream: 'a/1', version: 1, reason: ' ' })).rejects.toThrow('say why')
  await expect(projection.skipParked({ stream: 'a/1', version: 9, reason: 'x' })).rejects.toThrow('is not parked')
  await expect(projection.skipParked({ stream: 'a/2', version: 1, reason: 'x' })).rejects.toThrow('nothing of a/2')
  expect(await projection.parked()).toHaveLength(1)
  await projection.close()
})

test('a retry whose answer is lost has freed its stream all the same', async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park' })
  bench.add('a/1')
  bench.poison.add('a/1/1')
  const projection = await bench.open()
  await bench.until(async () => (await projection.status()).state === 'caught up')
  bench.poison.clear()
  // It looks for the lane, for what is to be read, and for what is still parked, and then commits.
  bench.store.faults = ['fine', 'fine', 'fine', 'unheard']
  await expect(projection.retryParked('a/1')).rejects.toBeInstanceOf(ConnectionLost)
  bench.add('a/1')
  await bench.until(async () => (await projection.status()).state === 'caught up')
  expect(bench.seen()).toEqual(['a/1/1', 'a/1/2'])
  await projection.close()
})

test('once the last parked event of a stream is skipped, it flows again', async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park' })
  bench.add('a/1')
  bench.poison.add('a/1/1')
  const projection = await bench.open()
  await bench.until(async () => (await projection.status()).state === 'caught up')
  await projection.skipParked({ stream: 'a/1', version: 1, reason: 'nobody needs it' })
  bench.add('a/1')
  await bench.until(() => bench.seen().length === 1)
  expect(bench.seen()).toEqual(['a/1/2'])
  await projection.close()
})

test('what is parked is retried where its lane runs', async () => {
  const bench = new ProjectionBench({ order: 'shard', retries: 0, onFailure: 'park' })
  bench.add('a/1')
  bench.poison.add('a/1/1')
  const here = await bench.open(['0'])
  const there = await bench.open(['1', '2'])
  await bench.until(async () => (await here.parked()).length === 1)
  bench.poison.clear()
  await expect(here.retryParked('a/1')).rejects.toThrow('lane 1 of seen, which does not run here')
  expect(await there.retryParked('a/1')).toMatchObject({ done: 1 })
  await here.close()
  await there.close()
})

test('where so much is parked that it cannot be single events, it halts', async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park' })
  const { parked } = bench.store.generation(1)
  for (let n = 0; n < PARKED_STREAMS_MAX; n += 1) {
    const event = {
      stream: `b/${n}`,
      version: 1,
      place: { position: 1, shard: 0 },
      type: 'Done',
      reason: '',
      parkedAt: 0,
    }
    parked.set(`b/${n} 1`, event)
  }
  bench.poison.add('a/1/1')
  const projection = await bench.open()
  bench.add('a/1')
  await bench.until(async () => (await projection.status()).state === 'halted')
  expect((await projection.status()).trouble).toContain(`has parked events of ${PARKED_STREAMS_MAX} streams`)
  expect(parked.has('a/1 1')).toBe(false)
  await projection.close()
})
