import { expect, test } from 'vitest'
import { checkReadModel, type FoundEffect, type FoundReadModel } from './check-read-model.ts'
import type { LoggedEvent, LoggedStreams } from './history.ts'

function logged(version: number, position: number): LoggedEvent {
  return { version, position, commandId: `c${position}`, shard: 0, seq: position, digest: 0 }
}

/** `a/1` at 1 and 3, `a/2` at 2 and 4. */
const log: LoggedStreams = new Map([
  ['a/1', [logged(1, 1), logged(2, 3)]],
  ['a/2', [logged(1, 2), logged(2, 4)]],
])

function effect(stream: string, version: number, position: number, isRetried = false): FoundEffect {
  return { stream, version, position, commandId: `c${position}`, isRetried }
}

const [a1, b1, a2, b2] = [effect('a/1', 1, 1), effect('a/2', 1, 2), effect('a/1', 2, 3), effect('a/2', 2, 4)]

function found(row: readonly FoundEffect[], fields: Partial<FoundReadModel> = {}): FoundReadModel {
  const none = new Set<string>()
  return { row, parked: none, skipped: none, isDue: () => true, laneOf: () => 'all', ...fields }
}

test('a read model that has all in order, or as far as it has come, is right', () => {
  expect(checkReadModel(found([a1, b1, a2, b2]), log)).toEqual([])
  expect(checkReadModel(found([a1, b1], { isDue: ({ position }) => position <= 2 }), log)).toEqual([])
})

test('what is left out, counts twice, comes too early or out of order is found', () => {
  expect(checkReadModel(found([a1, b1, b2]), log)).toEqual(['a/1@2 counts 0 times, behind its place'])
  expect(checkReadModel(found([a1, b1, a2, b2, b2]), log)).toContain('a/2@2 counts 2 times, behind its place')
  expect(checkReadModel(found([a1, b1], { isDue: ({ position }) => position < 2 }), log)).toEqual([
    'a/2@1 counts, and its place is not there yet',
  ])
  expect(checkReadModel(found([b1, a1, a2, b2]), log)).toEqual(['a/1@1 has taken effect out of order'])
})

test('what is parked or skipped counts, and comes in the order of its stream when it is retried', () => {
  expect(checkReadModel(found([a1, a2], { parked: new Set(['a/2@1']), skipped: new Set(['a/2@2']) }), log)).toEqual([])
  const retried = [a1, a2, { ...b1, isRetried: true }, { ...b2, isRetried: true }]
  expect(checkReadModel(found(retried), log)).toEqual([])
  expect(checkReadModel(found([...retried.slice(0, 2), retried[3]!, retried[2]!]), log)).toEqual([
    "a/2@1 has taken effect out of its stream's order",
  ])
})

test('an effect of something that is not in the log, or is something else there, is found', () => {
  expect(checkReadModel(found([a1, b1, a2, b2, effect('a/3', 1, 5)]), log)).toHaveLength(1)
  expect(checkReadModel(found([a1, b1, a2, { ...b2, commandId: 'other' }]), log)).toHaveLength(1)
})
