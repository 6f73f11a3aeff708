import { expect, test } from 'vitest'
import { Attempt } from '../../src/read/attempt.ts'
import { EventRow } from './event-row.ts'

function events(count: number) {
  const row = new EventRow()
  return Array.from({ length: count }, () => row.add('Done', 'a/1'))
}

test('handlers that are synchronous are applied at once', () => {
  const seen: number[] = []
  const attempt = new Attempt<number[]>(
    events(3),
    () =>
      ({ version }, model) =>
        model.push(version),
  )
  expect(attempt.apply(seen)).toBeUndefined()
  expect(seen).toEqual([1, 2, 3])
})

test('each is waited for before the next is begun', async () => {
  const seen: string[] = []
  const attempt = new Attempt<string[]>(events(3), ({ version }) => async (_event, model) => {
    model.push(`${version} begins`)
    await Promise.resolve()
    model.push(`${version} ends`)
  })
  await attempt.apply(seen)
  expect(seen).toEqual(['1 begins', '1 ends', '2 begins', '2 ends', '3 begins', '3 ends'])
})

test.each([
  ['at once', (): unknown => undefined],
  ['later', async (): Promise<void> => await Promise.resolve()],
])('the event whose handler fails is named, also where handlers before it end %s', async (_when, before) => {
  const row = events(4)
  let isWell = false
  const attempt = new Attempt<object>(row, () => ({ version }) => {
    if (version === 3 && !isWell) throw new Error('no')
    return before()
  })
  await expect(async () => await attempt.apply({})).rejects.toThrow('no')
  expect(attempt.failure?.event).toBe(row[2])
  // A store may undo it and begin again.
  isWell = true
  await attempt.apply({})
  expect(attempt.failure).toBeUndefined()
})
