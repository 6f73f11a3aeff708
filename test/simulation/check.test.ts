import { describe, expect, test } from 'vitest'
import { foldAll } from './bank.ts'
import { violations, type Story } from './check.ts'
import type { Attempt, LoggedEvent } from './history.ts'

const STREAM = 'account/0'
const node = {}

function event(version: number, by: number, changes: Partial<LoggedEvent> = {}): LoggedEvent {
  const data = { amount: 1, by }
  return {
    stream: STREAM,
    shard: 0,
    seq: version,
    version,
    position: 100 + version,
    type: 'Deposited',
    data,
    by,
    ...changes,
  }
}

function attempt(by: number, from: number, to: number, outcome: Attempt['outcome'], events = 1): Attempt {
  return { by, stream: STREAM, events, via: node, invokedMs: from, returnedMs: to, outcome }
}

function told(version: number): Attempt['outcome'] {
  return { kind: 'accepted', version, position: 100 + version }
}

function problems(attempts: readonly Attempt[], events: readonly LoggedEvent[]): readonly string[] {
  const story: Story = { attempts, log: new Map([[STREAM, events]]) }
  return violations(story)
}

const seen = (events: readonly LoggedEvent[], version: number): Attempt['outcome'] => ({
  kind: 'read',
  seen: foldAll(events)[version]!,
})

describe('a history that is right has no violations', () => {
  const log = [event(1, 1), event(2, 2), event(3, 3)]
  test('one after the other, and at once', () => {
    const attempts = [attempt(1, 0, 5, told(1)), attempt(3, 6, 20, told(3)), attempt(2, 6, 19, told(2))]
    expect(problems([...attempts, attempt(9, 21, 22, seen(log, 3), 0)], log)).toEqual([])
  })
  test('a command that nobody knows of may have taken effect or not', () => {
    const unknown = { kind: 'unknown', code: 'Timeout' } as const
    expect(
      problems([attempt(1, 0, 5, told(1)), attempt(2, 6, 9, unknown), attempt(4, 6, 9, unknown)], log.slice(0, 2)),
    ).toEqual([])
  })
  test('a read during a write may see it or not', () => {
    const attempts = [attempt(1, 0, 5, told(1)), attempt(2, 6, 20, told(2))]
    const reads = [attempt(8, 7, 8, seen(log, 1), 0), attempt(9, 9, 10, seen(log, 2), 0)]
    expect(problems([...attempts, ...reads], log.slice(0, 2))).toEqual([])
  })
})

describe('a history that is wrong is seen to be', () => {
  const log = [event(1, 1), event(2, 2)]
  const right = [attempt(1, 0, 5, told(1)), attempt(2, 6, 9, told(2))]

  test.each<[string, RegExp, readonly Attempt[], readonly LoggedEvent[]]>([
    ['lost', /acknowledged and is not in the log/, right, log.slice(0, 1)],
    ['twice', /2 of its events/, right, [...log, event(3, 2)]],
    ['at another version', /was told version 1, stands at 2/, [attempt(2, 6, 9, told(1))], log],
    ['apart', /not together/, [attempt(1, 0, 5, told(3), 2)], [event(1, 1), event(2, 2), event(3, 1)]],
    ['half', /1 of its events stand in the log, and 2 belong there/, [attempt(1, 0, 5, told(1), 2)], log.slice(0, 1)],
    ['a gap', /version 3 stands where 2 belongs/, [], [event(1, 1), event(3, 2, { seq: 2 })]],
    ['a gap in the shard', /seqs are 1 3/, [], [event(1, 1), event(2, 2, { seq: 3 })]],
    ['a position that goes back', /does not increase/, [], [event(1, 1), event(2, 2, { position: 50 })]],
    ['none that took effect', /outcome none and took effect/, [attempt(2, 6, 9, { kind: 'none', code: 'X' })], log],
    [
      'a rejection that took effect',
      /was rejected and took effect/,
      [attempt(2, 6, 9, { kind: 'rejected', seen: foldAll(log)[1]! })],
      log,
    ],
    [
      'a state of no version',
      /not the log's/,
      [attempt(9, 6, 9, { kind: 'read', seen: { balance: 7, count: 1, hash: 0 } }, 0)],
      log,
    ],
    [
      'a state that never was',
      /not in the log/,
      [attempt(9, 6, 9, { kind: 'read', seen: { balance: 7, count: 5, hash: 0 } }, 0)],
      log,
    ],
    ['a stale read', /1.5 began after 2 had been told/, [...right, attempt(9, 10, 11, seen(log, 1), 0)], log],
    [
      'a read that goes back',
      /1.5 began after 2.5/,
      [attempt(8, 1, 2, seen(log, 2), 0), attempt(9, 3, 4, seen(log, 1), 0)],
      log,
    ],
    [
      'a write before what had ended',
      /1 began after 2 had been told/,
      [attempt(2, 0, 5, told(2)), attempt(1, 6, 9, told(1))],
      log,
    ],
    ['an effect before its cause', /began after .* \(I6\)/, right, [event(1, 1), event(2, 2, { position: 90 })]],
  ])('%s', (_, problem, attempts, events) => {
    const fitted = attempts.map((one) => ({ ...one, outcome: fit(one, events) }))
    expect(problems(fitted, events).join('\n')).toMatch(problem)
  })
})

/** An acknowledgement tells the position that the log has, where it tells the version that the log has. */
function fit({ outcome, by }: Attempt, events: readonly LoggedEvent[]): Attempt['outcome'] {
  const last = events.findLast((one) => one.by === by)
  return outcome.kind === 'accepted' && last?.version === outcome.version
    ? { ...outcome, position: last.position }
    : outcome
}
