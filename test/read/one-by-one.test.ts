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

test('in pages comes what was not taken one by one, without what is left out and without empty pages, and then nothing', async () => {
  const { pages, isClosed } = source([1, 2], [], [4], [3, 4, 5])
  const reader = new OneByOne({ pages, read: (n) => (n % 2 === 1 ? n * 10 : undefined), signal: going })
  expect((await reader.next()).value).toBe(10)
  expect(await Array.fromAsync(reader.pages())).toEqual([[30, 50]])
  expect(isClosed()).toBe(true)
  expect(await reader.next()).toEqual({ value: undefined, done: true })
  expect(await Array.fromAsync(reader.pages())).toEqual([])
})

test('a page that is handed out has 1,024 items at most, and none is left out between two', async () => {
  const numbers = Array.from({ length: 2_500 }, (_, i) => i)
  const { pages } = source(numbers, [2_500, 2_501])
  const handedOut = await Array.fromAsync(new OneByOne({ pages, read: same, signal: going }).pages())
  expect(handedOut.map(({ length }) => length)).toEqual([1_024, 1_024, 452, 2])
  expect(handedOut.flat()).toEqual([...numbers, 2_500, 2_501])
})

test('in pages, nothing is read of a page before it is asked for', async () => {
  const read: number[] = []
  const { pages } = source([1, 2], [3, 4])
  const reader = new OneByOne({ pages, read: (n) => (read.push(n), n), signal: going })
  const inPages = reader.pages()
  expect(read).toEqual([])
  expect((await inPages.next()).value).toEqual([1, 2])
  expect(read).toEqual([1, 2])
})

test.for([1, 3])('in pages, an item that cannot be read ends the reading behind what comes before it', async (bad) => {
  const { pages, isClosed } = source([1, 2, 3, 4], [5])
  const read = (number: number): number => {
    if (number === bad) throw new Error('no')
    return number
  }
  const reader = new OneByOne({ pages, read, signal: going }).pages()
  if (bad > 1) expect((await reader.next()).value).toEqual([1, 2])
  await expect(reader.next()).rejects.toThrow('no')
  expect(isClosed()).toBe(true)
  expect(await reader.next()).toEqual({ value: undefined, done: true })
})

test('pages that cannot be read end it in pages as well', async () => {
  const { pages, isClosed } = source([1], new Error('no'))
  const reader = new OneByOne({ pages, read: same, signal: going }).pages()
  expect((await reader.next()).value).toEqual([1])
  await expect(reader.next()).rejects.toThrow('no')
  expect(isClosed()).toBe(true)
})

test('whoever stops taking pages lets go of all', async () => {
  const { pages, isClosed } = source([1], [2])
  const reader = new OneByOne({ pages, read: same, signal: going })
  for await (const page of reader.pages()) {
    expect(page).toEqual([1])
    break
  }
  expect(isClosed()).toBe(true)
  expect(await reader.next()).toEqual({ value: undefined, done: true })
})

test('once it is aborted no page comes any more', async () => {
  const { pages, isClosed } = source([1], [2])
  const stop = new AbortController()
  const reader = new OneByOne({ pages, read: same, signal: stop.signal }).pages()
  expect((await reader.next()).value).toEqual([1])
  stop.abort()
  expect(await reader.next()).toEqual({ value: undefined, done: true })
  expect(isClosed()).toBe(true)
})

test('a page and single items that are asked for at once come one after the other', async () => {
  const { pages } = source([1, 2, 3], [4])
  const reader = new OneByOne({ pages, read: same, signal: going })
  const [one, page, then] = await Promise.all([reader.next(), reader.pages().next(), reader.next()])
  expect([one.value, page.value, then.value]).toEqual([1, [2, 3], 4])
})

test('once it is aborted no more pages are asked for', async () => {
  const stop = new AbortController()
  let asked = 0
  async function* endless(): AsyncGenerator<readonly number[]> {
    while ((asked += 1) < 100) yield [asked]
  }
  const reader = new OneByOne({ pages: endless(), read: same, signal: stop.signal })
  const inPages = reader.pages()
  expect((await reader.next()).value).toBe(1)
  expect((await inPages.next()).value).toEqual([2])
  stop.abort()
  expect((await reader.next()).done).toBe(true)
  expect((await inPages.next()).done).toBe(true)
  expect(asked).toBe(2)
})
