import { expect, test } from 'vitest'
import type { LoggedStreams } from '../../checker/history.ts'
import type { Attempt, Outcome } from '../history.ts'
import { brokenOrder as brokenOrderOf } from './order.ts'

const here = {}
const elsewhere = {}

function attempt(by: number, sent: number | undefined, outcome: Outcome, via: object = here): Attempt {
  const isRead = outcome.kind === 'read'
  const times = { invokedAt: 0, returnedAt: 9 }
  return { by, sent, outcome, via, stream: 'account/1', isRead, isQueued: true, events: isRead ? 0 : 1, ...times }
}

function brokenOrder(attempts: readonly Attempt[], log: LoggedStreams, ...declined: readonly number[]): string[] {
  return brokenOrderOf(attempts, log, new Set(declined))
}

const unknown = { kind: 'unknown', code: 'Timeout' } as const
const refused = { kind: 'none', code: 'WindowFull' } as const

function saw(version: number): Outcome {
  return { kind: 'read', seen: { balance: 0, count: version, hash: 0 } }
}

/** Commands in the order of their events in the log. */
function logOf(...commands: readonly number[]): LoggedStreams {
  const events = commands.map((by, i) => ({
    version: i + 1,
    commandId: String(by),
    position: i,
    shard: 0,
    seq: i + 1,
  }))
  return new Map([['account/1', events]])
}

test('what took effect in another order than it was sent in is found, told or not', () => {
  const both = [attempt(1, 1, unknown), attempt(2, 2, unknown)]
  expect(brokenOrder(both, logOf(1, 2))).toEqual([])
  expect(brokenOrder(both, logOf(2, 1))).toHaveLength(1)
})

test('a read shows what was sent before it, and may show what was sent after it', () => {
  const commands = [attempt(1, 1, unknown), attempt(2, 3, unknown)]
  expect(brokenOrder([...commands, attempt(3, 2, saw(0))], logOf(1, 2))).toHaveLength(1)
  expect(brokenOrder([...commands, attempt(3, 2, saw(1))], logOf(1, 2))).toEqual([])
  expect(brokenOrder([...commands, attempt(3, 2, saw(2))], logOf(1, 2))).toEqual([])
})

test('what another node sent, or this one sent again later, or that did nothing, has no order', () => {
  expect(brokenOrder([attempt(1, 1, unknown), attempt(2, 2, unknown, elsewhere)], logOf(2, 1))).toEqual([])
  const again = [attempt(1, 1, unknown), attempt(2, 2, unknown), attempt(1, 3, unknown)]
  expect(brokenOrder(again, logOf(2, 1))).toEqual([])
  const neverSent = [attempt(1, 1, refused), attempt(2, 2, unknown), attempt(1, 3, unknown)]
  expect(brokenOrder(neverSent, logOf(1, 2))).toHaveLength(1)
})

test('what one owner rejected, and the next accepted, has no order, and what goes around it has', () => {
  const three = [attempt(1, 1, unknown), attempt(2, 2, unknown), attempt(3, 3, unknown)]
  expect(brokenOrder(three, logOf(2, 3, 1), 1)).toEqual([])
  expect(brokenOrder(three, logOf(3, 2, 1), 1)).toHaveLength(1)
})
