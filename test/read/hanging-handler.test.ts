import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { definitionError } from '../../src/aggregate/error.ts'
import type { ProjectionSettings } from '../../src/read/projection.ts'
import { readModelUnavailable } from '../../src/read/read-model-error.ts'
import { ProjectionBench } from './projection-bench.ts'

/** A handler that hangs at one event until it is let go of, and notes when it goes on. */
function hanging(settings: ProjectionSettings = {}) {
  const bench = new ProjectionBench({ handlerTimeoutMs: 2_000, retries: 1, ...settings })
  const hung: PromiseWithResolvers<void>[] = []
  bench.onHandle = ({ id }) => {
    if (id !== 'a/1/1') return
    const waiting = Promise.withResolvers<void>()
    hung.push(waiting)
    return waiting.promise
  }
  return { bench, hung }
}

/** Whether it settles while so much time passes. */
async function settlesWithin(bench: ProjectionBench, ms: number, work: Promise<unknown>): Promise<boolean> {
  let isSettled = false
  void work.finally(() => (isSettled = true)).catch(() => undefined)
  await bench.pass(ms)
  return isSettled
}

test('a handler that hangs has failed at its event: it is tried again, then halts its lane, and says so', async () => {
  const { bench, hung } = hanging()
  const projection = await bench.open()
  bench.add('a/0', 'a/1', 'a/2')
  await bench.until(async () => (await projection.status()).state === 'halted')
  expect(await projection.status()).toMatchObject({
    trouble: expect.stringContaining('its handler has not ended within 2000 ms') as string,
    lanes: [{ trouble: { event: { stream: 'a/1', version: 1 }, attempts: 2 } }],
  })
  expect(bench.seen()).toEqual(['a/0/1'])
  expect(hung).toHaveLength(2)
  // What they do now is of no account.
  for (const waiting of hung) waiting.resolve()
  await bench.pass(5_000)
  expect(bench.seen()).toEqual(['a/0/1'])
  bench.onHandle = () => undefined
  await projection.resume()
  await bench.until(() => bench.seen().length === 3)
  await projection.close()
})

test('a handler that hangs has its event parked, and the others go on', async () => {
  const { bench, hung } = hanging({ onFailure: 'park' })
  const projection = await bench.open()
  bench.add('a/1', 'a/2', 'a/1')
  await bench.until(() => bench.seen().length === 1)
  expect(await projection.parked()).toMatchObject([
    { stream: 'a/1', version: 1, reason: expect.stringContaining('has not ended') as string },
    { version: 2 },
  ])
  // By hand it is the same.
  const retried = projection.retryParked('a/1')
  expect(await settlesWithin(bench, 3_000, retried)).toBe(true)
  expect(await retried).toMatchObject({ done: 0, failed: { version: 1 } })
  expect(hung.length).toBeGreaterThan(2)
  await projection.close()
})

test('a store that loses its patience with a handler that hangs has not failed', async () => {
  const { bench } = hanging({ retries: 0 })
  bench.store.onApplied = () => readModelUnavailable('the store', new Error('it has ended the transaction'))
  const projection = await bench.open()
  bench.add('a/1')
  await bench.until(async () => (await projection.status()).state === 'halted')
  await projection.close()
})

test('where a store does not wait for a handler, none behind it begins', async () => {
  const { bench, hung } = hanging()
  const opened = await bench.store.open()
  const impatient: typeof opened = {
    control: () => opened.control(),
    replaceControl: (from, to) => opened.replaceControl(from, to),
    places: (generation) => opened.places(generation),
    commit(_generation, { apply }) {
      void apply({ seen: [] })
      return Promise.reject(definitionError('handlers are synchronous here'))
    },
    query: (generation, ask) => opened.query(generation, ask),
    parkedStreams: (generation) => opened.parkedStreams(generation),
    parked: (generation, options) => opened.parked(generation, options),
    close: () => opened.close(),
  }
  bench.store.open = () => Promise.resolve(impatient)
  const projection = await bench.open()
  bench.add('a/1', 'a/2')
  await bench.until(async () => (await projection.status()).state === 'halted')
  hung[0]!.resolve()
  await bench.pass(100)
  expect(bench.calls).toEqual(['a/1/1'])
  await projection.close()
})

