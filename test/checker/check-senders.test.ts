import { expect, test } from 'vitest'
import { checkSenders } from './check-senders.ts'
import type { CommandEntry, CommandOutcome } from './history.ts'

let sent = 0

/** Through node 1, in the order of making. */
function command(fields: Partial<CommandEntry>, version: number, position = 10 * version): CommandEntry {
  sent += 1
  const outcome: CommandOutcome = { kind: 'accepted', version, position }
  const via = { node: 1, order: sent }
  const times = { invokedAt: sent, returnedAt: sent + 100 }
  return { kind: 'command', stream: 'account/1', commandId: `c${sent}`, events: 1, ...times, outcome, via, ...fields }
}

function kinds(history: readonly CommandEntry[]): string[] {
  return checkSenders(history).map(({ kind }) => kind)
}

test('nothing is found where what is sent one after the other stands so', () => {
  expect(kinds([command({}, 1), command({ stream: 'account/2' }, 1, 5), command({}, 2)])).toEqual([])
})

test('what was sent first and stands behind is found, also where both were under way at once', () => {
  expect(kinds([command({}, 2), command({}, 1)])).toEqual(['sender-order'])
  expect(kinds([command({}, 3), command({}, 4), command({}, 1)])).toEqual(['sender-order'])
})

test('what another node was given has no place among it', () => {
  expect(kinds([command({}, 2), command({ via: { node: 2, order: 9_999 } }, 1)])).toEqual([])
})

test('what was sent twice, may be rejected, or whose outcome nobody knows has no place either', () => {
  const again = command({}, 1)
  expect(kinds([command({}, 2), again, { ...again, via: { node: 2, order: 1 } }])).toEqual([])
  expect(kinds([command({}, 2), command({ mayBeRejected: true }, 1)])).toEqual([])
  expect(kinds([command({}, 2), command({ outcome: { kind: 'unknown' } }, 1)])).toEqual([])
})

test('an effect that stands before its cause is found, whichever shards they are in', () => {
  const cause = command({ invokedAt: 0, returnedAt: 1 }, 1, 1_000)
  const effect = command({ stream: 'account/2', invokedAt: 2, returnedAt: 3 }, 1, 999)
  expect(kinds([effect, cause])).toEqual(['cause-order'])
  expect(kinds([{ ...effect, mayBeRejected: true }, cause])).toEqual(['cause-order'])
})

test('what began before something was told, or through another node, is no effect of it', () => {
  const cause = command({ invokedAt: 0, returnedAt: 2 }, 1, 1_000)
  const beside = command({ stream: 'account/2', invokedAt: 2, returnedAt: 3 }, 1, 999)
  expect(kinds([cause, beside])).toEqual([])
  const elsewhere = { ...beside, invokedAt: 5, returnedAt: 6, via: { node: 2, order: 1 } }
  expect(kinds([cause, elsewhere])).toEqual([])
})
