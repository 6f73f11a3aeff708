import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Attempt, type AttemptOptions } from '../../src/read/attempt.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { EventRow } from './event-row.ts'

const clock = new SimulatedClock()

function events(count: number) {
  const row = new EventRow()
  return Array.from({ length: count }, () => row.add('Done', 'a/1'))
}

function attempt<Model>(row: ReturnType<typeof events>, handlers: AttemptOptions<Model>['handlers']): Attempt<Model> {
  return new Attempt(row, { handlers, handlerTimeoutMs: 500, clock })
}

test('handlers that are synchronous are applied at once', () => {
  const seen: number[] = []
  const tried = attempt<number[]>(
    events(3),
    () =>
      ({ version }, model) =>
        model.push(version),
  )
  expect(tried.apply(seen)).toBeUndefined()
  expect(seen).toEqual([1, 2, 3])
})

test('each is waited for before the next is begun', async () => {
  const seen: string[] = []
  const tried = attempt<string[]>(events(3), ({ version }) => async (_event, model) => {
    model.push(`${version} begins`)
    await Promise.resolve()
    model.push(`${version} ends`)
  })
  await tried.apply(seen)
  expect(seen).toEqual(['1 begins', '1 ends', '2 begins', '2 ends', '3 begins', '3 ends'])
})

test.each([
  ['at once', (): unknown => undefined],
  ['later', async (): Promise<void> => await Promise.resolve()],
])('the event whose handler fails is named, also where handlers before it end %s', async (_when, before) => {
  const row = events(4)
  let isWell = false
  const tried = attempt<object>(row, () => ({ version }) => {
    if (version === 3 && !isWell) throw new Error('no')
    return before()
  })
  await expect(async () => await tried.apply({})).rejects.toThrow('no')
  expect(tried.failure?.event).toBe(row[2])
  // A store may undo it and begin again.
  isWell = true
  await tried.apply({})
  expect(tried.failure).toBeUndefined()
})

test('what a handler makes of an event is its failure, and not what it finds when it is tried again', () => {
  const event = new EventRow().add('Done', 'a/1', { lines: [3, 1, 2] })
  const seen: unknown[] = []
  const tried = attempt<object>([event], () => ({ data, time }) => {
    seen.push(structuredClone({ data, time }))
    time.setTime(86_400_000)
    ;(data as { lines: number[] }).lines.reverse()
  })
  for (const _ of [1, 2]) expect(() => tried.apply({})).toThrow('read only')
  const as = { data: { lines: [3, 1, 2] }, time: new Date(0) }
  expect(seen).toEqual([as, as])
})

test('each handler has its time, and one that takes longer has failed; what it does then is of no account', async () => {
  const row = events(3)
  const begun: number[] = []
  const hung = Promise.withResolvers<void>()
  const tried = attempt<object>(row, () => async ({ version }) => {
    begun.push(version)
    if (version === 1) await new Promise<void>((resolve) => clock.after(400, resolve))
    if (version === 2) await hung.promise
  })
  const outcome = Promise.resolve(tried.apply({})).then(
    () => 'done',
    (error: unknown) => error,
  )
  clock.advance(400)
  await setImmediate()
  clock.advance(499)
  await setImmediate()
  expect(begun).toEqual([1, 2])
  expect(tried.failure).toBeUndefined()
  clock.advance(1)
  expect(await outcome).toMatchObject({ code: 'Timeout', message: 'its handler has not ended within 500 ms' })
  expect(tried.failure?.event).toBe(row[1])
  hung.resolve()
  await setImmediate()
  expect(begun).toEqual([1, 2])
})

test('given up, it ends at once, begins nothing more, and blames no event', async () => {
  const begun: number[] = []
  const hung = Promise.withResolvers<void>()
  const tried = attempt<object>(events(3), () => async ({ version }) => {
    begun.push(version)
    await hung.promise
  })
  const reason = new Error('it is closed')
  const outcome = expect(tried.apply({})).rejects.toBe(reason)
  tried.giveUp(reason)
  await outcome
  hung.reject(new Error('late'))
  await setImmediate()
  expect(begun).toEqual([1])
  expect(tried.failure).toBeUndefined()
  expect(() => tried.apply({})).toThrow(reason)
})
