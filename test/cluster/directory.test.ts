import { expect, test } from 'vitest'
import { Directory } from '../../src/cluster/directory.ts'

function directory() {
  const assigned: (readonly [number, string, number])[] = []
  return { assigned, directory: new Directory(4, (...to) => assigned.push(to)) }
}

test('what is newer by epoch counts, whoever is heard last', () => {
  const { assigned, directory: known } = directory()
  known.learn(1, 'a/0', 7)
  known.learn(1, 'b/0', 6)
  known.learn(1, 'b/1', 8)
  expect(assigned).toEqual([
    [1, 'a/0', 7],
    [1, 'b/1', 8],
  ])
})

test('an owner that is no member any more keeps nobody from being believed', () => {
  const { assigned, directory: known } = directory()
  known.learn(1, 'a/0', 7)
  known.learn(2, 'b/0', 7)
  known.forget('a')
  known.learn(1, 'c/0', 2)
  known.learn(2, 'c/0', 2)
  expect(assigned.slice(2)).toEqual([[1, 'c/0', 2]])
})

test('what is no shard, or nobody has claimed yet, is nobody’s', () => {
  const { assigned, directory: known } = directory()
  known.learn(4, 'a/0', 7)
  known.learn(1, 'a/0', 0)
  expect(assigned).toEqual([])
})
