/** Whoever waits for a rebuild, or would begin another, is told what it waits for, wherever its lanes run. */
import { expect, test } from 'vitest'
import { ProjectionBench } from './projection-bench.ts'

const state = (message: RegExp) => ({
  code: 'ProjectionState',
  message: expect.stringMatching(message) as string,
})
const HELD_BACK = state(/^generation 2 of seen has caught up.*one stream.*retryParked.*promote\(\).*promote seen/)
const PAUSED = state(/^generation 2 of seen .*paused.*resume\(\).*penhold projection resume seen/)
const UNDER_WAY = state(
  /^generation 2 of seen is being rebuilt\. .*rebuilt\(\).*abortRebuild\(\).*rebuild seen --abort/,
)
const ASIDE = state(/^generation 2 of seen was set aside by a rollback.*resumeRebuild\(\).*rebuild seen --resume/)

async function bench(settings: ConstructorParameters<typeof ProjectionBench>[0] = {}) {
  const it = new ProjectionBench({ retries: 0, ...settings })
  it.add('a/1', 'a/2')
  const here = await it.open()
  const there = await it.open([])
  await it.until(() => it.seen().length === 2)
  /** What a call comes to while time passes. */
  const fails = async (call: Promise<unknown>, error: object): Promise<void> => {
    const failing = expect(call).rejects.toMatchObject(error)
    await it.pass(3_000)
    await failing
  }
  const close = async (): Promise<void> => void (await Promise.all([here.close(), there.close()]))
  const isLive = (generation: number) => async () => (await here.status()).generation === generation
  return { it, here, there, fails, close, isLive }
}

test('a rebuild that is held back by parked events is not waited for in vain, at any node', async () => {
  const { it, here, there, fails, close, isLive } = await bench({ onFailure: 'park' })
  it.poison.add('a/2/1')
  const generation = await here.rebuild()
  await fails(here.rebuilt(generation), HELD_BACK)
  await fails(there.rebuilt(generation), HELD_BACK)
  await fails(here.rebuild(), HELD_BACK)
  await fails(there.rebuild(), HELD_BACK)
  // It was not touched.
  const rebuilt = there.promote().then(() => there.rebuilt(generation))
  await it.until(isLive(2))
  await it.pass(1_000)
  expect(await rebuilt).toBe(true)
  await close()
})

test('what has parked events and has not caught up is waited for', async () => {
  const { it, here, fails, close } = await bench({ onFailure: 'park', batchMax: 1 })
  let letGo = (): void => undefined
  it.poison.add('a/1/1')
  it.onHandle = ({ id }) => (id === 'a/2/1' ? new Promise((resolve) => (letGo = resolve)) : undefined)
  const rebuilt = here.rebuilt(await here.rebuild())
  let isTold = false
  rebuilt.catch(() => (isTold = true))
  await it.until(() => it.store.generation(2).parked.size === 1)
  await it.pass(5_000)
  expect(isTold).toBe(false)
  letGo()
  await fails(rebuilt, HELD_BACK)
  await close()
})

test('a rebuild that is paused is not waited for in vain', async () => {
  const { it, here, there, fails, close, isLive } = await bench()
  await here.pause()
  const generation = await here.rebuild()
  await fails(here.rebuilt(generation), PAUSED)
  await fails(there.rebuilt(generation), PAUSED)
  await here.resume()
  const rebuilt = here.rebuilt(generation)
  await it.until(isLive(2))
  expect(await rebuilt).toBe(true)
  await close()
})

test('one that stands still here, too', async () => {
  const { it, here, fails, close, isLive } = await bench()
  it.poison.add('a/2/1')
  const generation = await here.rebuild()
  const error = { code: 'ProjectionHalted', message: expect.stringContaining('a/2/1 is poison') as string }
  await fails(here.rebuilt(generation), error)
  it.poison.clear()
  await here.resume()
  const rebuilt = here.rebuilt(generation)
  await it.until(isLive(2))
  expect(await rebuilt).toBe(true)
  await close()
})

test('who gives up waiting is told so', async () => {
  // Nobody runs it.
  const it = new ProjectionBench()
  const projection = await it.open([])
  const stop = new AbortController()
  const waiting = expect(projection.rebuilt(await projection.rebuild(), { signal: stop.signal })).rejects.toMatchObject(
    {
      code: 'Aborted',
      cause: 'enough',
    },
  )
  await it.pass(5_000)
  stop.abort('enough')
  await it.pass(1_000)
  await waiting
  await projection.close()
})

test('where another cannot be begun it is said why, and what to do', async () => {
  const { it, here, there, fails, close, isLive } = await bench()
  it.poison.add('a/2/1')
  await here.rebuild()
  const each = async (call: (projection: Pick<typeof here, 'rebuild'>) => Promise<unknown>, error: object) => {
    for (const projection of [here, there]) await fails(call(projection), error)
  }
  await each((projection) => projection.rebuild(), UNDER_WAY)
  it.poison.clear()
  await here.resume()
  await it.until(isLive(2))
  await here.rollBack()
  await each((projection) => projection.rebuild(), ASIDE)
  await close()
})
