/** What a rebuild goes by is kept beside the generations, so that none of them need be well for it. */
import { expect, test } from 'vitest'
import { withNew } from '../../src/read/control.ts'
import { ProjectionBench } from './projection-bench.ts'

test('a rebuild that is damaged is aborted like any other', async () => {
  const bench = new ProjectionBench({ retries: 0 })
  bench.add('a/1', 'a/2')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 2)
  bench.poison.add('a/2/1')
  await projection.rebuild()
  await bench.until(async () => (await projection.status()).rebuild?.state === 'halted')
  bench.store.broken.add(2)
  await bench.pass(3_000)
  await projection.pause()
  await projection.resume()
  await expect(projection.rebuild()).rejects.toMatchObject({ code: 'ProjectionState' })
  await projection.abortRebuild()
  expect([...bench.store.generations.keys()]).toEqual([1])
  expect(await projection.status()).toMatchObject({ rebuild: undefined, unfinished: undefined })
  await projection.close()
})

test('from a live one that is damaged one goes back', async () => {
  const bench = new ProjectionBench({ retries: 0 })
  bench.add('a/1', 'a/2')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 2)
  await projection.rebuild()
  await bench.until(async () => (await projection.status()).generation === 2)
  bench.store.broken.add(2)
  bench.add('a/1')
  await bench.until(async () => (await projection.status()).state === 'halted')
  expect(await projection.rollBack()).toBe(1)
  await bench.until(() => bench.seen(1).length === 3)
  expect(await projection.status()).toMatchObject({ generation: 1, state: 'caught up', unfinished: 2 })
  await projection.close()
})

test('whoever waits for a rebuild waits also at a node that has not noticed it yet', async () => {
  const bench = new ProjectionBench({ batchMax: 1 })
  bench.add(...Array.from({ length: 50 }, () => 'a/1'))
  const here = await bench.open()
  const there = await bench.open([])
  await bench.until(() => bench.seen().length === 50)
  const generation = await here.rebuild()
  const [rebuilt, underWay] = [there.rebuilt(generation), there.rebuilt()]
  await bench.until(() => bench.store.live === generation)
  await bench.pass(1_000)
  expect(await Promise.all([rebuilt, underWay, there.rebuilt()])).toEqual([true, true, false])
  // It was live, whatever is live by now.
  bench.store.live = bench.store.add()
  expect(await there.rebuilt(generation)).toBe(true)
  await here.close()
  await there.close()
})

test('whoever waits for a rebuild where the process ends is told so', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open([])
  const rebuilt = expect(projection.rebuilt(await projection.rebuild())).rejects.toMatchObject({ code: 'Aborted' })
  await bench.pass(100)
  await projection.close()
  await rebuilt
})

test('what is paused by others in the moment of a swap is not swapped', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  let swaps = 0
  bench.store.onSwap = async () => {
    swaps += 1
    if (swaps === 1) bench.store.isPaused = true
  }
  await projection.rebuild()
  await bench.until(() => swaps === 1)
  await bench.pass(5_000)
  expect(await projection.status()).toMatchObject({ generation: 1, state: 'paused', rebuild: { state: 'paused' } })
  await projection.resume()
  await bench.until(async () => (await projection.status()).generation === 2)
  await projection.close()
})

test('what somebody tries out in a generation of their own is none to go back to, and none that is rebuilt', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  bench.store.replace(withNew(bench.store.control, { state: 'trial' }))
  await bench.pass(2_000)
  expect(await projection.status()).toMatchObject({ rebuild: undefined, unfinished: undefined, previous: undefined })
  await projection.rebuild()
  await bench.until(async () => (await projection.status()).generation === 3)
  expect(await projection.rollBack()).toBe(1)
  await projection.close()
})
