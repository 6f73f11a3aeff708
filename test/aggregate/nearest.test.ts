import { expect, test } from 'vitest'
import { suggestion } from '../../src/aggregate/nearest.ts'

test('a word that is like one that is known may have been meant', () => {
  expect(suggestion('Retry', ['name', 'retries'])).toBe(`the nearest is 'retries'`)
})

test('where none is like it, all are named, up to a dozen', () => {
  expect(suggestion('concurrency', ['name', 'source', 'map'])).toBe('there are name, source, map')
  const many = Array.from({ length: 15 }, (_, i) => `part-${i}`)
  expect(suggestion('concurrency', many)).toMatch(/part-0, .*part-11, and 3 more$/)
})

test('where nothing is known, it says so', () => {
  expect(suggestion('anything', [])).toBe('there is none')
})
