import { expect, test } from 'vitest'
import { brokenCauses } from './causes.ts'
import type { Attempt } from './history.ts'

const here = {}
const elsewhere = {}

function accepted(
  by: number,
  [invokedAt, returnedAt]: [number, number],
  position: number,
  via: object = here,
): Attempt {
  const outcome = { kind: 'accepted', version: 1, position, isSettled: true } as const
  return {
    by,
    stream: `account/${by}`,
    isRead: false,
    isQueued: true,
    events: 1,
    via,
    sent: invokedAt,
    invokedAt,
    returnedAt,
    outcome,
  }
}

test('a position that is not greater than one that had been told through the same node is found', () => {
  expect(brokenCauses([accepted(1, [0, 5], 10), accepted(2, [6, 9], 9)])).toHaveLength(1)
  expect(brokenCauses([accepted(1, [0, 5], 10), accepted(2, [6, 9], 10)])).toHaveLength(1)
})

test('what is concurrent, or came through another node, or was tried before, may have any position', () => {
  expect(brokenCauses([accepted(1, [0, 5], 10), accepted(2, [6, 9], 11)])).toEqual([])
  expect(brokenCauses([accepted(1, [0, 5], 10), accepted(2, [5, 9], 9)])).toEqual([])
  expect(brokenCauses([accepted(1, [0, 5], 10), accepted(2, [6, 9], 9, elsewhere)])).toEqual([])
  expect(brokenCauses([accepted(1, [0, 5], 10), accepted(2, [1, 2], 9), accepted(2, [6, 9], 9)])).toEqual([])
})
