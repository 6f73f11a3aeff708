import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { ConnectionLost } from './faulty-store.ts'
import { ProjectionBench } from './projection-bench.ts'

test('a rebuild runs beside the live one, tells how far it has come, and takes its place once it has caught up', async () => {
  const bench = new ProjectionBench({ batchMax: 10 })
  for (let n = 0; n < 200; n += 1) bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 200)
  bench.store.faults = Array.from({ length: 2_000 }, () => 'slow' as const)
  expect(await projection.rebuild()).toBe(2)
  const rebuilt = projection.rebuilt()
  const fractions: number[] = []
  await bench.until(async () => {
    bench.add('a/2')
    const { rebuild, generation } = await projection.status()
    if (rebuild !== undefined) fractions.push(rebuild.fraction)
    return generation === 2
  })
  expect(await rebuilt).toBe(true)
  expect(fractions.length).toBeGreaterThan(3)
  expect(fractions).toEqual(fractions.toSorted((a, b) => a - b))
  expect(fractions.some((fraction) => fraction > 0.1 && fraction < 0.9)).toBe(true)
  bench.store.faults = []
  await bench.until(async () => (await projection.status()).state === 'caught up')
  expect(bench.seen(2)).toEqual(bench.row.events.map(({ id }) => id))
  expect(await projection.status()).toMatchObject({ generation: 2, previous: 1, rebuild: undefined })
  expect(bench.warnings).toEqual([expect.stringContaining('generation 2 is live, in place of 1')])
  // The one before stands still.
  const before = bench.seen(1).length
  bench.add('a/1')
  await bench.until(() => bench.seen(2).at(-1) === bench.row.events.at(-1)!.id)
  expect(bench.seen(1)).toHaveLength(before)
  await projection.close()
})

test('a query that waits sees the generation that is live by then', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  await projection.rebuild()
  await bench.until(async () => (await projection.status()).generation === 2)
  const [event] = bench.add('a/1')
  const answer = projection.query(({ seen }) => seen.length, { after: event!.position })
  await bench.pass(100)
  expect(await answer).toBe(2)
  expect(bench.seen(1)).toHaveLength(1)
  await projection.close()
})

test('an aborted rebuild leaves the live one as it was', async () => {
  const bench = new ProjectionBench({ retries: 0 })
  bench.add('a/1', 'a/2')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 2)
  bench.poison.add('a/2/1')
  await projection.rebuild()
  await expect(projection.rebuild()).rejects.toMatchObject({ code: 'ProjectionState' })
  await expect(projection.rollBack()).rejects.toMatchObject({ code: 'ProjectionState' })
  await bench.until(async () => (await projection.status()).rebuild?.state === 'halted')
  expect(await projection.status()).toMatchObject({ generation: 1, state: 'caught up' })
  await projection.abortRebuild()
  expect(await projection.rebuilt(2)).toBe(false)
  expect([...bench.store.generations.keys()]).toEqual([1])
  bench.add('a/1')
  await bench.until(() => bench.seen(1).length === 3)
  await expect(projection.resumeRebuild()).rejects.toMatchObject({ code: 'ProjectionState' })
  await expect(projection.promote()).rejects.toThrow('no rebuild of seen is under way')
  await projection.close()
})

test('a rebuild goes on where it was when its process ended, whoever runs its lanes then', async () => {
  const bench = new ProjectionBench({ batchMax: 10, retries: 0 })
  for (let n = 0; n < 100; n += 1) bench.add('a/1')
  let projection = await bench.open()
  await bench.until(() => bench.seen().length === 100)
  bench.poison.add('a/1/50')
  await projection.rebuild()
  await bench.until(() => bench.seen(2).length === 49)
  await projection.close()
  bench.poison.clear()
  bench.calls.length = 0
  projection = await bench.open()
  await bench.until(async () => (await projection.status()).generation === 2)
  expect(bench.calls[0]).toBe('a/1/50')
  expect(bench.seen(2)).toEqual(bench.row.events.map(({ id }) => id))
  await projection.close()
})

