import { expect, test } from 'vitest'
import { OneByOne } from '../../src/read/one-by-one.ts'

interface Source {
  readonly pages: AsyncGenerator<readonly number[]>
  readonly isClosed: () => boolean
}

function source(...pages: readonly (readonly number[] | Error)[]): Source {
  let isClosed = false
  async function* all(): AsyncGenerator<readonly number[]> {
    try {
      for (const page of pages) {
        if (page instanceof Error) throw page
        yield page
      }
    } finally {
      isClosed = true
    }
  }
  return { pages: all(), isClosed: () => isClosed }
}

const going = new AbortController().signal
const same = (number: number): number => number

test('what comes in pages is handed out in order, without what is left out, and then nothing more', async () => {
  const { pages, isClosed } = source([1, 2], [], [3, 4, 5])
  const reader = new OneByOne({ pages, read: (n) => (n % 2 === 1 ? n * 10 : undefined), signal: going })
  expect(await Array.fromAsync(reader)).toEqual([10, 30, 50])
  expect(isClosed()).toBe(true)
  expect(await reader.next()).toEqual({ value: undefined, done: true })
})

test('who asks before the last answer came gets one answer after the other', async () => {
  const { pages } = source([1, 2], [3], [4])
  const reader = new OneByOne({ pages, read: same, signal: going })
  const results = await Promise.all([1, 2, 3, 4, 5, 6].map(() => reader.next()))
  expect(results.map(({ value }) => value)).toEqual([1, 2, 3, 4, undefined, undefined])
})

test('whoever stops reading lets go of the pages, behind what was asked for before', async () => {
  const { pages, isClosed } = source([1], [2])
  const reader = new OneByOne({ pages, read: same, signal: going })
  const asked = reader.next()
  const returned = reader.return()
  expect(await asked).toEqual({ value: 1, done: false })
  expect(await returned).toEqual({ value: undefined, done: true })
  expect(isClosed()).toBe(true)
  expect(await reader.next()).toEqual({ value: undefined, done: true })
})

test('what is asked for after the end was asked for is not there, also where it is at hand', async () => {
  const { pages } = source([1, 2, 3])
  const reader = new OneByOne({ pages, read: same, signal: going })
  expect((await reader.next()).value).toBe(1)
  const returned = reader.return()
  expect(await reader.next()).toEqual({ value: undefined, done: true })
  expect(await returned).toEqual({ value: undefined, done: true })
})

test('leaving a loop lets go of the pages', async () => {
  const { pages, isClosed } = source([1, 2])
  for await (const _ of new OneByOne({ pages, read: same, signal: going })) break
  expect(isClosed()).toBe(true)
})

test.for([1, 3])('an item that cannot be read ends the reading, as the %ith of its page', async (bad) => {
  const { pages, isClosed } = source([1, 2, 3, 4])
  const read = (number: number): number => {
    if (number === bad) throw new Error('no')
    return number
  }
  const reader = new OneByOne({ pages, read, signal: going })
  for (let number = 1; number < bad; number += 1) expect((await reader.next()).value).toBe(number)
  await expect(reader.next()).rejects.toThrow('no')
  expect(isClosed()).toBe(true)
  expect(await reader.next()).toEqual({ value: undefined, done: true })
})

test('pages that cannot be read end the reading', async () => {
  const { pages } = source([1], new Error('no'))
  const reader = new OneByOne({ pages, read: same, signal: going })
  expect((await reader.next()).value).toBe(1)
  await expect(reader.next()).rejects.toThrow('no')
  expect(await reader.next()).toEqual({ value: undefined, done: true })
})

test('once it is aborted nothing more is handed out, also of what is at hand', async () => {
  const { pages, isClosed } = source([1, 2, 3])
  const stop = new AbortController()
  const reader = new OneByOne({ pages, read: same, signal: stop.signal })
  expect((await reader.next()).value).toBe(1)
  stop.abort()
  expect(await reader.next()).toEqual({ value: undefined, done: true })
  expect(isClosed()).toBe(true)
})
