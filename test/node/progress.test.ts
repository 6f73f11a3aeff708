import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import type { Message } from '../../src/actor/message.ts'
import { createProgressMemory, readProgress, writeProgress } from '../../src/node/progress.ts'

const query = (stream: string, name: string, request: number): Message => {
  return { kind: 'query', request, epoch: 0, stream, name, payload: undefined }
}

test('what a thread is at is read as it was written, of any stream; of a name what it begins with', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 300 })
  fc.assert(
    fc.property(text, text, fc.integer({ min: 1, max: 2 ** 32 - 1 }), fc.boolean(), (id, name, request, isOurs) => {
      const memory = createProgressMemory()
      const progress = writeProgress(memory)
      progress.enter(query('a/before', 'a name that is longer than this one', 7), true)
      progress.enter(query(`a/${id}`, name, request), isOurs)
      expect(readProgress(memory)).toEqual({
        stirs: 0,
        isOverdue: false,
        count: 2,
        occupation: { stream: `a/${id}`, name: name.slice(0, 128), request: isOurs ? request : undefined },
      })
      progress.leave()
      expect(readProgress(memory)).toEqual({ stirs: 0, isOverdue: false, count: 2, occupation: undefined })
    }),
  )
})

test('a look at a state has no name of its own', () => {
  const memory = createProgressMemory()
  writeProgress(memory).enter({ kind: 'state', request: 1, epoch: 0, stream: 'a/1', at: {} }, true)
  expect(readProgress(memory).occupation).toEqual({ stream: 'a/1', name: 'state', request: 1 })
})

test('that a call to the disk is overdue is read as it was said last', () => {
  const memory = createProgressMemory()
  const progress = writeProgress(memory)
  progress.stir(true)
  expect(readProgress(memory)).toMatchObject({ stirs: 1, isOverdue: true })
  progress.stir(false)
  expect(readProgress(memory)).toMatchObject({ stirs: 2, isOverdue: false })
})

test('what is read while the thread turns to something else is not half of the one and half of the other', () => {
  const memory = createProgressMemory()
  const progress = writeProgress(memory)
  progress.enter(query('a/1', 'before', 1), true)
  const turnsHalfway = (): void => {
    progress.leave()
    const half = Object.defineProperty(query('a/2', '', 2), 'name', {
      get: () => {
        throw new Error('so far')
      },
    })
    expect(() => progress.enter(half, true)).toThrow('so far')
  }
  const load = Atomics.load.bind(Atomics) as (words: unknown, word: number) => never
  let isTurning = true
  vi.spyOn(Atomics, 'load').mockImplementation((words, word) => {
    const value = load(words, word)
    // The reader has just seen that it is busy.
    if (word === 1 && isTurning) {
      isTurning = false
      turnsHalfway()
    }
    return value
  })
  try {
    expect(readProgress(memory)).toMatchObject({ count: 1, occupation: undefined })
  } finally {
    vi.restoreAllMocks()
  }
})