test('one generation is kept to go back to, at once; the one that was left is gone back to, or dropped', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  await expect(projection.rollBack()).rejects.toThrow('no generation to go back to')
  for (const generation of [2, 3]) {
    await projection.rebuild()
    await bench.until(async () => (await projection.status()).generation === generation)
  }
  await bench.until(() => bench.store.generations.size === 2)
  expect([...bench.store.generations.keys()]).toEqual([2, 3])
  bench.add('a/1')
  await bench.until(() => bench.seen(3).length === 2)
  expect(await projection.rollBack()).toBe(2)
  expect(bench.store.live).toBe(2)
  expect(await projection.status()).toMatchObject({ generation: 2, unfinished: 3, previous: undefined })
  await bench.until(() => bench.seen(2).length === 2)
  // It was set aside: nobody takes it for something to be rebuilt.
  await bench.pass(5_000)
  expect(await projection.status()).toMatchObject({ generation: 2, rebuild: undefined })
  expect(await projection.resumeRebuild()).toBe(3)
  await bench.until(async () => (await projection.status()).generation === 3)
  await projection.rollBack()
  await projection.abortRebuild()
  expect([...bench.store.generations.keys()]).toEqual([2])
  await projection.close()
})

test('a rebuild with parked events does not go live by itself', async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park' })
  bench.add('a/1', 'a/2')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 2)
  bench.poison.add('a/2/1')
  await projection.rebuild()
  await bench.until(async () => (await projection.status()).rebuild?.state === 'caught up')
  await bench.pass(5_000)
  expect(await projection.status()).toMatchObject({
    generation: 1,
    parkedStreams: 0,
    rebuild: { isHeldBack: true, parkedStreams: 1, fraction: 1 },
  })
  expect(bench.warnings.filter((warning) => warning.includes('does not go live by itself'))).toHaveLength(1)
  expect(await projection.parked({ generation: 'rebuild' })).toMatchObject([{ stream: 'a/2', version: 1 }])
  bench.poison.clear()
  expect(await projection.retryParked('a/2', { generation: 'rebuild' })).toMatchObject({ done: 1 })
  await bench.until(async () => (await projection.status()).generation === 2)
  bench.poison.add('a/1/1')
  await projection.rebuild()
  await bench.until(async () => (await projection.status()).rebuild?.isHeldBack === true)
  await projection.promote()
  await bench.until(async () => (await projection.status()).generation === 3)
  expect(await projection.parked()).toMatchObject([{ stream: 'a/1', version: 1 }])
  await projection.close()
})

test('paused, nothing is rebuilt and nothing swapped', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  await projection.pause()
  await projection.rebuild()
  await bench.pass(5_000)
  expect(await projection.status()).toMatchObject({ generation: 1, state: 'paused', rebuild: { state: 'paused' } })
  await projection.resume()
  await bench.until(async () => (await projection.status()).generation === 2)
  await projection.close()
})

test('where the live one has gone on before it is held, nothing is swapped until it has been caught up with', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  await projection.pause()
  await projection.rebuild()
  let letGo = (): void => undefined
  // The live one handles it first.
  bench.onHandle = ({ id }) => {
    const isSecond = bench.calls.filter((call) => call === id).length === 2
    return id === 'a/1/2' && isSecond ? new Promise((resolve) => (letGo = resolve)) : undefined
  }
  let isThen = false
  bench.store.onLook = async (generation) => {
    if (generation !== 2 || isThen || bench.seen(2).length === 0) return
    isThen = true
    bench.add('a/1')
    while (bench.seen(1).length === 1) await setImmediate()
  }
  const promoted: number[] = []
  bench.store.onPromote = (generation) => promoted.push(bench.seen(generation).length)
  await projection.resume()
  await bench.until(() => isThen && bench.seen(1).length === 2)
  await bench.pass(10_000)
  expect(promoted).toEqual([])
  bench.add('a/2')
  await bench.until(() => bench.seen(1).length === 3)
  letGo()
  await bench.until(async () => (await projection.status()).generation === 2)
  expect(promoted).toEqual([3])
  await projection.close()
})

