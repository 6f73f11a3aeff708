import { expect, test } from 'vitest'
import { retryAll } from '../../src/cli/parked-retry.ts'
import type { Parking } from '../../src/cli/parking.ts'
import { retryTimedOut } from '../../src/react/error.ts'

const PAGE = 100

/** Rows by their numbers, in pages; those that are tried and do not fail are gone. */
function parkingOf(count: number, more: { fails?: (row: number) => boolean; onRetry?: (row: number) => unknown } = {}) {
  const { fails = () => false, onRetry } = more
  const left = new Set(Array.from({ length: count }, (_, row) => row))
  const tried: number[] = []
  let [underWay, most] = [0, 0]
  const none = (): never => expect.fail('nobody asks for that')
  const parking: Parking = {
    by: { reactor: 'mails' },
    list: none,
    show: none,
    skip: none,
    rows: async (_which, from) => {
      const rows = [...left].filter((row) => row >= from).slice(0, PAGE)
      return { rows: rows.map(String), next: rows.length < PAGE ? undefined : rows.at(-1) }
    },
    retry: async (given) => {
      const row = Number(given)
      tried.push(row)
      underWay += 1
      most = Math.max(most, underWay)
      await new Promise(setImmediate)
      underWay -= 1
      await onRetry?.(row)
      if (fails(row)) return { json: { row }, text: `${row} failed again` }
      left.delete(row)
      return undefined
    },
  }
  return { parking, left, tried, most: () => most }
}

const all = (parking: Parking, signal = new AbortController().signal) =>
  retryAll(parking, {}, { signal, onTried: () => undefined })

test('all that is parked is tried once, however many there are and whatever fails', async () => {
  const fails = (row: number): boolean => row < 250 || row % 100 === 0
  const { parking, left, tried, most } = parkingOf(1_234, { fails })
  expect(await all(parking)).toMatchObject({ done: 1_234 - 250 - 10, failures: 260, error: undefined })
  expect(tried.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 1_234 }, (_, row) => row))
  expect(left.size).toBe(260)
  // Beside each other, and not all at once.
  expect(most()).toBeGreaterThan(1)
  expect(most()).toBeLessThan(PAGE)
  const { failed } = await all(parkingOf(3_000, { fails: () => true }).parking)
  expect(failed).toHaveLength(1_000)
})

test('where a page does not say from where on there is more, it is asked for once more, for as long as that brings others', async () => {
  const { parking, left, tried } = parkingOf(PAGE * 3 + 7, { fails: (row) => row % 50 === 0 })
  // Those behind what was skipped stand where that stood, which nobody tells.
  const rows: Parking['rows'] = async (which) => {
    const page = await parking.rows(which, 0)
    return page.next === undefined ? page : { ...page, next: 0 }
  }
  expect(await all({ ...parking, rows })).toMatchObject({ done: PAGE * 3 + 7 - 7, failures: 7, error: undefined })
  expect(tried).toHaveLength(PAGE * 3 + 7)
  expect(left.size).toBe(7)
})

test('where a node does not know of pages it ends all the same', async () => {
  const { parking, tried } = parkingOf(PAGE * 3, { fails: () => true })
  await all({ ...parking, rows: (which) => parking.rows(which, 0) })
  expect(tried).toHaveLength(PAGE)
})

test('what takes longer than its minute keeps nothing else from being tried, unless nothing is done any more', async () => {
  const late = retryTimedOut('mails', 'a', 60_000)
  const lateOnes = (isLate: (row: number) => boolean) =>
    parkingOf(1_000, {
      onRetry: (row) => {
        if (isLate(row)) throw late
      },
    })
  const some = lateOnes((row) => row % 40 === 0)
  expect(await all(some.parking)).toMatchObject({ done: 975, failures: 0, error: late })
  expect(some.tried).toHaveLength(1_000)
  const most = lateOnes((row) => row >= 200)
  expect(await all(most.parking)).toMatchObject({ done: 200, failures: 0, error: late })
  // As many as are tried at once, each one after the other, and those that were under way then.
  expect(most.tried.length).toBeLessThan(200 + 2 * 64)
})

test('what goes wrong, and whoever interrupts, ends it before the next ones, and what was done is told', async () => {
  const onRetry = (row: number): void => {
    if (row === 40) throw new Error('nobody serves it')
  }
  const { parking, left } = parkingOf(1_000, { onRetry })
  const { done, error } = await all(parking)
  expect(error).toEqual(new Error('nobody serves it'))
  expect(done).toBe(1_000 - left.size)
  expect(done).toBeLessThan(150)
  const stop = new AbortController()
  const stopped = parkingOf(1_000, { onRetry: (row) => row === 40 && stop.abort(new Error('enough')) })
  expect((await all(stopped.parking, stop.signal)).error).toBe(stop.signal.reason)
  expect(stopped.tried.length).toBeLessThan(150)
  const fails = { ...parking, rows: () => Promise.reject(new Error('no such reactor')) }
  expect(await all(fails)).toMatchObject({ done: 0, error: new Error('no such reactor') })
})