test('closed while a handler hangs it ends in time, and leaves nothing behind', async () => {
  const { bench, hung } = hanging({ handlerTimeoutMs: 60_000 })
  const projection = await bench.open()
  bench.add('a/1')
  await bench.until(() => hung.length === 1)
  const closing = projection.close(1_000)
  expect(await settlesWithin(bench, 1_000, closing)).toBe(true)
  for (const waiting of hung) waiting.resolve()
  await bench.pass(1_000)
  expect(bench.store.commits).toBe(0)
  expect(bench.warnings).toEqual([])
})

test('closed while its store hangs it ends in time all the same, and says so', async () => {
  const { bench } = hanging()
  const projection = await bench.open()
  await bench.pass(50)
  bench.store.onLook = () => new Promise(() => undefined)
  void projection.run([])
  await projection.run(['all'])
  await bench.pass(500)
  expect(await settlesWithin(bench, 1_000, projection.close(1_000))).toBe(true)
  expect(bench.warnings).toEqual([expect.stringContaining('not ended within 1000 ms')])
})

test('while a handler hangs all that is done by hand goes on, and pausing waits for no longer than its time', async () => {
  const { bench, hung } = hanging({ handlerTimeoutMs: 60_000 })
  const projection = await bench.open()
  bench.add('a/1')
  await bench.until(() => hung.length === 1)
  expect(await settlesWithin(bench, 100, projection.rebuild())).toBe(true)
  // It hangs there too.
  await bench.until(() => hung.length === 2)
  expect(await settlesWithin(bench, 100, projection.abortRebuild())).toBe(true)
  expect([...bench.store.generations.keys()]).toEqual([1])
  const pausing = projection.pause()
  expect(await settlesWithin(bench, 100, pausing)).toBe(false)
  expect(bench.store.isPaused).toBe(true)
  expect(await settlesWithin(bench, 60_000, pausing)).toBe(true)
  expect((await projection.status()).state).toBe('paused')
  bench.onHandle = () => undefined
  await projection.resume()
  await bench.until(() => bench.seen().length === 1)
  await projection.close()
})

test('pausing waits for a batch no longer than a handler may take, and nobody is blamed for it', async () => {
  const bench = new ProjectionBench({ handlerTimeoutMs: 2_000 })
  bench.onHandle = () => new Promise((resolve) => bench.clock.after(1_500, resolve))
  bench.add('a/1', 'a/1', 'a/1', 'a/1')
  const projection = await bench.open()
  await bench.until(() => bench.calls.length === 1)
  const pausing = projection.pause()
  expect(await settlesWithin(bench, 1_800, pausing)).toBe(false)
  expect(await settlesWithin(bench, 400, pausing)).toBe(true)
  expect(await projection.status()).toMatchObject({ state: 'paused', lanes: [{ trouble: undefined }] })
  expect(bench.seen()).toEqual([])
  await projection.resume()
  await bench.until(() => bench.seen().length === 4)
  await projection.close()
})

test('lanes that are let go of while a handler hangs are run elsewhere meanwhile', async () => {
  const { bench, hung } = hanging({ handlerTimeoutMs: 5_000 })
  const here = await bench.open()
  const there = await bench.open([])
  bench.add('a/1')
  await bench.until(() => hung.length === 1)
  const ended = here.run([])
  bench.onHandle = () => undefined
  await there.run(['all'])
  await bench.until(() => bench.seen().length === 1)
  expect(await settlesWithin(bench, 5_000, ended)).toBe(true)
  hung[0]!.resolve()
  await setImmediate()
  expect(bench.seen()).toEqual(['a/1/1'])
  await here.close()
  await there.close()
})

test('while the live one hangs, a rebuild waits with taking its place and with nothing else', async () => {
  const { bench, hung } = hanging({ handlerTimeoutMs: 60_000 })
  const projection = await bench.open()
  await bench.pass(50)
  await projection.rebuild()
  bench.onHandle = (event) => {
    if (hung.length > 0 || event.id !== 'a/1/1') return
    const waiting = Promise.withResolvers<void>()
    hung.push(waiting)
    return waiting.promise
  }
  bench.add('a/1')
  await bench.until(() => hung.length === 1)
  await bench.pass(5_000)
  expect(await settlesWithin(bench, 100, projection.resume())).toBe(true)
  hung[0]!.resolve()
  await bench.until(async () => (await projection.status()).generation === 2)
  await projection.close()
})