test('while generations are swapped neither goes on', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  bench.store.onSwap = async () => {
    bench.add('a/1')
    for (let turn = 0; turn < 20; turn += 1) await setImmediate()
  }
  const seen: number[] = []
  bench.store.onPromote = () => seen.push(bench.seen(1).length, bench.seen(2).length)
  await projection.rebuild()
  await bench.until(async () => (await projection.status()).generation === 2)
  expect(seen).toEqual([1, 1])
  await bench.until(() => bench.seen(2).length === 2)
  await projection.close()
})

test('who runs no lanes leaves the swap to those who do, and lets it be', async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park' })
  bench.add('a/1')
  const here = await bench.open()
  const there = await bench.open([])
  await bench.until(() => bench.seen().length === 1)
  bench.poison.add('a/1/1')
  await there.rebuild()
  await bench.until(async () => (await here.status()).rebuild?.isHeldBack === true)
  await bench.pass(5_000)
  expect(bench.store.live).toBe(1)
  await there.promote()
  await bench.until(async () => (await there.status()).generation === 2)
  await here.close()
  await there.close()
})

test('where the swap fails, the live one goes on, and it is tried again', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  let isRefused = false
  bench.store.onPromote = () => {
    isRefused = true
    throw new ConnectionLost('before it had its effect')
  }
  await projection.rebuild()
  await bench.until(() => isRefused)
  bench.add('a/1')
  await bench.until(() => bench.seen(1).length === 2)
  bench.store.onPromote = () => undefined
  await bench.until(async () => (await projection.status()).generation === 2)
  await projection.close()
})

test('a swap whose answer is lost is found out', async () => {
  const bench = new ProjectionBench()
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  await projection.rebuild()
  bench.store.onPromote = (generation) => {
    bench.store.onPromote = () => undefined
    bench.store.live = generation
    throw new ConnectionLost('after it had its effect')
  }
  await bench.until(async () => (await projection.status()).generation === 2)
  expect(bench.warnings.some((warning) => warning.includes('could not be swapped in'))).toBe(true)
  await projection.close()
})

test('others take part in a rebuild, and notice a swap, and one that is gone', async () => {
  const bench = new ProjectionBench({ order: 'shard' })
  bench.add('a/0', 'a/1', 'a/2')
  const here = await bench.open(['0'])
  const there = await bench.open(['1', '2'])
  await bench.until(() => bench.seen().length === 3)
  bench.poison.add('a/1/1')
  await here.rebuild()
  await bench.until(async () => (await there.status()).rebuild !== undefined)
  await bench.pass(5_000)
  // Half of the lanes are not rebuilt yet.
  expect(bench.store.live).toBe(1)
  bench.poison.clear()
  void there.resume()
  await bench.until(async () => (await there.status()).generation === 2 && (await here.status()).generation === 2)
  expect(bench.seen(2)).toHaveLength(3)
  bench.poison.add('a/0/1')
  await there.rebuild()
  await bench.until(async () => (await here.status()).rebuild !== undefined)
  await there.abortRebuild()
  await bench.until(async () => (await here.status()).rebuild === undefined)
  expect(bench.store.live).toBe(2)
  await here.close()
  await there.close()
})

test.each([
  ['all', 'shard'],
  ['shard', 'all'],
] as const)('what was made in order %s stands still in order %s until it is rebuilt', async (made, order) => {
  const before = new ProjectionBench({ order: made })
  before.add('a/0', 'a/1', 'a/2', 'a/1')
  const former = await before.open()
  await before.until(() => before.seen().length === 4)
  await former.close()
  const bench = new ProjectionBench({ order }, before)
  const projection = await bench.open()
  const [event] = bench.add('a/2')
  const refused = { code: 'ProjectionReordered', details: { generation: 1, made, order } }
  await bench.until(async () => (await projection.status()).state === 'halted')
  const waiting = expect(projection.query(({ seen }) => seen, { after: event!.position })).rejects.toMatchObject({
    code: 'ProjectionHalted',
    cause: refused,
  })
  await bench.pass(500)
  await waiting
  void projection.resume()
  await bench.pass(500)
  expect(await projection.query(({ seen }) => seen.length)).toBe(4)
  expect(bench.calls).toEqual([])
  await projection.rebuild()
  await bench.until(async () => (await projection.status()).generation === 2)
  expect(bench.seen(2)).toHaveLength(5)
  expect(bench.seen(1)).toHaveLength(4)
  expect(await projection.status()).toMatchObject({ state: 'caught up', previous: 1 })
  await projection.close()
})

test('two who begin a rebuild at once begin one', async () => {
  const bench = new ProjectionBench({ order: 'shard' })
  bench.add('a/0', 'a/1', 'a/2')
  const here = await bench.open(['0'])
  const there = await bench.open(['1', '2'])
  await bench.until(() => bench.seen().length === 3)
  const begun = Promise.allSettled([here.rebuild(), there.rebuild()])
  await bench.until(async () => (await here.status()).generation > 1 && (await there.status()).generation > 1)
  expect((await begun).map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
  expect(bench.seen()).toHaveLength(3)
  expect(bench.store.generations.size).toBe(2)
  await here.close()
  await there.close()
})

test('a rebuild that others have gone past is over, and does not take their place', async () => {
  const bench = new ProjectionBench({ retries: 0 })
  bench.add('a/1')
  const here = await bench.open()
  const there = await bench.open([])
  await bench.until(() => bench.seen().length === 1)
  bench.poison.add('a/1/1')
  const generation = await here.rebuild()
  const rebuilt = there.rebuilt(generation)
  await bench.until(async () => (await here.status()).rebuild?.state === 'halted')
  const next = bench.store.add()
  bench.store.drop(generation)
  bench.store.live = next
  await bench.until(async () => (await here.status()).generation === next)
  bench.poison.clear()
  void here.resume()
  await bench.until(() => bench.seen(next).length === 1)
  await bench.pass(5_000)
  expect(bench.store.live).toBe(next)
  expect(await here.status()).toMatchObject({ rebuild: undefined, unfinished: undefined, previous: 1 })
  expect(await rebuilt).toBe(false)
  await here.close()
  await there.close()
})

test('what was replaced twice before somebody looked is not rebuilt there any more', async () => {
  const bench = new ProjectionBench({ order: 'shard' })
  bench.add('a/0')
  const here = await bench.open(['0'])
  const there = await bench.open(['1', '2'])
  await bench.until(() => bench.seen().length === 1)
  await there.rebuild()
  await bench.until(() => bench.store.live === 2)
  await here.rebuild()
  await bench.until(() => bench.store.live === 3)
  expect(await there.status()).toMatchObject({ generation: 1, rebuild: { generation: 2 } })
  await bench.until(async () => (await there.status()).generation === 3)
  expect((await there.status()).rebuild).toBeUndefined()
  await here.close()
  await there.close()
})

test('what is parked while it is looked whether a rebuild is level keeps it from going live', async () => {
  const bench = new ProjectionBench({ retries: 0, onFailure: 'park', batchMax: 1 })
  bench.add('a/1')
  const projection = await bench.open()
  await bench.until(() => bench.seen().length === 1)
  let parkedLive: number | undefined
  bench.store.onPromote = (generation) => (parkedLive = bench.store.generation(generation).parked.size)
  let isBegun = false
  bench.store.onLook = async (generation) => {
    if (generation !== 2 || isBegun || bench.seen(2).length === 0) return
    isBegun = true
    // Just as it is looked whether it has parked events, the next one comes, and the store is slow.
    bench.store.faults = Array.from({ length: 12 }, () => 'slow' as const)
    bench.poison.add('a/2/1')
    bench.add('a/2')
    await bench.pass(0)
  }
  await projection.rebuild()
  await bench.until(() => bench.store.generation(2).parked.size > 0)
  await bench.pass(3_000)
  expect(parkedLive).toBeUndefined()
  expect((await projection.status()).rebuild).toMatchObject({ isHeldBack: true })
  await projection.close()
})
